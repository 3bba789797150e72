/** What a site reports unasked goes to registry and evidence; the running rollouts that it concerns are told. */
import { Context } from '@temporalio/activity';
import { tryOf } from '../../policies/model/command-id.js';
import type { TakenDelivery } from '../../policies/model/inbox.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { InboxRecorded, LateNews } from '../contract.js';
import type { ControlDeps } from './deps.js';
import type { CatchUpWaker } from './wake-catch-up.js';

/**
 * The delivery's name makes recording it once more give the same news again: a crash after the commit must not lose it. The id
 * of the activity is no such name but for a retry of its own: one that another activity is tried after has another.
 */
export async function recordInbox(
  deps: ControlDeps,
  waker: CatchUpWaker,
  report: SiteReport,
  events: SiteEvent[],
  nth?: number,
): Promise<InboxRecorded> {
  const { activityId, workflowExecution } = Context.current().info;
  const name = nth === undefined ? activityId : `delivery ${nth}`;
  const delivery = { runId: workflowExecution?.runId ?? 'none', name };
  const { fresh, anomalies, journal } = await deps.registry.recordSiteEvents(report, events, deps.now(), delivery);
  const news = new Map<string, LateNews>();
  for (const { workflowId, firstRunId, running, event, outcome } of fresh) {
    if (!running) continue;
    const known = news.get(firstRunId) ?? { workflowId, firstRunId, outcomes: [], answers: [] };
    if (event.result?.verb === 'revert') known.answers.push(event.result);
    else known.outcomes.push({ ...outcome, ...triedAgain(event) });
    news.set(firstRunId, known);
  }
  // Only a quick way: the sweeper finds what it misses, and what the site told is recorded.
  // Who is not believed wakes no carrier: an agent that refuses and reports would be asked without end.
  const speaks = !anomalies.some(({ kind }) => kind === 'identity');
  await waker.heardOf(report, speaks).catch((error: unknown) => {
    Context.current().log.warn('catchUp was not woken', { error: String(error) });
  });
  return { fresh: [...news.values()], ...(journal === undefined ? {} : { journal }) };
}

/** A site that was commanded again must not be judged by what an earlier try ended with. */
function triedAgain({ commandId }: SiteEvent): { try?: number } {
  const number = commandId === undefined ? 1 : tryOf(commandId);
  return number > 1 ? { try: number } : {};
}

/** All at once, so that they share transactions; one that cannot be recorded takes no other with it. */
export async function recordArrivals(
  deps: ControlDeps,
  waker: CatchUpWaker,
  deliveries: TakenDelivery[],
): Promise<(InboxRecorded | null)[]> {
  const ends = await Promise.allSettled(
    deliveries.map(async ({ report, events, outbox, nth }) => {
      const recorded = await recordInbox(deps, waker, report, events, nth);
      if (outbox) await deps.registry.recordOutbox(report, outbox, deps.now());
      return recorded;
    }),
  );
  const [first] = ends;
  if (ends.length === 1 && first?.status === 'rejected') throw first.reason;
  return ends.map((end) => (end.status === 'fulfilled' ? end.value : null));
}
