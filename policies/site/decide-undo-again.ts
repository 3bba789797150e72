/**
 * An undo that failed, or was interrupted each time, is made again by itself, ever later (design §5 rule 6 "never a loop"):
 * what it needs, a service that starts slowly, a mount, room, power that stays, often comes back before a person can. The
 * site stays in safe mode whatever comes of it.
 */
import { elapsedSince, type Mark, type Moment } from './elapsed.js';

/** Ms before each further try, from the one before. After the last only a person, or a command, has it made again. */
export const UNDO_AGAIN_AFTER = [60_000, 300_000, 900_000, 3_600_000, 14_400_000] as const;

/** Since an undo failed that has something to go back to. */
export interface Stranded {
  /** When it failed last. */
  at: Mark;
  /** Tries that the site has made by itself since it failed at first. */
  tries: number;
}

/** Ms from the failure to the next try; undefined: the site tries nothing more by itself. */
export function pauseBeforeUndoAgain({ tries }: Stranded): number | undefined {
  return UNDO_AGAIN_AFTER[tries];
}

/** Ms until the next try, at least 0; undefined: the site tries nothing more by itself. */
export function timeToUndoAgain(stranded: Stranded | undefined, now: Moment): number | undefined {
  if (!stranded) return undefined;
  const pause = pauseBeforeUndoAgain(stranded);
  return pause === undefined ? undefined : Math.max(0, pause - elapsedSince(stranded.at, now));
}
