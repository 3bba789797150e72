/**
 * Real power cuts: the agent's file system is shut down under it at every journal step, without a flush of its log, and
 * mounted again. What no fsync had made durable is gone then, as after a pulled plug. Needs root, a loop device and xfs_io.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Settled } from '../../policies/model/command.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import { judgeSiteEvents } from '../../policies/signing/chain.js';
import { TestSite } from '../site/test-site.js';
import { buildRooms, dropRooms, runAgent } from './site-process.js';

const FOLDERS = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
const found = (name: string): string | undefined =>
  FOLDERS.map((one) => join(one, name)).find((one) => existsSync(one));
const run = (name: string, ...args: string[]) => execFileSync(found(name) ?? name, args, { stdio: 'pipe' });

const FILE_SYSTEMS = {
  xfs: { megabytes: 320, make: ['mkfs.xfs', '-q'] },
  ext4: { megabytes: 96, make: ['mkfs.ext4', '-q', '-F'] },
} as const;
type Kind = keyof typeof FILE_SYSTEMS;

/** A file system in a file. The power fails, and it is mounted again as the log leaves it. */
class LoopDisk {
  readonly folder = mkdtempSync(join(tmpdir(), 'power-cut-'));
  readonly mount = join(this.folder, 'mount');
  private readonly image = join(this.folder, 'image');

  constructor(kind: Kind) {
    const { megabytes, make } = FILE_SYSTEMS[kind];
    const fd = openSync(this.image, 'w');
    ftruncateSync(fd, megabytes * 1024 * 1024);
    closeSync(fd);
    mkdirSync(this.mount);
    const [program, ...args] = make;
    run(program, ...args, this.image);
    this.attach();
  }

  attach(): void {
    run('mount', '-o', 'loop', this.image, this.mount);
  }

  remount(): void {
    run('umount', this.mount);
    this.attach();
  }

  drop(): void {
    try {
      run('umount', this.mount);
    } catch {
      // never mounted
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Why it cannot be done here; undefined: it can. */
function reasonAgainst(kind: Kind): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount';
  const missing = ['xfs_io', FILE_SYSTEMS[kind].make[0], 'mount', 'umount'].filter((one) => found(one) === undefined);
  if (missing.length > 0) return `${missing.join(' and ')} not found: apt-get install xfsprogs e2fsprogs`;
  try {
    new LoopDisk(kind).drop();
    return undefined;
  } catch (error) {
    return `no loop mount here: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
  }
}

function release(site: TestSite, version: string) {
  const controller = site.path('controller');
  const target = site.path('live', 'conf');
  // A controller makes its own state durable; else nobody could promise what is live after a cut.
  const keep = (from: string, to: string) => ['sh', '-c', `cp ${from} ${to} && sync ${to}`];
  const programs = {
    save: ['sh', '-c', `cp ${controller} $FOOTHOLD_SAVED`],
    apply: keep('state', controller),
    verify: ['cmp', '-s', 'state', controller],
    revert: keep('$FOOTHOLD_SAVED', controller),
  };
  return {
    stream: 'edge-proxy',
    version,
    components: [
      { name: 'config', driver: { type: 'directory', files: './files', target } },
      { name: 'relay', driver: { type: 'exec', files: './relay', ...programs } },
    ],
    before: { exec: ['true'] },
    after: { exec: ['true'] },
    checks: [{ name: 'ok', exec: ['grep', '-q', 'healthy', `${target}/page`], every: '50ms', failures: 1 }],
    confirm: { within: '20s', healthyFor: '100ms' },
  };
}

interface Printed {
  atStart: string[];
  settled: Settled;
  report: SiteReport;
  events: SiteEvent[];
}

const before = ['accepted', 'fetched', 'staged', 'adopt-journaled', 'adopt-aside', 'adopted', 'undo-captured'];
const switching = ['before-done', 'switching', 'activated', 'all-activated', 'watching'];
const undo = ['reverting', 'reverted-one', 'reverted-all', 'reverted'];
const cuts = [
  ...[...before, ...switching, 'confirming', 'confirmed'].map((step): [string, string] => [step, 'healthy']),
  ...[...switching.slice(1), ...undo].map((step): [string, string] => [step, 'broken']),
];

describe.each(Object.keys(FILE_SYSTEMS) as Kind[])('the power fails on %s', (kind) => {
  const reason = reasonAgainst(kind);
  let out: string;
  let disk: LoopDisk;
  let site: TestSite;
  beforeAll(() => {
    if (reason === undefined) out = buildRooms();
  });
  afterAll(() => {
    if (reason === undefined) dropRooms(out);
  });
  beforeEach(() => {
    if (reason !== undefined) return;
    disk = new LoopDisk(kind);
    const { TMPDIR } = process.env;
    process.env['TMPDIR'] = disk.mount;
    site = new TestSite();
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
    site.write('live/conf/page', 'healthy original');
    site.write('controller', 'old state');
  });
  afterEach(() => disk?.drop());

  it.skipIf(reason !== undefined).each(cuts)(
    `[A12] [A13] [A56] H1: at %s of a release whose page is %s it ends confirmed or reverted, once${reason ? `; skipped: ${reason}` : ''}`,
    async (step, health) => {
      const page = `${health} new`;
      const one = site.publish(release(site, '1.0.0'), { 'files/page': page, 'relay/state': 'new state' });
      const command = site.command(one, { switchBy: Date.now() + 60_000 });
      run('sync', '-f', disk.mount);
      const { data: dataDirectory, depot, publicPem } = site;
      const base = { site: site.site, dataDirectory, depot, controlKeysPem: [publicPem] };
      const told = join(disk.folder, 'told.json');
      const killed = await runAgent(out, {
        ...{ ...base, envelope: site.sign(command), commandId: command.id, bootId: 'boot-1' },
        killAt: { step, nth: 1 },
        cut: { mount: disk.mount, xfsIo: found('xfs_io') ?? '', told },
      });
      expect(killed.signal).toBe('SIGKILL');
      // The disk was really gone.
      expect(() => readFileSync(join(dataDirectory, 'agent.db'))).toThrow();
      disk.remount();

      const { printed } = await runAgent(out, { ...base, commandId: command.id, bootId: 'boot-2' });
      const { settled, atStart, report, events } = JSON.parse(printed) as Printed;
      expect(atStart.filter((state) => state === 'switching' || state === 'reverting')).toEqual([]);
      if (settled.kind !== 'result') throw new Error(`unsettled: ${settled.state}`);
      expect(['confirmed', 'reverted']).toContain(settled.result.result);
      if (health === 'broken') expect(settled.result.result).toBe('reverted');
      const isNew = settled.result.result === 'confirmed';
      expect(readFileSync(site.path('live', 'conf', 'page'), 'utf8')).toBe(isNew ? page : 'healthy original');
      expect(readFileSync(site.path('controller'), 'utf8')).toBe(isNew ? 'new state' : 'old state');
      expect(report.streams['edge-proxy']?.state).toBe(settled.result.result);
      expect(events.filter((event) => event.result !== undefined)).toHaveLength(1);
      expect(judgeSiteEvents(events)).toEqual({ ok: true });
      // Nothing that anybody could have been told is gone.
      const known = JSON.parse(readFileSync(told, 'utf8')) as SiteEvent[];
      expect(known.length).toBeGreaterThan(1);
      expect(events.slice(0, known.length)).toEqual(known);
    },
  );
});
