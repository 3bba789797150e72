import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SiteEvent } from '../../policies/model/report.js';
import { isGapEvent, SEVERITY, SPARE, type LogRecord, type SparePriority } from '../../policies/model/telemetry.js';
import { judgeSiteEvents } from '../../policies/signing/chain.js';
import { judgeOutbox, type Link } from '../../policies/signing/outbox-chain.js';
import { windowFor } from '../../policies/site/plan-outbox.js';
import { tellingLog } from '../../site/outbox/log-lines.js';
import { Outbox } from '../../site/outbox/outbox.js';
import { openDatabase, type Connection } from '../../site/store/database.js';
import { Store } from '../../site/store/store.js';
import { chanceOf, type Chance } from '../faults/random.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let directory: string;
let db: Connection;
let store: Store;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'outbox-'));
  db = openDatabase(directory);
  store = new Store(db, 'osl-01', () => 1_000);
  store.transact(() => store.putFact('epoch', 1));
});
afterEach(() => {
  store.close();
  rmSync(directory, { recursive: true, force: true });
});

const open = (bound?: number) => new Outbox(db, store, { site: 'osl-01', now: () => 1_000, bound });
const line = (n: number): LogRecord => ({
  kind: 'log',
  scope: { name: 'test' },
  attributes: { n },
  timeUnixMs: n,
  severityNumber: SEVERITY.INFO,
  severityText: 'INFO',
  body: 'x'.repeat(300),
});
const fill = (outbox: Outbox, priority: SparePriority, count: number) => {
  for (let n = 0; n < count; n += 20) {
    outbox.append(
      priority,
      Array.from({ length: Math.min(20, count - n) }, (_, i) => line(n + i)),
    );
  }
};
const journal = (): SiteEvent[] => store.eventsAfter(0, 100_000);
const gapsOf = (priority: SparePriority) =>
  journal().flatMap((event) => (isGapEvent(event) && event.detail.priority === priority ? [event.detail] : []));

/** What was kept and what was dropped, in the order of the chain. */
function linksOf(outbox: Outbox, priority: SparePriority): Link[] {
  const entries = outbox.waiting(priority, 0, 100_000).map((entry) => ({ at: entry.sequence, link: { entry } }));
  const gaps = gapsOf(priority).map((gap) => ({ at: gap.from, link: { gap } }));
  return [...entries, ...gaps].sort((a, b) => a.at - b.at).map(({ link }) => link);
}

describe('the outbox', () => {
  it('[A41] keeps within its bound; routine goes first, each drop is a gap, and both chains verify over them', () => {
    const outbox = open(100_000);
    fill(outbox, 'performance', 60);
    fill(outbox, 'routine', 1_000);
    const stored = outbox.stored();
    expect(stored.performance.bytes + stored.routine.bytes).toBeLessThanOrEqual(100_000);
    expect(stored.performance.entries).toBe(60);
    expect(gapsOf('performance')).toEqual([]);
    const dropped = gapsOf('routine').reduce((sum, { count }) => sum + count, 0);
    expect(dropped + stored.routine.entries).toBe(1_000);
    fill(outbox, 'performance', 500);
    expect(outbox.stored().routine.entries).toBe(0);
    for (const priority of ['performance', 'routine'] as const) {
      expect(judgeOutbox(linksOf(outbox, priority))).toEqual({ ok: true });
    }
    const links = linksOf(outbox, 'performance');
    const without = links.filter((link) => !('gap' in link));
    expect(without.length).toBeLessThan(links.length);
    expect(judgeOutbox(without).ok).toBe(false);
    expect(judgeSiteEvents(journal())).toEqual({ ok: true });
  });

  it('H15: under a flood the database stays bounded, and no safety event is lost', () => {
    const outbox = open(200_000);
    for (let n = 0; n < 40; n++) {
      outbox.append(
        'routine',
        Array.from({ length: 200 }, (_, i) => line(n * 200 + i)),
      );
      store.transact(() => store.append({ kind: 'staged', detail: { n } }));
    }
    const [{ page_count: pages }] = db.pragma('page_count') as [{ page_count: number }];
    expect(pages * 4096).toBeLessThan(1_500_000);
    expect(journal().filter((event) => event.kind === 'staged')).toHaveLength(40);
  });

  it('deletes nothing before it is acknowledged, and believes no mark beyond its own chain', () => {
    const outbox = open();
    fill(outbox, 'routine', 10);
    outbox.acknowledge({ epoch: 1, performance: 0, routine: 11 });
    outbox.acknowledge({ epoch: 2, performance: 0, routine: 5 });
    expect(outbox.stored().routine.entries).toBe(10);
    outbox.acknowledge({ epoch: 1, performance: 0, routine: 4 });
    expect(outbox.waiting('routine', 0, 100).map((entry) => entry.sequence)).toEqual([5, 6, 7, 8, 9, 10]);
    expect(gapsOf('routine')).toEqual([]);
  });

  it('counts what the disk did not take into a gap, and the chain goes on over it', () => {
    const outbox = open();
    fill(outbox, 'routine', 3);
    const [{ page_count: pages }] = db.pragma('page_count') as [{ page_count: number }];
    db.pragma(`max_page_count = ${pages}`);
    const many = Array.from({ length: 100 }, (_, n) => line(n));
    outbox.append('routine', many);
    db.pragma('max_page_count = 1000000');
    outbox.append('routine', [line(1)]);
    const counted = gapsOf('routine').reduce((sum, { count }) => sum + count, 0);
    expect(counted + outbox.stored().routine.entries).toBe(104);
    expect(judgeOutbox(linksOf(outbox, 'routine'))).toEqual({ ok: true });
  });

  it('[A41] makes room for a safety event that finds the disk full', () => {
    const outbox = open();
    store.onTrouble({ broken: () => undefined, makeRoom: () => outbox.shed() });
    fill(outbox, 'performance', 20);
    fill(outbox, 'routine', 100);
    const [{ page_count: pages }] = db.pragma('page_count') as [{ page_count: number }];
    db.pragma(`max_page_count = ${pages}`);
    const before = outbox.stored().performance.entries;
    for (let n = 0; n < 20; n++)
      store.transact(() => store.append({ kind: 'staged', detail: { text: 'y'.repeat(200) } }));
    expect(journal().filter((event) => event.kind === 'staged')).toHaveLength(20);
    expect(outbox.stored().routine.entries).toBe(0);
    expect(outbox.stored().performance.entries).toBe(before);
    expect(gapsOf('routine')).toMatchObject([{ from: 1, to: 100, count: 100 }]);
  });
});

