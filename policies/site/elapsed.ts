/** How much time has passed at a site, whatever its wall clock does meanwhile (design §5 rule 5). */

/** An instant as a site can know it. `now`: wall clock, epoch ms. `elapsed`: ms since the boot `bootId`. */
export interface Moment {
  now: number;
  elapsed: number;
  bootId: string;
}

/** From when time is counted. It is moved on now and then, so that a reboot forgets little of what has passed before it. */
export interface Mark extends Moment {
  /** Ms that had passed already when the mark was made here; absent: none. */
  served?: number;
}

/** How far a wall clock is believed over a reboot. */
export interface Plausible {
  /** Ms. Nothing is off for longer and then goes on where it was: such a difference is a clock that was never set. */
  longestOff: number;
  /** Epoch ms, before which no time can be true: a mark by a clock that showed one says nothing of how long it was off. */
  timeFloor: number;
}

/** In doubt a deadline has come: then something is undone, or not begun. Of holds the opposite is true (decide-hold.ts). */
const OF_DEADLINES: Plausible = { longestOff: 400 * 24 * 3_600_000, timeFloor: -Infinity };

/**
 * Ms that have passed at `at`, at least 0. Within one boot the elapsed clock tells. Across a reboot the wall difference is
 * added if it is plausible and not negative; what had passed at the mark, and what this boot has lasted, in any case.
 */
export function elapsedSince(since: Mark, at: Moment, { longestOff, timeFloor } = OF_DEADLINES): number {
  const { served = 0 } = since;
  if (since.bootId === at.bootId) return served + Math.max(0, at.elapsed - since.elapsed);
  const wall = at.now - since.now;
  const isPlausible = wall <= longestOff && since.now >= timeFloor;
  return served + Math.max(at.elapsed, isPlausible ? wall : 0);
}

/** The same beginning with its mark at `at`: what it says there asks no wall clock for the rest of that boot. */
export function marked(since: Mark, at: Moment, plausible = OF_DEADLINES): Required<Mark> {
  const { now, elapsed, bootId } = at;
  return { now, elapsed, bootId, served: elapsedSince(since, at, plausible) };
}

/** `since` as a reading of the elapsed clock of the boot that `at` is of; negative for what was before it. */
export function onThisBoot(since: Mark, at: Moment): number {
  return at.elapsed - elapsedSince(since, at);
}
