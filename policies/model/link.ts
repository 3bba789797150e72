/** The link of a site: its built-in classes, how often a site speaks over each, and how it stands (design §4, §6). */
import { z } from 'zod';

export const LINK_NAMES = ['fibre', 'cellular', 'microwave', 'satellite', 'courier'] as const;
export const LinkName = z.enum(LINK_NAMES);
export type LinkName = z.infer<typeof LinkName>;

/** All in ms. */
export interface LinkTimers {
  /** Pauses between attempts to connect: the first, and the longest that doubling leads to. */
  firstRetry: number;
  mostRetry: number;
  /** With nothing else to say, contact is proven this often. */
  contactEvery: number;
  /** A report goes out at least this often; a command that was missed is sent again upon it. */
  reportEvery: number;
  /** Samples of checks are told as one for so long: of each series least, most, sum, count and last. */
  sampleEvery: number;
  /** Events that come within it travel together. */
  gather: number;
  /** An answer that takes longer is none. */
  echoWithin: number;
}

const [S, M] = [1_000, 60_000];

/** A link that is renegotiated at every hiccup carries nothing else: the thinner, the more patient (requirements B61, B62). */
export const LINK_TIMERS: Record<LinkName, LinkTimers> = {
  fibre: {
    firstRetry: 0.5 * S,
    mostRetry: 5 * S,
    contactEvery: 15 * S,
    reportEvery: 10 * M,
    sampleEvery: 1 * M,
    gather: 100,
    echoWithin: 10 * S,
  },
  cellular: {
    firstRetry: 0.5 * S,
    mostRetry: 15 * S,
    contactEvery: 2 * M,
    reportEvery: 10 * M,
    sampleEvery: 5 * M,
    gather: 200,
    echoWithin: 20 * S,
  },
  microwave: {
    firstRetry: 0.5 * S,
    mostRetry: 15 * S,
    contactEvery: 2 * M,
    reportEvery: 10 * M,
    sampleEvery: 5 * M,
    gather: 200,
    echoWithin: 20 * S,
  },
  satellite: {
    firstRetry: 5 * S,
    mostRetry: 5 * M,
    contactEvery: 10 * M,
    reportEvery: 60 * M,
    sampleEvery: 15 * M,
    gather: 2 * S,
    echoWithin: 60 * S,
  },
  courier: {
    firstRetry: 30 * S,
    mostRetry: 15 * M,
    contactEvery: 30 * M,
    reportEvery: 120 * M,
    sampleEvery: 60 * M,
    gather: 5 * S,
    echoWithin: 60 * S,
  },
};

/** How the link stands, by its own word. Times in epoch ms. */
export interface LinkState {
  state: 'up' | 'down';
  since: number;
  /** Why it is down; of one that is up, why it was. */
  cause?: string;
  /** Attempts in a row that failed. */
  failures: number;
}

/** The pause before attempt `failures + 1`, doubled from the first on and jittered by half, so that no fleet comes back in step. */
export function retryPause(
  { firstRetry, mostRetry }: Pick<LinkTimers, 'firstRetry' | 'mostRetry'>,
  failures: number,
  random: number,
): number {
  const doubled = firstRetry * 2 ** Math.min(Math.max(failures - 1, 0), 30);
  return Math.round(Math.min(mostRetry, doubled) * (0.5 + random));
}