/** What lies in the table of the epoch that counts. */
function tabled(): Record<SparePriority, { entries: number; bytes: number }> {
  const of = (priority: SparePriority) => {
    const rows = db
      .prepare('SELECT bytes FROM outbox WHERE epoch = ? AND priority = ?')
      .all([store.number('epoch'), priority]) as { bytes: number }[];
    return { entries: rows.length, bytes: rows.reduce((sum, { bytes }) => sum + bytes, 0) };
  };
  return { performance: of('performance'), routine: of('routine') };
}

function whileFull(work: () => void): void {
  const [{ page_count: pages }] = db.pragma('page_count') as [{ page_count: number }];
  db.pragma(`max_page_count = ${pages}`);
  work();
  db.pragma('max_page_count = 1000000');
}

/** What an agent may do to its outbox, failures of the disk and of whoever writes beside it included. */
function acts(outbox: Outbox, chance: Chance): [() => void, ...(() => void)[]] {
  const append = (count = chance.between(1, 30)) =>
    outbox.append(
      chance.pick(SPARE),
      Array.from({ length: count }, (_, n) => line(n)),
    );
  const fails = (work: () => void) =>
    expect(() =>
      store.transact(() => {
        work();
        throw new Error('the transaction failed');
      }),
    ).toThrow('the transaction failed');
  const enrol = () => store.putFact('epoch', store.number('epoch') + 1);
  return [
    append,
    append,
    append,
    () => void outbox.shed(),
    () => outbox.acknowledge({ epoch: store.number('epoch'), performance: chance.between(0, 400), routine: 0 }),
    () => outbox.acknowledge({ epoch: store.number('epoch'), performance: 0, routine: chance.between(0, 400) }),
    () => store.transact(() => append()),
    () => fails(append),
    () => fails(() => (append(), outbox.stored(), outbox.shed())),
    () => fails(() => (outbox.shed(), outbox.windowMs(), append())),
    () => fails(() => (enrol(), append(), outbox.stored())),
    () => void (chance.in(0.2) && store.transact(() => (enrol(), append()))),
    () => whileFull(() => append(150)),
    () =>
      whileFull(() => {
        try {
          store.transact(() => (append(150), store.append({ kind: 'staged', detail: { text: 'y'.repeat(9_000) } })));
        } catch {
          // what the disk did not take was rolled back, by it or by the store
        }
      }),
  ];
}

describe('how much is kept', () => {
  it.each([1, 2, 3, 4, 5, 6])('is known as the table has it, whatever failed before (seed %i)', (seed) => {
    const outbox = open(60_000);
    const chance = chanceOf(seed);
    const todo = acts(outbox, chance);
    let most = 0;
    for (let n = 0; n < 250; n++) {
      chance.pick(todo)();
      const table = tabled();
      const bytes = table.performance.bytes + table.routine.bytes;
      if (chance.in(0.7)) expect([n, outbox.stored()]).toEqual([n, table]);
      if (chance.in(0.7)) expect(outbox.windowMs()).toBe(windowFor(bytes / 60_000));
      most = Math.max(most, bytes);
    }
    expect(most).toBeGreaterThan(30_000);
    expect(outbox.stored()).toEqual(tabled());
    expect(open(60_000).stored()).toEqual(tabled());
  });

  it('is not looked up for a sample, nor for a record that is added: a site may sample every second for months', () => {
    const outbox = open();
    fill(outbox, 'routine', 100);
    outbox.windowMs();
    const asked = vi.spyOn(db, 'prepare');
    for (let n = 0; n < 100; n++) outbox.windowMs();
    outbox.append('performance', [line(1)]);
    outbox.windowMs();
    expect(asked.mock.calls.map(([sql]) => sql).filter((sql) => sql.includes('FROM outbox '))).toEqual([]);
    asked.mockRestore();
  });
});

