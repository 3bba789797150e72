/**
 * When the mark of something that counts time is moved on (design §5 rule 5). Every move is a write of its row, and flash wears;
 * every reboot whose length the wall clock does not tell costs what has passed since the last move.
 */
import { elapsedSince, type Mark, type Moment } from './elapsed.js';

/** More often is never worth the write. */
export const MARK_LEAST_MS = 5_000;
/** A trial holds the site open, and ends after minutes: its row is small, and there are few writes of it. */
export const MARK_TRIAL_MS = 60_000;
/** Commands wait, releases are watched and undos are made again for hours and days; their rows are large. */
export const MARK_OTHERS_MS = 600_000;

/**
 * Of what lasts `lasts` ms, moved at least every `every` ms. A tenth of it may be lost, and a tenth of what this boot has lasted: a
 * machine that starts again every few minutes would else never come to the end of a day.
 */
export function isMarkDue(since: Mark, at: Moment, { lasts, every }: { lasts: number; every: number }): boolean {
  const { served = 0 } = since;
  if (served >= lasts) return false;
  // At once: a wall clock that is set later in this boot must find nothing left to tell.
  if (since.bootId !== at.bootId) return true;
  // The end too is kept: it must not be before it again after a reboot.
  if (elapsedSince(since, at) >= lasts) return true;
  const pause = Math.max(MARK_LEAST_MS, Math.min(lasts, at.elapsed) / 10);
  return at.elapsed - since.elapsed >= Math.min(every, pause);
}
