/** How fast returning sites are brought up to date, and how patiently. Durations in ms. */

export interface CatchUpPace {
  /** So many sites at once … */
  burst: number;
  /** … then so many a minute. */
  perMinute: number;
  /** Each batch begins up to this much later, so that many streams do not begin together. */
  jitter: number;
  /** The first site that returns waits this long for others to share its batch. */
  gather: number;
  /** After the first try of a site; doubled by each further one, up to `backOffMost`. */
  backOff: number;
  backOffMost: number;
  /** A site that answered so often without getting there waits for a person. */
  tries: number;
  /** A site that was just heard of has this long to get there: one that goes away again must not hold up the others. */
  settleWithin: number;
}

export const CATCH_UP_PACE: CatchUpPace = {
  burst: 50,
  perMinute: 50,
  jitter: 5_000,
  gather: 5_000,
  backOff: 60_000,
  backOffMost: 6 * 3_600_000,
  tries: 10,
  settleWithin: 3_600_000,
};

/** The wait after so many tries. */
export function backOffAfter(tries: number, pace: Pick<CatchUpPace, 'backOff' | 'backOffMost'>): number {
  if (tries <= 0) return 0;
  return Math.min(pace.backOffMost, pace.backOff * 2 ** Math.min(tries - 1, 40));
}
