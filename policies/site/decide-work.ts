/** What a stream does next, decided from what is stored alone: a restart resumes where the store says it is. */
import type { SiteState, Verb } from '../model/command.js';
import { isAtRest } from './transitions.js';

export interface WorkSituation {
  state: SiteState;
  /** Of the command under way. */
  verb?: Verb;
  /** A newer command waits. */
  queued: boolean;
  /** A person at the site asked for an undo of what is live. */
  person: boolean;
  /** What is live was confirmed less than `watchFor` ago. */
  guarded?: boolean;
  /** At rest in safe mode, whatever was answered since: the undo that failed will be made again. */
  undoAgain?: boolean;
}

/**
 * `undo-crash`: a switch that ended neither way. `supersede`: the command under way ends, with nothing switched.
 * `undo-superseded`: it ends, and what it switched is undone, so that only confirmed releases are ever gone back to.
 * `undo-again`: waits until an undo that failed is due again, and makes it.
 * `watch-confirmed`: checks go on after the confirmation (design §5 rule 7), until a command or a person wants something.
 */
export type Work =
  | 'undo-crash'
  | 'finish-undo'
  | 'undo-by-person'
  | 'begin-queued'
  | 'supersede'
  | 'undo-superseded'
  | 'stage'
  | 'activate'
  | 'watch'
  | 'carry-out-revert'
  | 'watch-confirmed'
  | 'undo-again'
  | 'nothing';

export function decideWork(situation: WorkSituation): Work {
  const { state, verb, queued, person, guarded = false, undoAgain = false } = situation;
  if (state === 'switching') return 'undo-crash';
  if (state === 'reverting') return 'finish-undo';
  if (person && mayUndoLive(state, verb)) return 'undo-by-person';
  if (queued && isAtRest(state)) return 'begin-queued';
  if (queued) return state === 'watching' ? 'undo-superseded' : 'supersede';
  if (state === 'accepted') return verb === 'revert' ? 'carry-out-revert' : 'stage';
  if (state === 'staged') return 'activate';
  if (state === 'watching') return 'watch';
  if (undoAgain) return 'undo-again';
  if (state === 'safe-mode') return 'nothing';
  return guarded ? 'watch-confirmed' : 'nothing';
}

/** Also beside a change that waits to be staged or switched: it can wait for a depot or a link that stays away. */
export function mayUndoLive(state: SiteState, verb?: Verb): boolean {
  if (state === 'accepted' || state === 'staged') return verb !== 'revert';
  return state === 'watching' || isAtRest(state);
}
