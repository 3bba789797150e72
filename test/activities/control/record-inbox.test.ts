/** What a site told and is recorded once more, because the answer was lost: its news must not be lost with it. */
import { asyncLocalStorage, Context, type Info } from '@temporalio/activity';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { recordInbox } from '../../../activities/control/record-inbox.js';
import { CatchUpWaker } from '../../../activities/control/wake-catch-up.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { commandId, frozenPlan, Journal, report, result, status } from '../../records/registry/facts.js';

const [RUN, SITE] = ['run-1', 'osl-01'];
let registry: Registry;
beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  await registry.freeze(frozenPlan(), { firstRunId: RUN, workflowId: 'w-1' }, 1_000);
  await registry.putStatus(status(RUN, { workflowId: 'w-1' }));
});
afterEach(() => registry.close());

/** As the activity `activityId` of one run of the inbox. */
function within<T>(activityId: string, work: () => Promise<T>): Promise<T> {
  const info = { activityId, workflowExecution: { workflowId: `inbox/${SITE}`, runId: 'inbox-run' } } as Info;
  const never = new Promise<never>(() => undefined);
  const none = undefined as never;
  const context = new Context(info, never, new AbortController().signal, () => undefined, undefined, none, none, {});
  return asyncLocalStorage.run(context, work);
}

it.each([
  ['by the same activity', '1', '1', undefined, 1],
  ['by another activity, of the same delivery', '1', '2', 1, 1],
  ['by another activity that names no delivery, as of before', '1', '2', undefined, 0],
])('is told %s', async (_how, first, then, nth, again) => {
  const client = { withDeadline: (_at: number, calls: () => unknown) => calls() };
  const deps = { registry, client, now: () => 3_000 } as unknown as ControlDeps;
  const waker = new CatchUpWaker(deps);
  const journal = new Journal(SITE);
  journal.ended(result(commandId(RUN, SITE), 'confirmed'));
  const told = report(SITE, { head: journal.events[0]?.hash ?? '' });
  const record = (by: string) => within(by, () => recordInbox(deps, waker, told, journal.events, nth));
  expect((await record(first)).fresh).toMatchObject([{ firstRunId: RUN, outcomes: [{ site: SITE }] }]);
  expect((await record(then)).fresh).toHaveLength(again);
});
