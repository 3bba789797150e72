/** A wait: why, whose, until when, what then (design §4.6). Its clock stands still while the rollout is paused. */
import { condition } from '@temporalio/workflow';
import type { OnFailure } from '../policies/model/strategy.js';
import type { VerbPayload } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { note, type RolloutRun } from './rollout-run.js';

export type WaitEnd =
  | { kind: 'promoted'; by: VerbPayload }
  | { kind: 'retried'; by: VerbPayload; sites: string[] }
  | { kind: 'stopped' | 'expired' | 'resolved' };

export interface WaitTerms {
  /** Milliseconds; without it there is no deadline: only a verb ends the wait. */
  within?: number;
  then: OnFailure;
  owner: string;
  /** Sites can be commanded again from here. */
  mayRetry?: true;
}

/** Waits for a person. `resolved` is asked again whenever something changes: a wait whose cause has gone ends by itself. */
export async function waitForPerson(
  run: RolloutRun,
  reason: Reason,
  terms: WaitTerms,
  resolved: () => boolean,
): Promise<WaitEnd> {
  delete run.ticket;
  delete run.retry;
  run.state = 'waiting';
  run.mayRetry = terms.mayRetry ?? false;
  let left = terms.within;
  note(run, 'wait', { reason, owner: terms.owner, within: terms.within ?? null, then: terms.then });
  // A wait for the lock is as right after a reset as before.
  const outdated = () => run.wasReset && reason.code !== 'RUN_WAS_RESET' && reason.code !== 'LOCK_LOST';
  const over = () =>
    run.stop !== undefined ||
    run.ticket !== undefined ||
    run.retry !== undefined ||
    outdated() ||
    (!run.paused && resolved());
  while (!over() && (left === undefined || left > 0)) {
    left = await waitUnpaused(run, reason, terms, left, over);
  }
  delete run.wait;
  run.mayRetry = false;
  run.dirty = true;
  const end = endOf(run, () => outdated() || resolved());
  delete run.ticket;
  delete run.retry;
  const by = 'by' in end ? { by: end.by.by, why: end.by.reason } : {};
  note(run, 'wait-ended', { reason: reason.code, end: end.kind, ...by });
  return end;
}

async function waitUnpaused(
  run: RolloutRun,
  reason: Reason,
  terms: WaitTerms,
  left: number | undefined,
  over: () => boolean,
): Promise<number | undefined> {
  const { owner, then } = terms;
  const since = Date.now();
  return spendUnpaused(run, left, over, (until) => {
    run.wait = { reason, owner, since, then, ...(until !== undefined && { until }) };
  });
}

/**
 * One stretch of a time whose clock stands still while the rollout is paused; what is left of it. Undefined: there is no end.
 * `show` is given the end that a person may be told.
 */
export async function spendUnpaused<Left extends number | undefined>(
  run: RolloutRun,
  left: Left,
  over: () => boolean,
  show: (until: number | undefined) => void,
): Promise<Left> {
  const since = Date.now();
  // The end that is shown would be false while the clock stands.
  show(left === undefined || run.paused ? undefined : since + left);
  run.dirty = true;
  if (run.paused) {
    await condition(() => !run.paused || over());
    return left;
  }
  if (left === undefined) {
    await condition(() => over() || run.paused);
    return left;
  }
  await condition(() => over() || run.paused, left);
  return (left - (Date.now() - since)) as Left;
}

function endOf(run: RolloutRun, resolved: () => boolean): WaitEnd {
  if (run.stop) return { kind: 'stopped' };
  if (run.ticket) return { kind: 'promoted', by: run.ticket };
  if (run.retry) return { kind: 'retried', by: run.retry.payload, sites: run.retry.sites };
  return { kind: resolved() ? 'resolved' : 'expired' };
}
