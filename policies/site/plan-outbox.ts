/** What travels first, and what is dropped first (design §5 rule 11). */
import type { Priority, SparePriority } from '../model/telemetry.js';

/** Of every page, for what comes last: it must not starve behind a journal or samples that never end. */
export const ROUTINE_FLOOR = 0.1;
/** Of a priority, dropped at once: each drop is an entry in the journal. */
const DROPPED_AT_ONCE = 0.25;

export type Counts = Record<Priority, number>;

/** How many of each go into a page of `limit`: strictly in order, but for the floor of the last. */
export function planPage(waiting: Counts, limit: number): Counts {
  const floor = Math.min(waiting.routine, Math.max(1, Math.floor(limit * ROUTINE_FLOOR)), Math.max(0, limit - 1));
  const safety = Math.min(waiting.safety, limit - floor);
  const performance = Math.min(waiting.performance, limit - floor - safety);
  return { safety, performance, routine: Math.min(waiting.routine, limit - safety - performance) };
}

export interface Stored {
  entries: number;
  bytes: number;
}

/** What to drop to come below `bound` bytes; undefined: nothing has to, or nothing is left. Routine goes first. */
export function decideDrop(
  stored: Record<SparePriority, Stored>,
  bound: number,
): { priority: SparePriority; entries: number } | undefined {
  if (stored.routine.bytes + stored.performance.bytes <= bound) return undefined;
  const priority = stored.routine.entries > 0 ? 'routine' : 'performance';
  const { entries } = stored[priority];
  return entries === 0 ? undefined : { priority, entries: Math.max(1, Math.ceil(entries * DROPPED_AT_ONCE)) };
}

const MINUTE = 60_000;

/**
 * How long samples are gathered into one, ms: `usual` for the link (absent: a minute), and longer the more waits for it. `share` of the bound that
 * is used.
 */
export function windowFor(share: number, usual = MINUTE): number {
  if (share < 0.25) return usual;
  return Math.max(usual, share < 0.5 ? 10 * MINUTE : 60 * MINUTE);
}
