/**
 * Sites that may not be commanded now (design §2 "deferred", §4.7): kept apart, without a slot, and asked for again
 * under the same command id: when their time comes, or ever less often, until their `settleBy`.
 */
import { condition } from '@temporalio/workflow';
import type { DeferredCommand } from '../activities/contract.js';
import type { SiteOutcome } from '../policies/model/rollout.js';
import type { Deferral } from './messages.js';
import { askRefused, nextRefused } from './shard-refused.js';
import { dispositionOf, linkOf, recordDisposition, tellRollout, type ShardRun } from './shard-run.js';

const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 60_000;

export function defer(run: ShardRun, answer: DeferredCommand): void {
  const now = Date.now();
  const { site, deferred: reason, until } = answer;
  const known = run.deferred.get(site);
  const changed = known?.reason.code !== reason.code || known.until !== until;
  const pause = changed ? FIRST_PAUSE : Math.min(2 * known.pause, LONGEST_PAUSE);
  const settleBy = Math.max(known?.settleBy ?? now + patienceOf(run, site), (until ?? 0) + patienceOf(run, site));
  const deferral: Deferral = {
    site,
    reason,
    // A person may lift what it waits for before its time.
    askAt: until !== undefined && until > now ? Math.min(until, now + pause) : now + pause,
    pause,
    settleBy,
    asking: false,
    ...(until === undefined ? {} : { until }),
  };
  run.deferred.set(site, deferral);
  if (!changed) return;
  const outcome = outcomeOf(run, deferral);
  recordDisposition(run, outcome);
  tellRollout(run, { outcomes: [outcome] });
}

/** The site is commanded after all: the rollout no longer counts it with the absent. */
export function endDeferral(run: ShardRun, site: string): void {
  if (!run.deferred.delete(site)) return;
  tellRollout(run, { outcomes: [dispositionOf(run, site, 'untouched')] });
}

/** For as long as the shard runs: puts deferred and refused sites back among the pending ones when they are due. */
export async function keepAsking(run: ShardRun): Promise<void> {
  for (;;) {
    await condition(() => run.closing || nextDue(run) < Infinity);
    if (run.closing) return;
    const due = nextDue(run);
    // A stop in the same workflow task has given them up.
    if (due === Infinity) continue;
    const left = due - Date.now();
    if (left > 0) await condition(() => run.closing || nextDue(run) < due, left);
    takeDue(run, Date.now());
  }
}

function nextDue(run: ShardRun): number {
  let next = nextRefused(run);
  for (const { asking, askAt, settleBy } of run.deferred.values()) {
    if (!asking) next = Math.min(next, askAt, settleBy);
  }
  return next;
}

function takeDue(run: ShardRun, now: number): void {
  for (const deferral of run.deferred.values()) {
    if (deferral.asking) continue;
    if (deferral.settleBy <= now) giveUp(run, deferral);
    else if (deferral.askAt <= now) ask(run, deferral);
  }
  askRefused(run, now);
}

function ask(run: ShardRun, deferral: Deferral): void {
  const site = run.sites.get(deferral.site);
  if (!site) return;
  deferral.asking = true;
  run.pending.unshift(site);
}

/** The outcome stays `deferred`: told and recorded already. */
function giveUp(run: ShardRun, deferral: Deferral): void {
  run.deferred.delete(deferral.site);
  run.outcomes.set(deferral.site, outcomeOf(run, deferral));
}

function outcomeOf(run: ShardRun, { site, reason, until }: Deferral): SiteOutcome {
  // It counts as changing for its redundancy group.
  const state = run.unsure.has(site) && { state: 'accepted' as const };
  return { ...dispositionOf(run, site, 'deferred'), reason, ...(until !== undefined && { until }), ...state };
}

function patienceOf(run: ShardRun, site: string): number {
  return run.input.settleWithin === 'link' ? linkOf(run, site).settleWithin : run.input.settleWithin;
}
