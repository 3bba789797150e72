/**
 * What goes on changing is told ever less often: no event of the journal is dropped before the centre has it, which may be
 * months. How it is now every report says.
 */
export interface Told {
  toldAt: number;
  /** Ms from `toldAt` in which it is not told again. */
  pause: number;
}

/** Ms. */
export interface Pauses {
  /** After the first change that is told. */
  first: number;
  /** After the next one; from there on it doubles, up to `longest`. */
  second: number;
  longest: number;
  /** Told again only after this, and twice its pause, it is the first one again. */
  calm: number;
}

/** A clock that was set back ends the pause. */
export function isPaused({ toldAt, pause }: Told, now: number): boolean {
  return now >= toldAt && now - toldAt < pause;
}

/** The pause that begins where it is told now. */
export function nextPause(known: Told | undefined, now: number, { first, second, longest, calm }: Pauses): number {
  const goesOn = known !== undefined && now >= known.toldAt && now - known.toldAt < Math.max(2 * known.pause, calm);
  return goesOn ? Math.min(Math.max(2 * known.pause, second), longest) : first;
}
