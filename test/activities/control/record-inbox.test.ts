/** What a site told and is recorded once more, because the answer was lost: its news must not be lost with it. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { recordArrivals, recordInbox } from '../../../activities/control/record-inbox.js';
import { CatchUpWaker } from '../../../activities/control/wake-catch-up.js';
import type { SiteReport } from '../../../policies/model/report.js';
import type { LogRecord } from '../../../policies/model/telemetry.js';
import { linkOutboxEntry } from '../../../policies/signing/outbox-chain.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { commandId, frozenPlan, Journal, report, result, status } from '../../records/registry/facts.js';
import { inActivity } from '../in-activity.js';

const [RUN, SITE] = ['run-1', 'osl-01'];
let registry: Registry;
let deps: ControlDeps;
let waker: CatchUpWaker;
beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  const client = { withDeadline: (_at: number, calls: () => unknown) => calls() };
  deps = { registry, client, now: () => 3_000 } as unknown as ControlDeps;
  waker = new CatchUpWaker(deps);
  await registry.freeze(frozenPlan(), { firstRunId: RUN, workflowId: 'w-1' }, 1_000);
  await registry.putStatus(status(RUN, { workflowId: 'w-1' }));
});
afterEach(() => registry.close());

/** As the activity `activityId` of one run of the inbox. */
function within<T>(activityId: string, work: () => Promise<T>): Promise<T> {
  const workflowExecution = { workflowId: `inbox/${SITE}`, runId: 'inbox-run' };
  return inActivity({ activityId, workflowExecution }, work);
}

it.each([
  ['by the same activity', '1', '1', undefined, 1],
  ['by another activity, of the same delivery', '1', '2', 1, 1],
  ['by another activity that names no delivery, as of before', '1', '2', undefined, 0],
])('is told %s', async (_how, first, then, nth, again) => {
  const journal = new Journal(SITE);
  journal.ended(result(commandId(RUN, SITE), 'confirmed'));
  const told = report(SITE, { head: journal.events[0]?.hash ?? '' });
  const record = (by: string) => within(by, () => recordInbox(deps, waker, told, journal.events, nth));
  expect((await record(first)).fresh).toMatchObject([{ firstRunId: RUN, outcomes: [{ site: SITE }] }]);
  expect((await record(then)).fresh).toHaveLength(again);
});

it('arrivals of many sites are recorded together, and one that cannot be takes no other with it', async () => {
  const none = { site: undefined } as unknown as SiteReport;
  const told = [report('osl-01'), none, report('osl-02')].map((one, at) => ({ report: one, events: [], nth: at + 1 }));
  const ends = await within('1', () => recordArrivals(deps, waker, told));
  expect(ends).toMatchObject([{ fresh: [] }, null, { fresh: [] }]);
  expect([...(await registry.reports()).keys()]).toEqual(['osl-01', 'osl-02']);
  // Alone, it is refused with the reason: so that it is tried again.
  await expect(within('2', () => recordArrivals(deps, waker, told.slice(1, 2)))).rejects.toThrow();
});

it('what arrives with samples leaves them in the registry, and its news is told once more to who asks again', async () => {
  const journal = new Journal(SITE);
  journal.ended(result(commandId(RUN, SITE), 'confirmed'));
  const head = report(SITE, { head: journal.events[0]?.hash ?? '' });
  const said = { timeUnixMs: 1, severityNumber: 9, severityText: 'INFO', body: 'looked' } as const;
  const record: LogRecord = { kind: 'log', scope: { name: 's' }, attributes: {}, ...said };
  const entry = linkOutboxEntry({ site: SITE, epoch: 1, priority: 'routine', at: 1, record });
  const outbox = { resource: { attributes: {} }, entries: [entry] };
  const told = [{ report: head, events: journal.events, outbox, nth: 7 }];
  for (const activity of ['1', '2']) {
    const [end] = await within(activity, () => recordArrivals(deps, waker, told));
    expect(end?.fresh).toMatchObject([{ firstRunId: RUN, outcomes: [{ site: SITE }] }]);
  }
  expect((await registry.siteOutbox(SITE, 9)).entries).toEqual([entry]);
});
