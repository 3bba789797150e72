/**
 * Sites that undid a release because nothing echoed (design §5 rule 3). If most of those being watched lose their uplink
 * together, the centre was down, not the sites: then they are not counted, and the rollout waits for a person.
 */
import type { SiteOutcome } from '../model/rollout.js';

/** From the first such undo that is heard of: then it is decided for all of them. Until then none counts either way. */
export const TOGETHER_WITHIN_MS = 60_000;

/** A fresh undo for a lost uplink: undecided. Anything else is what it is. */
export function asHeard(outcome: SiteOutcome): SiteOutcome {
  const { uplink: _, ...said } = outcome;
  return isUplinkLoss(outcome) ? { ...said, uplink: 'undecided' } : said;
}

export function isUplinkLoss(outcome: SiteOutcome): boolean {
  return outcome.outcome === 'reverted' && outcome.cause === 'uplink';
}

/** One shard with sites that have no outcome yet. */
export interface WatchedShard {
  /** Its sites that are undone and undecided. */
  lost: number;
  /** Its sites of which nothing is known yet: confirmed ones are told of only at its end. */
  unknown: number;
  concurrency: number;
}

/**
 * How many sites were being watched: those that were undone, and as many more as can have been in flight beside them.
 * Rather too many than too few: what is not found to be together counts against the budget, and stops the rollout.
 */
export function countWatched(shards: readonly WatchedShard[], lost: number): number {
  const beside = shards.map((shard) => Math.min(shard.unknown, Math.max(0, shard.concurrency - shard.lost)));
  return lost + beside.reduce((sum, count) => sum + count, 0);
}

/** More than half, exactly half is not. */
export function wasLostTogether(lost: number, watched: number): boolean {
  return lost > 0 && lost * 2 > watched;
}
