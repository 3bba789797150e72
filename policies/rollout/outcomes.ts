/** How the results and dispositions of a site merge into the one outcome that a rollout holds of it. */
import type { Result } from '../model/command.js';
import type { SiteOutcome } from '../model/rollout.js';

/** The outcome that a converge result gives a site. */
export function outcomeOf(result: Result, stage: string, wave: number): SiteOutcome {
  const outcome: SiteOutcome = { site: result.site, outcome: result.result, stage, wave, at: result.at };
  if (result.reason) outcome.reason = result.reason;
  if (result.cause) outcome.cause = result.cause;
  if (result.try > 1) outcome.try = result.try;
  return outcome;
}

/**
 * Merges what is newly known. What a later try says replaces all that an earlier one ended with. A result is final, save that a site that confirmed may later revert by itself; a
 * disposition never replaces a result, and a result always replaces a disposition. Only the very answer of an agent that
 * does not speak for its site is taken back.
 */
export function mergeOutcome(known: SiteOutcome | undefined, next: SiteOutcome): SiteOutcome {
  if (!known) return next;
  const isLater = (next.try ?? 1) - (known.try ?? 1);
  if (isLater !== 0) return isLater > 0 ? next : known;
  if (isDisposition(known)) return next;
  if (isDisposition(next)) return takesBack(next, known) ? next : known;
  const laterLocalRevert =
    known.outcome === 'confirmed' && (next.outcome === 'reverted' || next.outcome === 'safe-mode');
  return laterLocalRevert ? next : known;
}

/** A disposition has a time only if it takes the place of the answer that has the same one. */
function takesBack(next: SiteOutcome, known: SiteOutcome): boolean {
  return next.outcome === 'owed' && next.at !== undefined && next.at === known.at;
}

export function isDisposition(outcome: SiteOutcome): boolean {
  return outcome.outcome === 'owed' || outcome.outcome === 'deferred' || outcome.outcome === 'untouched';
}

/** The converge result that a revert's answer repeats, unless it only says that the command was replaced. */
export function repeatedResult(answer: Result): Result | undefined {
  return answer.previous && answer.previous.result !== 'superseded' ? answer.previous : undefined;
}
