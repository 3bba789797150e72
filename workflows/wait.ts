/** Waits: why, whose, until when, what then (design §4.6). Their clocks stop while the rollout is paused. */
import { condition } from '@temporalio/workflow';
import type { VerbPayload } from '../policies/model/rollout.js';
import type { OnFailure } from '../policies/model/strategy.js';
import type { Reason } from '../policies/model/verdict.js';
import { note, type RolloutRun } from './rollout-run.js';

export type WaitEnd = { kind: 'promoted'; by: VerbPayload } | { kind: 'stopped' | 'expired' | 'resolved' };

/**
 * Waits for a person. `resolved` is asked again whenever something changes: a wait whose cause has gone ends by
 * itself. Without `within` there is no deadline: only a verb ends it.
 */
export async function waitForPerson(
  run: RolloutRun,
  reason: Reason,
  terms: { within?: number; then: OnFailure; owner: string },
  resolved: () => boolean,
): Promise<WaitEnd> {
  takeTicket(run);
  run.state = 'waiting';
  let left = terms.within;
  note(run, 'wait', { reason, owner: terms.owner, within: terms.within ?? null, then: terms.then });
  const over = () => run.stop !== undefined || run.ticket !== undefined || (!run.paused && resolved());
  while (!over() && (left === undefined || left > 0)) {
    left = await waitUnpaused(run, reason, terms, left, over);
  }
  delete run.wait;
  run.dirty = true;
  const ticket = takeTicket(run);
  const end = endOf(run, ticket, resolved);
  note(run, 'wait-ended', {
    reason: reason.code,
    end: end.kind,
    ...(ticket ? { by: ticket.by, why: ticket.reason } : {}),
  });
  return end;
}

async function waitUnpaused(
  run: RolloutRun,
  reason: Reason,
  terms: { then: OnFailure; owner: string },
  left: number | undefined,
  over: () => boolean,
): Promise<number | undefined> {
  const since = Date.now();
  run.wait = {
    reason,
    owner: terms.owner,
    since,
    then: terms.then,
    ...(left === undefined ? {} : { until: since + left }),
  };
  run.dirty = true;
  if (run.paused) {
    // The deadline shown would be false while the clock stands.
    delete run.wait.until;
    await condition(() => !run.paused || over());
    return left;
  }
  if (left === undefined) {
    await condition(() => over() || run.paused);
    return left;
  }
  await condition(() => over() || run.paused, left);
  return left - (Date.now() - since);
}

function takeTicket(run: RolloutRun): VerbPayload | undefined {
  const { ticket } = run;
  delete run.ticket;
  return ticket;
}

function endOf(run: RolloutRun, ticket: VerbPayload | undefined, resolved: () => boolean): WaitEnd {
  if (run.stop) return { kind: 'stopped' };
  if (ticket) return { kind: 'promoted', by: ticket };
  return { kind: resolved() ? 'resolved' : 'expired' };
}
