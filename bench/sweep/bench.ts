/**
 * Foothold's own rollout against the floor (a bare workflow with one no-op activity a site), in pairs in one run: the
 * same server, the same site workers and queues, the same shards and window.
 */
import type { BenchOptions } from '../options.js';
import { figuresOf, type Pair, type Sweep } from './figures.js';
import { openStand } from './stand.js';

export const describe =
  'sweep: from the first command scheduled to the last result recorded, against one no-op activity a site';

export async function run({ sites = 500, pairs = 3, tell }: BenchOptions): Promise<Record<string, unknown>> {
  const stand = await openStand(sites, tell);
  const measured: Pair[] = [];
  try {
    // Unmeasured: caches fill on both sides, and every site gets something to go back to.
    await stand.floor();
    await stand.ours();
    for (let i = 0; i < pairs; i += 1) {
      // Alternately first: whoever comes second finds the server with a longer past.
      const first = i % 2 === 0 ? await stand.floor() : await stand.ours();
      const second = i % 2 === 0 ? await stand.ours() : await stand.floor();
      const pair = i % 2 === 0 ? { floor: first, ours: second } : { ours: first, floor: second };
      measured.push(pair);
      tell(`pair ${i + 1} of ${pairs}: ${pair.ours.seconds.toFixed(2)} s, floor ${pair.floor.seconds.toFixed(2)} s`);
    }
    const withAgents: Sweep[] = [];
    for (let i = 0; i < pairs; i += 1) withAgents.push(await stand.floorWithAgents());
    return figuresOf(sites, measured, withAgents);
  } finally {
    await stand.close();
  }
}
