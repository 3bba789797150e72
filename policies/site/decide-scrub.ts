/** When what is kept is read back, and what is done about what reads back differently (design §5 "Store"; fault H8). */

/** All that is kept is read once in this time: bit rot found later than that may meet an undo. */
export const SCRUB_EVERY_MS = 24 * 60 * 60_000;
/** A pause after each file, so long as the file took to read: the scrub takes at most half of one disk, and far less of most. */
export const SCRUB_SHARE = 4;

/** `now`, `scrubbedAt`: epoch ms. A clock that was set back makes the next scrub due, not far. */
export function scrubDueIn(now: number, scrubbedAt: number | undefined, everyMs: number): number {
  if (scrubbedAt === undefined || scrubbedAt > now) return 0;
  return Math.max(0, scrubbedAt + everyMs - now);
}

export interface DamagedRelease {
  live: boolean;
  /** Every file of its trees is whole among the blobs, or could be taken from a whole directory. */
  blobsWhole: boolean;
  /** Published, and not copied from what was live: the depot has its files. */
  inDepot: boolean;
}

/**
 * `remake`: from the blobs, beside the damaged one. `refetch`: from the depot. `alarm`: nothing left to make it from.
 * What is live is never mended in place by the scrub: programs read it at this instant.
 */
export function decideHealing({ live, blobsWhole, inDepot }: DamagedRelease): 'remake' | 'refetch' | 'alarm' {
  if (live) return 'alarm';
  if (blobsWhole) return 'remake';
  return inDepot ? 'refetch' : 'alarm';
}
