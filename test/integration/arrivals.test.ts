/** The inbox that returning sites share, on a real server: few tasks for many, and nobody waits for another. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import type { TakenDelivery } from '../../policies/model/inbox.js';
import type { SiteReport } from '../../policies/model/report.js';
import { workflowBundle } from '../infra/bundle.js';
import { recordHistories } from './record-histories.js';

const QUEUE = 'arrivals';
const directory = mkdtempSync(join(tmpdir(), 'arrivals-'));
const closers: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
let temporal: TemporalServer;
let client: Client;
/** The sites of each call. */
let calls: string[][];
let names: string[];
/** Sites that cannot be recorded yet: how often. */
let refused: Map<string, number>;
let away: number;
let slowMs: number;

async function recordArrivals(deliveries: TakenDelivery[]): Promise<({ fresh: [] } | null)[]> {
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
  temporal = await startTemporal({ directory });
  closers.push(() => temporal.stop());
  const connection = await NativeConnection.connect({ address: temporal.address });
  closers.push(() => connection.close());
  const bundle = await workflowBundle();
  const worker = await Worker.create({
    ...{ connection, taskQueue: QUEUE, workflowBundle: bundle, activities: { recordArrivals } },
  });
  const running = worker.run();
  closers.push(async () => {
    worker.shutdown();
    await running;
  });
  const plain = await Connection.connect({ address: temporal.address });
  closers.push(() => plain.close());
  client = new Client({ connection: plain });
  closers.push(() => recordHistories(client));
}, 120_000);
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});
beforeEach(() => {
  [calls, names, away, slowMs] = [[], [], 0, 0];
  refused = new Map();
});

const deliver = (id: string, site: string, args: unknown[] = []) =>
  client.workflow.signalWithStart('arrivals', {
    ...{ workflowId: `arrivals/${id}`, taskQueue: QUEUE, args, signal: 'deliver' },
    signalArgs: [{ report: { site, epoch: 1 } as SiteReport, events: [] }],
  });
const sitesOf = (count: number) => Array.from({ length: count }, (_, at) => `s${at}`);
/** As the protocol numbers them. */
const [TASK_DONE, TASK_FAILED, ACTIVITY_SCHEDULED] = ['7', '9', '10'];

async function kindsOf(id: string): Promise<string[]> {
  const { events } = await client.workflow.getHandle(`arrivals/${id}`).fetchHistory();
  return (events ?? []).map(({ eventType }) => String(eventType));
}

describe('arrivals', () => {
  it('of many sites share tasks: each is recorded once, and the run ends when all are', async () => {
    slowMs = 300;
    const handle = await deliver('many', 's0');
    for (const site of sitesOf(60).slice(1)) await deliver('many', site);
    await handle.result();
    expect(calls.flat()).toEqual(sitesOf(60));
    expect(new Set(names).size).toBe(60);
    const kinds = await kindsOf('many');
    expect(kinds.filter((kind) => kind === TASK_DONE).length).toBeLessThan(20);
    // A task that ends the run while signals come fails, and what it had recorded would be recorded again.
    expect(kinds).not.toContain(TASK_FAILED);
    expect(kinds).not.toContain(ACTIVITY_SCHEDULED);
  });

  it('a burst of more than the server keeps behind one task loses nobody, and nobody has two names', async () => {
    slowMs = 500;
    const first = await deliver('burst', 's0');
    await Promise.all(sitesOf(250).map((site) => deliver('burst', site)));
    await client.workflow.getHandle('arrivals/burst', first.signaledRunId).result();
    expect(new Set(calls.flat())).toEqual(new Set(sitesOf(250)));
    // s0 came twice.
    expect(new Set(names).size).toBe(251);
    expect(Math.max(...calls.map(({ length }) => length))).toBe(50);
  }, 60_000);

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
    expect(await kindsOf('away')).toContain(ACTIVITY_SCHEDULED);
  }, 60_000);

  it('a long history is followed by another run, with what came meanwhile', async () => {
    slowMs = 200;
    const first = await deliver('long', 's0', [[], 20]);
    for (const site of sitesOf(30).slice(1)) {
      await deliver('long', site, [[], 20]);
      await sleep(60);
    }
    await client.workflow.getHandle('arrivals/long').result();
    expect(calls.flat()).toEqual(sitesOf(30));
    const of = await client.workflow.getHandle('arrivals/long', first.signaledRunId).describe();
    expect(of.status.name).toBe('CONTINUED_AS_NEW');
  }, 60_000);

  it('ends at once where it was begun by hand with nothing to take, and drops what is no delivery', async () => {
    const started = { workflowId: 'arrivals/none', taskQueue: QUEUE };
    expect(await (await client.workflow.start('arrivals', started)).result()).toBeUndefined();
    const odd = { workflowId: 'arrivals/odd', taskQueue: QUEUE, signal: 'deliver', signalArgs: [{ report: 'none' }] };
    await (await client.workflow.signalWithStart('arrivals', odd)).result();
    expect(calls).toEqual([]);
  });
});
