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

/** One whose directories read back differently, or what is live, of which the blobs alone are judged. */
export interface DamagedRelease {
  live: boolean;
  /** Every file of its trees is whole among the blobs, or could be taken from a whole directory. */
  blobsWhole: boolean;
  /** Published, and not copied from what was live: the depot has its files. */
  inDepot: boolean;
}

/**
 * `leave`: nothing is damaged, or only the directory that is live, which programs read at this instant and write into: it is
 * never mended in place, an undo to it makes it anew, and drift tells how it differs. `remake`: from the blobs, beside the
 * damaged one. `refetch`: from the depot; of what is live only the blobs. `alarm`: nothing left to make it from.
 */
export function decideHealing({ live, blobsWhole, inDepot }: DamagedRelease): 'leave' | 'remake' | 'refetch' | 'alarm' {
  if (blobsWhole) return live ? 'leave' : 'remake';
  return inDepot ? 'refetch' : 'alarm';
}
