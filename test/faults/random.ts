/** Chance that repeats: the same seed gives the same numbers on every machine. */

export interface Chance {
  /** From 0, below 1. */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** True in `share` of the cases. */
  in(share: number): boolean;
  pick<const T>(of: readonly [T, ...T[]]): T;
  shuffled<T>(of: readonly T[]): T[];
}

/** mulberry32: small, and good enough to spread faults. */
export function chanceOf(seed: number): Chance {
  let state = (seed * 0x9e3779b1 + 0x7f4a7c15) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    between,
    in: (share) => next() < share,
    pick: (of) => of[between(0, of.length - 1)] ?? of[0],
    shuffled(of) {
      const left = [...of];
      return of.map(() => left.splice(between(0, left.length - 1), 1)).flat();
    },
  };
}
