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

/**
 * Bytes of JSON in one payload: Temporal refuses more than 2 MiB at every try, and the report goes with it. What is left over
 * comes next.
 */
export const PAYLOAD_BYTES = 512 * 1024;

/** Of a journal or a queue from its first on. The first goes whatever its size: nothing behind it could ever go before it. */
export function fits({ entries, bytes }: Stored, within: Stored): boolean {
  return entries === 1 || (entries <= within.entries && bytes <= within.bytes);
}

export function bytesOf(item: unknown): number {
  return new TextEncoder().encode(JSON.stringify(item)).length;
}

/** How many of the first go: at least one, if there is any. */
export function leading(sizes: readonly number[], within: Stored): number {
  let bytes = 0;
  for (const [index, size] of sizes.entries()) {
    bytes += size;
    if (!fits({ entries: index + 1, bytes }, within)) return index;
  }
  return sizes.length;
}

/** A page within both bounds, from the bytes of what waits: the last has its floor of the bytes as well. Something always goes. */
export function cutPage(sizes: Record<Priority, readonly number[]>, { entries, bytes }: Stored): Counts {
  const { safety, performance, routine } = sizes;
  const waiting = { safety: safety.length, performance: performance.length, routine: routine.length };
  const plan = planPage(waiting, entries);
  const floor = plan.routine > 0 ? bytes * ROUTINE_FLOOR : 0;
  const first = cut(safety.slice(0, plan.safety), bytes - floor, true);
  const second = cut(performance.slice(0, plan.performance), bytes - floor - first.bytes, first.entries === 0);
  const room = Math.max(floor, bytes - first.bytes - second.bytes);
  const last = cut(routine.slice(0, plan.routine), room, first.entries + second.entries === 0);
  return { safety: first.entries, performance: second.entries, routine: last.entries };
}

/** `must`: nothing else is in the page. */
function cut(sizes: readonly number[], bytes: number, must: boolean): Stored {
  const entries = must || (sizes[0] ?? 0) <= bytes ? leading(sizes, { entries: sizes.length, bytes }) : 0;
  return { entries, bytes: sizes.slice(0, entries).reduce((sum, size) => sum + size, 0) };
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
