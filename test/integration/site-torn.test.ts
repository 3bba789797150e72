/**
 * Row H5 of docs/faults.md, for the books of a site: a write of the database's log that came to the disk in part. What a
 * transaction wrote is there whole or not at all, and the next start ends from there what was under way.
 */
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Settled } from '../../policies/model/command.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import { judgeSiteEvents } from '../../policies/signing/chain.js';
import { directoryRelease, TestSite } from '../site/test-site.js';
import { buildRooms, dropRooms, runAgent } from './site-process.js';

let out: string;
let site: TestSite;
beforeAll(() => {
  out = buildRooms();
});
afterAll(() => dropRooms(out));
beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const log = () => join(site.data, 'agent.db-wal');
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const PAGE = 4_096;

/** Changes the last page that was written to the log: it belongs to the last transaction. */
function tear(change: (fd: number, size: number) => void): void {
  const fd = openSync(log(), 'r+');
  change(fd, statSync(log()).size);
  closeSync(fd);
}
const short = (by: number) => tear((fd, size) => ftruncateSync(fd, size - by));
const zeros = (bytes: number) => tear((fd, size) => writeSync(fd, Buffer.alloc(bytes), 0, bytes, size - bytes));
const flip = (from: number) =>
  tear((fd, size) => {
    const at = size - from;
    writeSync(fd, Buffer.from([(readFileSync(log())[at] ?? 0) ^ 4]), 0, 1, at);
  });

interface Printed {
  atStart: string[];
  settled: Settled;
  report: SiteReport;
  events: SiteEvent[];
}

describe('H5: the last write to the log of the database is', () => {
  it.each<[string, string, string, () => void, string]>([
    ['short by a byte', 'switching', 'healthy 1', () => short(1), 'confirmed'],
    ['zeros in its second half', 'watching', 'healthy 1', () => zeros(PAGE / 2), 'reverted'],
    ['short by almost all of it', 'confirmed', 'healthy 1', () => short(PAGE), 'confirmed'],
    ['wrong in one bit', 'reverting', 'broken', () => flip(PAGE / 4), 'reverted'],
    ['wrong in the last bits', 'reverted', 'broken', () => flip(1), 'reverted'],
  ])('[A32] %s, after the step %s: not believed, and the change ends once', async (_, step, text, damage, ends) => {
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': text });
    const command = site.command(one);
    const envelope = site.sign(command);
    const killed = await runAgent(out, {
      ...site.options(),
      envelope,
      commandId: command.id,
      killAt: { step, nth: 1 },
    });
    expect(killed.signal).toBe('SIGKILL');
    expect(existsSync(log())).toBe(true);
    damage();
    const { printed } = await runAgent(out, { ...site.options(), envelope, commandId: command.id });
    const { atStart, settled, report, events } = JSON.parse(printed) as Printed;
    expect(atStart.filter((state) => state === 'switching' || state === 'reverting')).toEqual([]);
    if (settled.kind !== 'result') throw new Error(`unsettled: ${settled.state}`);
    expect(settled.result.result).toBe(ends);
    expect(page()).toBe(ends === 'confirmed' ? text : 'healthy original');
    expect(report.streams['edge-proxy']?.state).toBe(ends);
    expect(events.filter((event) => event.result !== undefined)).toHaveLength(1);
    expect(judgeSiteEvents(events)).toEqual({ ok: true });
  });
});

describe('H5: the log is damaged at its beginning, which takes all that it holds', () => {
  it.each(['activated', 'watching', 'reverting'])(
    '[A32] after the step %s: that something was switched is known all the same, and it is undone',
    async (step) => {
      const one = site.publish(directoryRelease(site, '1.0.0'), {
        'files/page': step === 'reverting' ? 'broken' : 'healthy 1',
      });
      const command = site.command(one);
      const envelope = site.sign(command);
      const killed = await runAgent(out, {
        ...site.options(),
        envelope,
        commandId: command.id,
        killAt: { step, nth: 1 },
      });
      expect(killed.signal).toBe('SIGKILL');
      expect(page()).not.toBe('healthy original');
      const fd = openSync(log(), 'r+');
      writeSync(fd, Buffer.from([4]), 0, 1, 0);
      closeSync(fd);
      const { printed } = await runAgent(out, { ...site.options(), envelope, commandId: command.id });
      const { settled, report } = JSON.parse(printed) as Printed;
      expect(settled).toMatchObject({ result: { result: 'reverted', cause: 'boot' } });
      expect(report.streams['edge-proxy']?.state).toBe('reverted');
      expect(page()).toBe('healthy original');
    },
  );
});

describe('H5: a database that cannot be believed', () => {
  it.each<[string, (bytes: Buffer) => Buffer]>([
    ['has lost its head', (bytes) => bytes.fill(0, 0, 100)],
    ['has lost its end', (bytes) => bytes.subarray(0, PAGE + 100)],
    ['has a page of something else', (bytes) => bytes.fill(0x5a, PAGE, 2 * PAGE)],
  ])('and %s is no database to begin with: nothing is changed at the site', async (_, damage) => {
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const command = site.command(one);
    await runAgent(out, { ...site.options(), envelope: site.sign(command), commandId: command.id });
    const path = join(site.data, 'agent.db');
    const bytes = damage(readFileSync(path));
    const fd = openSync(path, 'w');
    writeSync(fd, bytes);
    closeSync(fd);
    // The words of STORE_BROKEN.
    await expect(runAgent(out, site.options())).rejects.toThrow('expected a usable database at');
    expect(page()).toBe('healthy 1');
  });
});
