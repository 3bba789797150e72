/** Faults H4 and H7 on real system calls and a real file system: what the disk said once is not forgotten. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Settled } from '../../policies/model/command.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { startProcess } from '../../infra/dev/process.js';
import { callAgent } from '../../site/local/client.js';
import { openAgent } from '../../site/open-agent.js';
import { DiskTakesNoWrite } from '../../site/guard-from-copy.js';
import { carryOut, directoryRelease, TestSite, until } from '../site/test-site.js';
import { buildRooms, dropRooms, runAgent } from './site-process.js';
import { SmallDisk, whyNoDisks } from './small-disk.js';

/** Built by the set-up of `npm test`. */
const FOOTHOLD = join(import.meta.dirname, '../../dist/cli/main.js');
let site: TestSite;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const whyNoMount = whyNoDisks();
const whyNoShim = whyNoCompiler();

function whyNoCompiler(): string | undefined {
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return process.platform === 'linux' ? undefined : 'the shim is for Linux';
  } catch {
    return 'no C compiler to build the shim with';
  }
}
const skipped = (why: string | undefined) => (why === undefined ? '' : ` (skipped: ${why})`);

/** The nth fsync or fdatasync of the process fails with EIO, once, as the kernel tells of it. */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int fails(int fd) {
  static int count;
  const char *at = getenv("FAIL_SYNC_AT"), *mark = getenv("FAIL_SYNC_MARK");
  if (!at || __sync_add_and_fetch(&count, 1) != atoi(at)) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path);
  int out = open(mark, O_CREAT | O_WRONLY, 0600);
  if (length > 0) length = write(out, path, length);
  close(out);
  errno = EIO;
  return 1;
}
int fsync(int fd) { return fails(fd) ? -1 : ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
`;

describe.skipIf(whyNoShim !== undefined)(`H4: fsync fails once${skipped(whyNoShim)}`, () => {
  let out: string;
  let shim: string;
  beforeAll(() => {
    out = buildRooms();
    shim = join(out, 'shim.so');
    writeFileSync(join(out, 'shim.c'), SHIM);
    execFileSync('cc', ['-shared', '-fPIC', '-o', shim, join(out, 'shim.c'), '-ldl']);
  });
  afterAll(() => dropRooms(out));
  beforeEach(() => {
    site = new TestSite();
    site.write('live/conf/page', 'healthy original');
  });
  afterEach(() => site.clear());

  const syncs = [...Array.from({ length: 24 }, (_, n) => n + 1), 28, 32, 36, 40, 46, 52, 60];
  const seen = new Set<string>();

  it.each(syncs)(
    'at the %i. call: nothing new is begun, nothing half done stays, and a restart does not end it',
    async (n) => {
      await runAgent(out, site.options());
      const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
      const command = site.command(one);
      const mark = site.path('failed');
      const faulty = { LD_PRELOAD: shim, FAIL_SYNC_AT: String(n), FAIL_SYNC_MARK: mark };
      // The process may end with the error: a command that was not taken is sent again by its link.
      await runAgent(out, { ...site.options(), envelope: site.sign(command), commandId: command.id }, faulty).catch(
        () => undefined,
      );
      const fired = existsSync(mark);
      seen.add(fired ? 'failed' : 'not reached');
      const two = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'healthy 2' });
      const next = site.command(two, { generation: 3 });
      const after = await runAgent(out, { ...site.options(), envelope: site.sign(next), commandId: next.id });
      const { report, settled } = JSON.parse(after.printed) as { report: SiteReport; settled: Settled };
      if (!fired) return expect(page()).toBe('healthy 2');
      // SQLite's own syncs of the directory while it opens, whose errors it passes over; the agent syncs it once more.
      if (n <= 7 && readFileSync(mark, 'utf8') === site.data && report.storage?.fault === undefined) return;
      expect(report.storage?.fault, `after ${readFileSync(mark, 'utf8')}`).toMatchObject({ code: 'STORAGE_FAULT' });
      expect(settled).toMatchObject({
        result: { result: 'rejected', changed: false, reason: { code: 'STORAGE_FAULT' } },
      });
      const { state = 'idle', live } = report.streams['edge-proxy'] ?? {};
      expect(['idle', 'accepted', 'rejected', 'confirmed', 'reverted', 'watching']).toContain(state);
      // Never on a disk that had failed: before that, or as it did.
      if (live?.version === '1.0.0') expect(live.confirmedAt ?? 0).toBeLessThanOrEqual(report.storage?.fault?.at ?? 0);
      expect(page()).toBe(live?.version === '1.0.0' ? 'healthy 1' : 'healthy original');
    },
  );

  it('was tried at calls that were made, and beyond the last one', () => {
    expect([...seen].sort()).toEqual(['failed', 'not reached']);
  });

  it('is ended by a person, after everything was read back; then converges begin again', async () => {
    const agent = await site.start();
    await agent.serveLocal();
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    await agent.stop();
    writeFileSync(join(site.data, 'storage-fault.json'), '{"code":"STORAGE_F');
    const again = await site.start();
    await again.serveLocal();
    expect((await again.report()).storage?.fault?.code).toBe('STORAGE_FAULT');
    const two = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'healthy 2' });
    const command = site.command(two, { generation: 3 });
    expect(await carryOut(again, site, command)).toMatchObject({ reason: { code: 'STORAGE_FAULT' } });
    await callAgent(site.data, 'mended', { by: 'kari', reason: 'a new disk' });
    expect((await again.report()).storage?.fault).toBeUndefined();
    expect(again.history(10).map((event) => event.kind)).toContain('storage-mended');
    // The very same command is taken now: its refusal was not kept.
    expect(await carryOut(again, site, command)).toMatchObject({ result: 'confirmed' });
    await again.stop();
    expect((await (await site.start()).report()).storage?.fault).toBeUndefined();
  });
});

describe.skipIf(whyNoMount !== undefined)(`H7: the file system turns read-only${skipped(whyNoMount)}`, () => {
  let disk: SmallDisk;
  let out: string;
  beforeAll(() => (out = buildRooms()));
  afterAll(() => dropRooms(out));
  beforeEach(() => {
    disk = SmallDisk.ext4(64);
    // The targets lie elsewhere: only where the agent keeps its data does the device fail.
    site = new TestSite();
    site.write('live/conf/page', 'healthy original');
  });
  afterEach(async () => {
    await site.clear();
    disk.clear();
  });

  /** A process that dies in the middle of the watch of 2.0.0, and a disk that takes no write when the next one starts. */
  async function diedWatching(data: string) {
    const agent = await site.start({ dataDirectory: data });
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    const after = { exec: ['sh', '-c', `echo ran >> ${site.path('after')}`], timeout: '5s' };
    const slow = { confirm: { within: '1h', healthyFor: '30m' }, after };
    const two = site.publish(directoryRelease(site, '2.0.0', slow), { 'files/page': 'healthy 2' });
    await agent.door.accept(site.sign(site.command(two, { generation: 3 })));
    await until(() => agent.history(50).filter(({ kind }) => kind === 'watching').length === 2);
    await agent.stop();
    disk.turnReadOnly();
  }

  it('[A32] at a start: what was half done is undone first, by books that can only be read', async () => {
    const data = join(disk.path, 'data');
    await diedWatching(data);
    expect(page()).toBe('healthy 2');
    await expect(site.open({ dataDirectory: data })).rejects.toMatchObject({
      code: 'STORE_BROKEN',
      message: expect.stringContaining('expected a data directory that takes writes') as string,
    });
    expect(page()).toBe('healthy 1');
    const ran = () => readFileSync(site.path('after'), 'utf8');
    expect(ran()).toBe('ran\nran\n');
    // Asked again by the same process, it waits and undoes nothing a second time.
    await expect(openAgent(site.options({ dataDirectory: data }), true)).rejects.toBeInstanceOf(DiskTakesNoWrite);
    expect(ran()).toBe('ran\nran\n');
    disk.mend();
    const again = await site.start({ dataDirectory: data });
    await until(() => again.history(50).findLast(({ kind }) => kind === 'reverted'), 15_000);
    expect(page()).toBe('healthy 1');
    expect((await again.report()).streams['edge-proxy']).toMatchObject({ live: { version: '1.0.0' } });
  });

  it('at a start whose first place for a copy of the books is taken: another one is', async () => {
    const data = join(disk.path, 'data');
    await diedWatching(data);
    // A mount point cannot be removed, not even by root.
    const taken = `/dev/shm/foothold-books-${sha256Hex(data).slice(0, 16)}`;
    mkdirSync(taken);
    execFileSync('mount', ['-t', 'tmpfs', 'none', taken]);
    try {
      await expect(site.open({ dataDirectory: data })).rejects.toBeInstanceOf(DiskTakesNoWrite);
      expect(page()).toBe('healthy 1');
    } finally {
      execFileSync('umount', [taken]);
      rmSync(taken, { recursive: true });
    }
  });

  it('at a start of its process: it undoes, waits, and comes up with the disk', async () => {
    const data = join(disk.path, 'data');
    await diedWatching(data);
    site.write('control.pub', site.publicPem);
    const file = { apiVersion: 'foothold/v1', kind: 'Agent', site: site.site, data, controlKeys: ['control.pub'] };
    const config = site.write('agent.yaml', JSON.stringify({ ...file, depot: 'http://127.0.0.1:1/', link: 'fibre' }));
    const env = { ...process.env, TEMPORAL_ADDRESS: '127.0.0.1:1', TEMPORAL_CONFIG_FILE: site.path('none.toml') };
    site.write('none.toml', '[profile.default]\n');
    const started = await startProcess({
      ...{ name: 'agent', directory: site.path('logs'), path: process.execPath, env },
      args: [FOOTHOLD, 'agent', 'run', '--config', config],
    });
    try {
      await until(() => page() === 'healthy 1');
      await until(() => readFileSync(started.logFile, 'utf8').includes('the agent cannot run on this disk'));
      disk.mend();
      const ended = async () =>
        (await callAgent(data, 'history', { limit: 50 }).catch(() => [] as SiteEvent[])).at(-1)?.kind;
      for (let tries = 0; (await ended()) !== 'reverted'; tries += 1) {
        expect(tries).toBeLessThan(100);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      expect(readFileSync(site.path('after'), 'utf8')).toBe('ran\n'.repeat(3));
    } catch (error) {
      throw new Error(started.tail(20), { cause: error });
    } finally {
      await started.stop();
    }
  });

  it('at a start beside an agent that still runs: refused, and nothing is undone', async () => {
    const data = join(disk.path, 'data');
    const agent = await site.start({ dataDirectory: data });
    const slow = { confirm: { within: '1h', healthyFor: '30m' } };
    const one = site.publish(directoryRelease(site, '1.0.0', slow), { 'files/page': 'healthy 1' });
    await agent.door.accept(site.sign(site.command(one)));
    await until(() => agent.history(50).some(({ kind }) => kind === 'watching'));
    disk.turnReadOnly();
    await expect(runAgent(out, site.options({ dataDirectory: data }))).rejects.toThrow(/AGENT_RUNNING/);
    expect(page()).toBe('healthy 1');
    await agent.stop();
  });

  it('within ten seconds nothing new is begun; it still reports, and still undoes', async () => {
    const data = join(disk.path, 'data');
    const agent = await site.start({ dataDirectory: data });
    await agent.serveLocal();
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    const begun = Date.now();
    disk.turnReadOnly();
    while ((await agent.report()).storage?.fault === undefined) {
      expect(Date.now() - begun).toBeLessThan(10_000);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    agent.door.contacted(Date.now() + 120_000);
    expect((await agent.report()).streams['edge-proxy']).toMatchObject({ live: { version: '1.0.0' } });
    expect(await agent.metricsText()).toContain('foothold_storage_fault{site="osl-01"} 1');
    const two = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'healthy 2' });
    expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject({
      result: 'rejected',
      changed: false,
      reason: { code: 'STORAGE_FAULT' },
    });
    await expect(callAgent(data, 'mended', { by: 'kari', reason: 'not yet' })).rejects.toMatchObject({
      code: 'STORAGE_FAULT',
    });
    // It cannot be journaled; the undo is more urgent.
    const revert = site.command(one, { verb: 'revert', generation: 4 });
    await expect(agent.door.accept(site.sign(revert))).rejects.toMatchObject({ code: 'STORE_BROKEN' });
    await until(() => page() === 'healthy original');
    await agent.stop();
    disk.mend();
    const again = await site.start({ dataDirectory: data });
    expect(page()).toBe('healthy original');
    // The centre sends the revert again: it is taken, and answered.
    expect(await carryOut(again, site, revert)).toMatchObject({ result: 'reverted' });
    expect(page()).toBe('healthy original');
    rmSync(site.path('failed'), { force: true });
  });
});
