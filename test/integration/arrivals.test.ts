/** The inbox that returning sites share, on a real server: few tasks for many, and nobody waits for another. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TakenDelivery } from '../../policies/model/inbox.js';
import type { SiteReport } from '../../policies/model/report.js';
import {
  ACTIVITY_SCHEDULED,
  INBOX_QUEUE,
  openInboxStage,
  TASK_DONE,
  TASK_FAILED,
  type InboxStage,
} from './inbox-stage.js';

let stage: InboxStage;
/** The sites of each call. */
let calls: string[][];
let names: string[];
/** Sites that cannot be recorded yet: how often. */
let refused: Map<string, number>;
let away: number;
let slowMs: number;

async function recordArrivals(deliveries: TakenDelivery[]): Promise<({ fresh: [] } | null)[]> {
  if (deliveries.length === 0) return [];
  calls.push(deliveries.map(({ report }) => report.site));
  names.push(...deliveries.map(({ report, nth }) => `${report.site} ${nth}`));
  await sleep(slowMs);
  if (away > 0 && away--) throw new Error('the registry is away');
  return deliveries.map(({ report: { site } }) => {
    const left = refused.get(site) ?? 0;
    refused.set(site, left - 1);
    if (left > 0 && deliveries.length === 1) throw new Error(`${site} cannot be recorded`);
    return left > 0 ? null : { fresh: [] };
  });
}

beforeAll(async () => {
  stage = await openInboxStage({ recordArrivals });
}, 120_000);
afterAll(() => stage?.close());
beforeEach(() => {
  [calls, names, away, slowMs] = [[], [], 0, 0];
  refused = new Map();
});

const deliver = (id: string, site: string, args: unknown[] = []) =>
  stage.client.workflow.signalWithStart('arrivals', {
    ...{ workflowId: `arrivals/${id}`, taskQueue: INBOX_QUEUE, args, signal: 'deliver' },
    signalArgs: [{ report: { site, epoch: 1 } as SiteReport, events: [] }],
  });
const sitesOf = (count: number) => Array.from({ length: count }, (_, at) => `s${at}`);
describe('arrivals', () => {
  it('of many sites share tasks: each is recorded once, and the run ends when all are', async () => {
    slowMs = 300;
    const handle = await deliver('many', 's0');
    for (const site of sitesOf(60).slice(1)) await deliver('many', site);
    await handle.result();
    expect(calls.flat()).toEqual(sitesOf(60));
    expect(new Set(names).size).toBe(60);
    const kinds = await stage.kindsOf('arrivals/many');
    expect(kinds.filter((kind) => kind === TASK_DONE).length).toBeLessThan(20);
    // A task that ends the run while signals come fails, and what it had recorded would be recorded again.
    expect(kinds).not.toContain(TASK_FAILED);
    // What ends the task after fifty; everything else is done within tasks.
    expect(kinds.filter((kind) => kind === ACTIVITY_SCHEDULED).length).toBeLessThanOrEqual(1);
  });

  it('one that cannot be recorded is tried again alone, and holds nobody up', async () => {
    refused.set('s1', 3);
    const handle = await deliver('one', 's0');
    await deliver('one', 's1');
    await deliver('one', 's2');
    await expect.poll(() => calls.flat().includes('s2')).toBe(true);
    await handle.result();
    expect(calls.flat().filter((site) => site === 's1').length).toBeGreaterThanOrEqual(3);
    // By one name, whatever activity carries it.
    expect(new Set(names.filter((name) => name.startsWith('s1 '))).size).toBe(1);
    expect(calls.flat().filter((site) => site === 's2')).toHaveLength(1);
  }, 60_000);

  it('waits for a registry that is away, and loses nobody', async () => {
    away = 5;
    const handle = await deliver('away', 's0');
    await deliver('away', 's1');
    await handle.result();
    expect(new Set(calls.flat())).toEqual(new Set(['s0', 's1']));
    expect(await stage.kindsOf('arrivals/away')).toContain(ACTIVITY_SCHEDULED);
  }, 60_000);

  it('a long history is followed by another run, with what came meanwhile', async () => {
    slowMs = 200;
    const first = await deliver('long', 's0', [[], 20]);
    for (const site of sitesOf(30).slice(1)) {
      await deliver('long', site, [[], 20]);
      await sleep(60);
    }
    await stage.client.workflow.getHandle('arrivals/long').result();
    expect(calls.flat()).toEqual(sitesOf(30));
    const of = await stage.client.workflow.getHandle('arrivals/long', first.signaledRunId).describe();
    expect(of.status.name).toBe('CONTINUED_AS_NEW');
  }, 60_000);

  it('ends at once where it was begun by hand with nothing to take, and drops what is no delivery', async () => {
    const started = { workflowId: 'arrivals/none', taskQueue: INBOX_QUEUE };
    expect(await (await stage.client.workflow.start('arrivals', started)).result()).toBeUndefined();
    const odd = {
      workflowId: 'arrivals/odd',
      taskQueue: INBOX_QUEUE,
      signal: 'deliver',
      signalArgs: [{ report: 'none' }],
    };
    await (await stage.client.workflow.signalWithStart('arrivals', odd)).result();
    expect(calls).toEqual([]);
  });
});

describe('arrivals behind a task that the server makes fail', () => {
  it('a burst of more than the server keeps behind one task loses nobody, and nobody has two names', async () => {
    slowMs = 500;
    const first = await deliver('burst', 's0');
    await Promise.all(sitesOf(250).map((site) => deliver('burst', site)));
    const run = stage.client.workflow.getHandle('arrivals/burst', first.signaledRunId);
    await run.result();
    expect(new Set(calls.flat())).toEqual(new Set(sitesOf(250)));
    // s0 came twice.
    expect(new Set(names).size).toBe(251);
    expect(Math.max(...calls.map(({ length }) => length))).toBe(50);
    // The server lets a timer of less than a second wait for as long as that: nobody who waits to be recorded waits for one.
    const timers = ((await run.fetchHistory()).events ?? []).flatMap(
      (event) => event.timerStartedEventAttributes ?? [],
    );
    expect(timers.map(({ startToFireTimeout }) => Number(startToFireTimeout?.seconds))).not.toContain(0);
    expect(timers.length).toBeGreaterThan(0);
    expect(await stage.kindsOf('arrivals/burst')).toContain(TASK_FAILED);
    await stage.replay('arrivals/burst');
  }, 60_000);

  it('a burst to a registry that is away loses nobody either, and is replayed as it was', async () => {
    [slowMs, away] = [500, 2];
    const first = await deliver('late', 's0');
    await Promise.all(sitesOf(150).map((site) => deliver('late', site)));
    await stage.client.workflow.getHandle('arrivals/late', first.signaledRunId).result();
    expect(new Set(calls.flat())).toEqual(new Set(sitesOf(150)));
    expect(new Set(names).size).toBe(151);
    expect(await stage.kindsOf('arrivals/late')).toContain(TASK_FAILED);
    await stage.replay('arrivals/late');
  }, 60_000);
});
