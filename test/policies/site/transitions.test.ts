import { describe, expect, it } from 'vitest';
import { SITE_STATES, type SiteState } from '../../../policies/model/command.js';
import {
  IllegalTransition,
  isAtRest,
  isChanging,
  nextState,
  STREAM_EVENTS,
  type StreamEvent,
} from '../../../policies/site/transitions.js';

/** Written out a second time on purpose: a change of the table has to be meant. */
const LEGAL: [SiteState, StreamEvent, SiteState][] = [
  ...(['idle', 'confirmed', 'rejected', 'reverted', 'safe-mode'] as const).flatMap(
    (state): [SiteState, StreamEvent, SiteState][] => [
      [state, 'accept', 'accepted'],
      [state, 'undo', 'reverting'],
      [state, 'adopt', 'confirmed'],
    ],
  ),
  ['accepted', 'accept', 'accepted'],
  ['accepted', 'stage', 'staged'],
  ['accepted', 'reject', 'rejected'],
  ['accepted', 'undo', 'reverting'],
  ['accepted', 'answer-confirmed', 'confirmed'],
  ['accepted', 'answer-reverted', 'reverted'],
  ['staged', 'accept', 'accepted'],
  ['staged', 'reject', 'rejected'],
  ['staged', 'switch', 'switching'],
  ['staged', 'answer-confirmed', 'confirmed'],
  ['switching', 'watch', 'watching'],
  ['switching', 'undo', 'reverting'],
  ['watching', 'confirm', 'confirmed'],
  ['watching', 'undo', 'reverting'],
  ['reverting', 'undo', 'reverting'],
  ['reverting', 'undone', 'reverted'],
  ['reverting', 'strand', 'safe-mode'],
];

describe('the table of states', () => {
  const pairs = SITE_STATES.flatMap((state) => STREAM_EVENTS.map((event) => [state, event] as const));
  it.each(pairs)('[A13] %s takes %s as written, or refuses it', (state, event) => {
    const found = LEGAL.find(([from, by]) => from === state && by === event);
    if (found) expect(nextState(state, event)).toBe(found[2]);
    else expect(() => nextState(state, event)).toThrow(IllegalTransition);
  });

  it('what has begun to change the site never takes a command, a rejection or a confirmation by the way', () => {
    for (const state of SITE_STATES.filter(isChanging)) {
      for (const event of ['accept', 'reject', 'answer-confirmed', 'adopt'] as const) {
        expect(() => nextState(state, event)).toThrow(IllegalTransition);
      }
    }
  });

  it('confirmed is reached from watching, by adoption, or because nothing had to change', () => {
    const ways = pairs.filter(([state, event]) =>
      LEGAL.some(([s, e, to]) => s === state && e === event && to === 'confirmed'),
    );
    expect(new Set(ways.map(([, event]) => event))).toEqual(new Set(['confirm', 'adopt', 'answer-confirmed']));
    expect(SITE_STATES.filter(isAtRest)).toEqual(['idle', 'confirmed', 'rejected', 'reverted', 'safe-mode']);
  });
});
