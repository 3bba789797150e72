/** How a wave is cut into shards, and how they share its slots (design §4.4). */
import { SHARD_SIZE } from '../model/outline.js';

export interface ShardCut<S> {
  sites: S[];
  concurrency: number;
}

/**
 * Cuts `sites` into shards of at most 500. No more shards run side by side than there are slots; `together` of them
 * share `concurrency`.
 */
export function planShards<S>(sites: S[], concurrency: number): { shards: ShardCut<S>[]; together: number } {
  const count = Math.ceil(sites.length / SHARD_SIZE);
  const together = Math.min(count, concurrency);
  // With more shards than places any shard may follow any other, so only equal shares keep the sum within bounds.
  const rest = count === together ? concurrency % together : 0;
  const share = (index: number): number => Math.floor(concurrency / together) + (index < rest ? 1 : 0);
  const shards = Array.from({ length: count }, (_, index) => ({
    sites: sites.slice(index * SHARD_SIZE, (index + 1) * SHARD_SIZE),
    concurrency: share(index),
  }));
  return { shards, together };
}
