/** What the guard does with a stream at a start of the agent, before any connection (design §5 rules 1, 5, 6). */
import type { Cause, SiteState } from '../model/command.js';
import type { Reason } from '../model/verdict.js';
import { elapsedSince, type Mark, type Moment } from './elapsed.js';

/** Restarts while watching that are survived, reboots among them; the next one undoes. */
export const RESTARTS_SURVIVED = 2;
/**
 * Times that an undo is begun before it is given up as interrupted: the stream is then left in safe mode, and the undo made
 * again ever later (decide-undo-again.ts), so many times each. Never a loop: both numbers are on disk before it is begun.
 */
export const UNDO_ATTEMPTS = 3;

export interface StoredTrial {
  bootId: string;
  switchedAt: number;
  switchedElapsed: number;
  /** Where the time since the switch is counted from now; absent: from the switch itself. */
  mark?: Mark;
  within: number;
  /** Restarts while watching before this one. */
  restarts: number;
  /** Times that the undo was begun. */
  undoAttempts: number;
}
export type BootDecision =
  | { kind: 'carry-on' }
  | { kind: 'resume-watch' }
  | { kind: 'undo'; cause: Cause; reason: Reason }
  | { kind: 'finish-undo' }
  | { kind: 'give-up'; reason: Reason };

/** A stream found in `switching`, `watching` or `reverting` has a trial; without one the store is at fault, and says so. */
export function decideAtBoot(state: SiteState, trial: StoredTrial | undefined, at: Moment): BootDecision {
  switch (state) {
    case 'switching':
      return { kind: 'undo', cause: 'boot', reason: { code: 'CRASH_IN_SWITCH', detail: 'found switching at start' } };
    case 'watching':
      return decideWatching(required(trial, state), at);
    case 'reverting':
      return decideReverting(required(trial, state));
    case 'idle':
    case 'accepted':
    case 'staged':
    case 'confirmed':
    case 'rejected':
    case 'reverted':
    case 'safe-mode':
      return { kind: 'carry-on' };
  }
}

function decideWatching(trial: StoredTrial, at: Moment): BootDecision {
  if (elapsedSince(switchOf(trial), at) >= trial.within) {
    const detail = `the ${trial.within} ms to confirm passed while the agent was down`;
    return { kind: 'undo', cause: 'deadline', reason: { code: 'DEADLINE_PASSED', detail } };
  }
  if (trial.restarts >= RESTARTS_SURVIVED) {
    const detail = `restart ${trial.restarts + 1} of agent or machine while the release was being watched`;
    return { kind: 'undo', cause: 'boot', reason: { code: 'RESTARTS', detail } };
  }
  return { kind: 'resume-watch' };
}

/** The durable switch, from which `within` counts. */
export function switchOf({
  mark,
  bootId,
  switchedAt,
  switchedElapsed,
}: Pick<StoredTrial, 'mark' | 'bootId' | 'switchedAt' | 'switchedElapsed'>): Mark {
  return mark ?? { bootId, now: switchedAt, elapsed: switchedElapsed };
}

function decideReverting(trial: StoredTrial): BootDecision {
  if (trial.undoAttempts < UNDO_ATTEMPTS) return { kind: 'finish-undo' };
  const detail = `the undo was begun ${trial.undoAttempts} times and never ended`;
  return { kind: 'give-up', reason: { code: 'REVERT_FAILED', detail } };
}

function required(trial: StoredTrial | undefined, state: SiteState): StoredTrial {
  if (trial) return trial;
  throw new TypeError(`the store says ${state} and has no trial; the site's database is damaged`);
}
