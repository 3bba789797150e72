/** The inbox of a site on a real server: one task where the registry answers, and patience where it does not. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SiteReport } from '../../policies/model/report.js';
import type { Delivery } from '../../policies/model/inbox.js';
import {
  ACTIVITY_SCHEDULED,
  INBOX_QUEUE,
  openInboxStage,
  TASK_DONE,
  TIMER_STARTED,
  type InboxStage,
} from './inbox-stage.js';

let stage: InboxStage;
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
  stage = await openInboxStage({
    recordInbox: async ({ sequence }: SiteReport, _events: unknown, nth?: number) => (
      nths.push(nth),
      effect('events', sequence),
      answersOfBefore ? [] : { fresh: [], journal: sequence }
    ),
    recordOutbox: async ({ sequence }: SiteReport) => (
      effect('outbox', sequence),
      { epoch: 1, performance: sequence, routine: 0 }
    ),
  });
}, 120_000);
afterAll(() => stage?.close());
beforeEach(() => {
  [calls, nths, failing] = [[], [], 0];
});

const delivery = (sequence: number, outbox = false): Delivery => ({
  report: { site: 'osl-01', epoch: 1, sequence } as SiteReport,
  events: [],
  ...(outbox ? { outbox: { resource: { attributes: {} }, entries: [] } } : {}),
});

const deliver = (site: string, told: unknown) =>
  stage.client.workflow.signalWithStart('inbox', {
    ...{ workflowId: `inbox/${site}`, taskQueue: INBOX_QUEUE, args: [site] },
    ...{ signal: 'deliver', signalArgs: [told] },
  });

describe('the inbox', () => {
  it('is one task and no timer, and ends with what is recorded of journal and outbox', async () => {
    const handle = await deliver('one', delivery(1, true));
    expect(await handle.result()).toEqual({ epoch: 1, journal: 1, performance: 1, routine: 0 });
    expect(calls).toEqual(['events 1', 'outbox 1']);
    const kinds = await stage.kindsOf('inbox/one');
    expect(kinds.filter((kind) => kind === TASK_DONE)).toHaveLength(1);
    expect(kinds).not.toContain(ACTIVITY_SCHEDULED);
    expect(kinds).not.toContain(TIMER_STARTED);
  });

  it('waits for a registry that is away, as long as it takes, and loses nothing', async () => {
    failing = 5;
    const handle = await deliver('away', delivery(1, true));
    expect(await handle.result()).toEqual({ epoch: 1, journal: 1, performance: 1, routine: 0 });
    expect(calls).toEqual([...Array.from({ length: 6 }, () => 'events 1'), 'outbox 1']);
    expect(await stage.kindsOf('inbox/away')).toContain(ACTIVITY_SCHEDULED);
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
    expect(await stage.client.workflow.getHandle('inbox/many').result()).toEqual({ epoch: 1, journal: 20 });
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
    const begun = await stage.client.workflow.start('inbox', {
      workflowId: 'inbox/none',
      taskQueue: INBOX_QUEUE,
      args: ['none'],
    });
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
