/** The inbox of a site on a real server: one task where the registry answers, and patience where it does not. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import type { SiteReport } from '../../policies/model/report.js';
import type { Delivery } from '../../policies/model/inbox.js';
import { workflowBundle } from '../infra/bundle.js';

const QUEUE = 'inboxes';
const directory = mkdtempSync(join(tmpdir(), 'inbox-'));
const closers: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
let temporal: TemporalServer;
let client: Client;
/** Calls of each effect, with the sequence that they told of; and how many of them fail yet. */
let calls: string[];
/** Which delivery of its run the events of each call were. */
let nths: (number | undefined)[];
let failing: number;
/** As control workers did that are older than the mark of the journal. */
let answersOfBefore = false;

function effect(name: string, sequence: number): void {
  calls.push(`${name} ${sequence}`);
  if (failing > 0 && failing--) throw new Error('the registry is away');
}

beforeAll(async () => {
  temporal = await startTemporal({ directory });
  closers.push(() => temporal.stop());
  const connection = await NativeConnection.connect({ address: temporal.address });
  closers.push(() => connection.close());
  const worker = await Worker.create({
    ...{ connection, taskQueue: QUEUE },
    workflowBundle: await workflowBundle(),
    activities: {
      recordInbox: async ({ sequence }: SiteReport, _events: unknown, nth?: number) => (
        nths.push(nth),
        effect('events', sequence),
        answersOfBefore ? [] : { fresh: [], journal: sequence }
      ),
      recordOutbox: async ({ sequence }: SiteReport) => (
        effect('outbox', sequence),
        { epoch: 1, performance: sequence, routine: 0 }
      ),
    },
  });
  const running = worker.run();
  closers.push(async () => {
    worker.shutdown();
    await running;
  });
  const plain = await Connection.connect({ address: temporal.address });
  closers.push(() => plain.close());
  client = new Client({ connection: plain });
}, 120_000);
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});
beforeEach(() => {
  [calls, nths, failing] = [[], [], 0];
});

const delivery = (sequence: number, outbox = false): Delivery => ({
  report: { site: 'osl-01', epoch: 1, sequence } as SiteReport,
  events: [],
  ...(outbox ? { outbox: { resource: { attributes: {} }, entries: [] } } : {}),
});

const deliver = (site: string, told: unknown) =>
  client.workflow.signalWithStart('inbox', {
    ...{ workflowId: `inbox/${site}`, taskQueue: QUEUE, args: [site] },
    ...{ signal: 'deliver', signalArgs: [told] },
  });

async function kindsOf(site: string): Promise<string[]> {
  const { events } = await client.workflow.getHandle(`inbox/${site}`).fetchHistory();
  return (events ?? []).map(({ eventType }) => String(eventType));
}
/** As the protocol numbers them. */
const TASK_DONE = '7';
const ACTIVITY_SCHEDULED = '10';
const TIMER_STARTED = '17';

describe('the inbox', () => {
  it('is one task and no timer, and ends with what is recorded of journal and outbox', async () => {
    const handle = await deliver('one', delivery(1, true));
    expect(await handle.result()).toEqual({ epoch: 1, journal: 1, performance: 1, routine: 0 });
    expect(calls).toEqual(['events 1', 'outbox 1']);
    const kinds = await kindsOf('one');
    expect(kinds.filter((kind) => kind === TASK_DONE)).toHaveLength(1);
    expect(kinds).not.toContain(ACTIVITY_SCHEDULED);
    expect(kinds).not.toContain(TIMER_STARTED);
  });

  it('waits for a registry that is away, as long as it takes, and loses nothing', async () => {
    failing = 5;
    const handle = await deliver('away', delivery(1, true));
    expect(await handle.result()).toEqual({ epoch: 1, journal: 1, performance: 1, routine: 0 });
    expect(calls).toEqual([...Array.from({ length: 6 }, () => 'events 1'), 'outbox 1']);
    expect(await kindsOf('away')).toContain(ACTIVITY_SCHEDULED);
    // By one name, whatever activity carries it: what the first has recorded and could not answer is told by the next.
    expect(nths).toEqual(Array.from({ length: 6 }, () => 1));
  });

  it('takes everything that comes while it is at work, in order', async () => {
    failing = 3;
    const handle = await deliver('many', delivery(1));
    for (let sequence = 2; sequence <= 20; sequence += 1) await deliver('many', delivery(sequence));
    await handle.result();
    for (let tries = 0; calls.at(-1) !== 'events 20' && tries < 100; tries += 1)
      await new Promise((r) => setTimeout(r, 50));
    expect([...new Set(calls)]).toEqual(Array.from({ length: 20 }, (_, at) => `events ${at + 1}`));
    expect(await client.workflow.getHandle('inbox/many').result()).toEqual({ epoch: 1, journal: 20 });
  });

  it('says nothing of the journal where the registry did not', async () => {
    answersOfBefore = true;
    try {
      expect(await (await deliver('before', delivery(1))).result()).toBeUndefined();
    } finally {
      answersOfBefore = false;
    }
  });

  it('ends at once where it was begun by hand with nothing to take, and drops what is no delivery', async () => {
    const begun = await client.workflow.start('inbox', { workflowId: 'inbox/none', taskQueue: QUEUE, args: ['none'] });
    expect(await begun.result()).toBeUndefined();
    for (const none of [
      { report: 'none' },
      { report: { site: { toString: 1 } }, events: [] },
      { report: {}, events: [] },
    ])
      expect(await (await deliver('odd', none)).result()).toBeUndefined();
    expect(calls).toEqual([]);
  });
});
