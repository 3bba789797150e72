/** The states of a stream at a site (design §5): the whole table, on one screen. What it does not list is illegal. */
import type { SiteState } from '../model/command.js';

/**
 * What can happen to a stream. `undo` begins the one revert; `undone` and `strand` are its two ends. `answer` ends a
 * command that had nothing to change: a converge to what is live already, a revert of what is not live.
 */
export const STREAM_EVENTS = [
  'accept',
  'stage',
  'reject',
  'switch',
  'watch',
  'confirm',
  'undo',
  'undone',
  'strand',
  'adopt',
  'answer-confirmed',
  'answer-reverted',
] as const;
export type StreamEvent = (typeof STREAM_EVENTS)[number];

type Row = Partial<Record<StreamEvent, SiteState>>;

/** Where a stream rests: nothing is under way, a command may begin, a person may adopt or undo what is live. */
const RESTS: Row = { accept: 'accepted', undo: 'reverting', adopt: 'confirmed' };

export const TRANSITIONS: Record<SiteState, Row> = {
  idle: RESTS,
  accepted: {
    accept: 'accepted', // superseded before anything was switched
    stage: 'staged',
    reject: 'rejected',
    undo: 'reverting', // a revert command whose release is live
    'answer-confirmed': 'confirmed',
    'answer-reverted': 'reverted',
  },
  staged: {
    accept: 'accepted',
    reject: 'rejected',
    switch: 'switching',
    'answer-confirmed': 'confirmed',
  },
  // No `accept` here nor in `reverting`: what has begun to change the site is ended before anything else begins.
  switching: { watch: 'watching', undo: 'reverting' },
  watching: { confirm: 'confirmed', undo: 'reverting' },
  confirmed: RESTS,
  rejected: RESTS,
  reverting: { undo: 'reverting', undone: 'reverted', strand: 'safe-mode' },
  reverted: RESTS,
  'safe-mode': RESTS,
};

/** A bug in the agent: something happened that the table does not allow. The stream is left as it is. */
export class IllegalTransition extends Error {
  override readonly name = 'IllegalTransition';
  constructor(
    readonly state: SiteState,
    readonly event: StreamEvent,
  ) {
    super(`a stream that is ${state} cannot take the event ${event}; see policies/site/transitions.ts`);
  }
}

/** The state after `event`; throws IllegalTransition where the table has no entry. */
export function nextState(state: SiteState, event: StreamEvent): SiteState {
  const next = TRANSITIONS[state][event];
  if (next === undefined) throw new IllegalTransition(state, event);
  return next;
}

/** True while no command of the stream is under way. */
export function isAtRest(state: SiteState): boolean {
  return TRANSITIONS[state] === RESTS;
}

/** True while the site itself is being changed: a newer command waits until that has ended. */
export function isChanging(state: SiteState): boolean {
  return state === 'switching' || state === 'reverting';
}
