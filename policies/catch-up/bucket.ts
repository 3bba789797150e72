/** The token bucket that throttles a stream's returning sites: one token a site. */
import type { CatchUpPace } from './pace.js';

/** `tokens` as they were at `at`, epoch ms. */
export interface Bucket {
  tokens: number;
  at: number;
}

type Rate = Pick<CatchUpPace, 'burst' | 'perMinute'>;

export function fullBucket(rate: Rate, now: number): Bucket {
  return { tokens: rate.burst, at: now };
}

/** The bucket as it is at `now`. A clock that went back fills nothing, and takes nothing away. */
export function filled(bucket: Bucket, rate: Rate, now: number): Bucket {
  const gained = (Math.max(0, now - bucket.at) * rate.perMinute) / 60_000;
  return { tokens: Math.min(rate.burst, bucket.tokens + gained), at: Math.max(now, bucket.at) };
}

/** Throws RangeError if it does not hold so many. */
export function taken(bucket: Bucket, rate: Rate, sites: number, now: number): Bucket {
  const { tokens, at } = filled(bucket, rate, now);
  if (Math.floor(tokens) < sites) throw new RangeError(`${sites} sites asked of a bucket that holds ${tokens}`);
  return { tokens: tokens - sites, at };
}

/** When it holds so many: `now` or later. More than `burst` never come together, so that is what is waited for then. */
export function readyAt(bucket: Bucket, rate: Rate, sites: number, now: number): number {
  const { tokens, at } = filled(bucket, rate, now);
  const missing = Math.min(sites, rate.burst) - tokens;
  // A millisecond more: what was rounded down must not be found missing then.
  return missing <= 0 ? now : at + Math.ceil((missing * 60_000) / rate.perMinute) + 1;
}
