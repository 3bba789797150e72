/** From the times of sites to the figures of the bench. Pure. */
import { median } from '../sweep/figures.js';

/** Epoch ms: when each site connected, and when it held the target; missing where it never did. */
export interface Rejoined {
  returned: Record<string, number>;
  held: Record<string, number>;
}

const SHARE = 0.99;
/** Whose wait is longer than so many medians was starved. */
const STARVED = 3;

export interface Waits {
  /** From the first site's return until 99 % hold the target; NaN if they never did. */
  seconds: number;
  medianWait: number;
  longestWait: number;
  starved: number;
  never: number;
}

export function waitsOf({ returned, held }: Rejoined): Waits {
  const sites = Object.keys(returned);
  const first = Math.min(...Object.values(returned));
  const at = sites.map((site) => held[site] ?? Infinity).sort((a, b) => a - b);
  const last = at[Math.ceil(SHARE * sites.length) - 1] ?? Infinity;
  const waits = sites.map((site) => ((held[site] ?? Infinity) - (returned[site] ?? NaN)) / 1_000);
  const middle = median(waits);
  return {
    seconds: Number.isFinite(last) ? round((last - first) / 1_000) : NaN,
    medianWait: round(middle),
    longestWait: round(Math.max(...waits)),
    starved: waits.filter((wait) => wait > STARVED * middle).length,
    never: at.filter((time) => !Number.isFinite(time)).length,
  };
}

export function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