describe('what the agent logs', () => {
  it('goes into the outbox as log records from warnings on, plain values alone, and a flood is counted', () => {
    const outbox = open();
    let now = 1_000;
    const said: string[] = [];
    const say = (_detail: object, message: string) => void said.push(message);
    const log = tellingLog({ debug: say, info: say, warn: say, error: say }, outbox, () => now);
    log.info({}, 'starting');
    log.error({ error: 'no space', code: 5, nested: { secret: 'x' } }, 'the reserve could not be made');
    for (let n = 0; n < 100; n++) log.warn({}, `again ${n}`);
    now += 600_000;
    log.warn({}, 'later');
    expect(said).toHaveLength(103);
    const records = outbox.waiting('routine', 0, 1_000).map(({ record }) => record as LogRecord);
    expect(records[0]).toEqual({
      ...{ kind: 'log', scope: { name: 'foothold.agent' }, timeUnixMs: 1_000 },
      ...{ severityNumber: 17, severityText: 'ERROR', body: 'the reserve could not be made' },
      attributes: { error: 'no space', code: 5 },
    });
    expect(records.map(({ body }) => body)).not.toContain('starting');
    expect(records).toHaveLength(61);
    expect(records.at(-1)).toMatchObject({ body: 'later', attributes: { 'foothold.suppressed': 41 } });
  });
});

it('a line that is logged after the end is lost, and ends nothing else', () => {
  const own = mkdtempSync(join(tmpdir(), 'outbox-'));
  const ended = openDatabase(own);
  const closed = new Store(ended, 'osl-01', () => 1_000);
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const log = tellingLog(silent, new Outbox(ended, closed, { site: 'osl-01', now: () => 1_000 }), () => 1_000);
  closed.close();
  // What libsql does with a closed connection would end this process, and the test with it.
  expect(() => log.warn({}, 'too late')).not.toThrow();
  rmSync(own, { recursive: true, force: true });
});

describe('checks', () => {
  it('go into the outbox as windows; a wanted one that turns sick is told at once, and once', async () => {
    const site = new TestSite();
    try {
      site.write('live/conf/page', 'healthy original');
      const agent = await site.start();
      const checks = [
        { name: 'ok', exec: ['true'], every: '50ms', failures: 2 },
        { name: 'nice', exec: ['false'], every: '50ms', failures: 2, need: 'wanted' },
      ];
      const one = site.publish(
        directoryRelease(site, '1.0.0', { checks, confirm: { within: '5s', healthyFor: '400ms' } }),
        {
          'files/page': 'healthy 1',
        },
      );
      expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
      const told = agent.history(100).filter((event) => event.kind === 'health');
      expect(told).toMatchObject([{ stream: 'edge-proxy', detail: { check: 'nice', healthy: false } }]);
      await until(() => agent.history(100).some((event) => event.kind === 'confirmed'));
      await agent.stop();
      const again = await site.open();
      const { outbox } = again.door;
      const [required] = outbox?.waiting('performance', 0, 10) ?? [];
      const [wanted] = outbox?.waiting('routine', 0, 10) ?? [];
      expect(required?.record).toMatchObject({ kind: 'metric', name: 'foothold.check.passing', min: 1, last: 1 });
      expect(wanted?.record).toMatchObject({ kind: 'metric', max: 0, attributes: { 'foothold.check': 'nice' } });
      expect(wanted?.record.kind === 'metric' && wanted.record.count).toBeGreaterThan(2);
    } finally {
      await site.clear();
    }
  });

  it('that measure have their figure in a window of its own, before what is only wanted', async () => {
    const site = new TestSite();
    try {
      site.write('live/conf/page', 'healthy original');
      const agent = await site.start();
      const metric = `http://${await agent.serveMetrics('127.0.0.1:0')}/metrics`;
      const asked = { metric, series: 'foothold_events_unacknowledged', above: -1, every: '50ms', failures: 2 };
      const ok = { name: 'ok', exec: ['true'], every: '50ms', failures: 2 };
      const checks = [ok, { name: 'backlog', ...asked, need: 'wanted' }];
      const change = { checks, confirm: { within: '5s', healthyFor: '400ms' } };
      const one = site.publish(directoryRelease(site, '1.0.0', change), { 'files/page': 'healthy 1' });
      expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
      await agent.stop();
      const waiting = (await site.open()).door.outbox?.waiting('performance', 0, 10).map(({ record }) => record);
      const records = waiting?.filter(({ attributes }) => attributes['foothold.check'] === 'backlog');
      expect(records).toMatchObject([
        {
          ...{ kind: 'metric', name: 'foothold.check.measured', unit: '1', min: expect.any(Number) as number },
          attributes: { 'foothold.check': 'backlog', 'foothold.series': 'foothold_events_unacknowledged' },
        },
      ]);
      const [window] = records ?? [];
      expect(window?.kind === 'metric' && [window.count > 1, window.max > 0]).toEqual([true, true]);
    } finally {
      await site.clear();
    }
  });
});
