/** How much time has passed at a site, whatever its wall clock does meanwhile (design §5 rule 5). */

/** An instant as a site can know it. `now`: wall clock, epoch ms. `elapsed`: ms since the boot `bootId`. */
export interface Moment {
  now: number;
  elapsed: number;
  bootId: string;
}

/** Nothing is off for longer and then goes on where it was: such a difference is a clock that was never set. */
const LONGEST_OFF_MS = 400 * 24 * 3_600_000;

/**
 * Ms from `since` to `at`, at least 0. Within one boot the elapsed clock tells. Across a reboot the wall difference is
 * taken if it is plausible and not negative; what this boot has lasted has passed in any case.
 */
export function elapsedSince(since: Moment, at: Moment): number {
  if (since.bootId === at.bootId) return Math.max(0, at.elapsed - since.elapsed);
  const wall = at.now - since.now;
  return Math.max(at.elapsed, wall <= LONGEST_OFF_MS ? wall : 0);
}

/** `since` as a reading of the elapsed clock of the boot that `at` is of; negative for what was before it. */
export function onThisBoot(since: Moment, at: Moment): number {
  return at.elapsed - elapsedSince(since, at);
}
