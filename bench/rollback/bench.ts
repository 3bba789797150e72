/**
 * First bad answer → first of eight good ones in a row, uplink cut (there is none), checks once a second: the agent
 * against a bare poll-and-flip loop, in pairs in one run. Each has a real nginx and the same reload. Then the same for a
 * failure that is an event, the process gone and its port refused, against a bare loop that holds a connection.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchOptions } from '../options.js';
import { openLane, PATIENCE_MS, type Failure, type Lane } from './lane.js';

export const describe =
  'rollback: from the first bad answer to the first of eight good ones, without an uplink, checks every 1 s';

/** Side by side, to keep a run of 100 trials within minutes; they do little but wait. */
const LANES = 4;

export async function run({ trials = 100, tell }: BenchOptions): Promise<Record<string, unknown>> {
  const polled = await measure('answers', trials, tell);
  const events = await measure('exits', trials, tell);
  return { trials, ...polled, events };
}

async function measure(failure: Failure, trials: number, tell: BenchOptions['tell']): Promise<Record<string, unknown>> {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-rollback-'));
  const lanes: Lane[] = [];
  const ours: number[] = [];
  const floor: number[] = [];
  let unrestored = 0;
  try {
    for (let i = 0; i < LANES; i += 1) lanes.push(await openLane(join(directory, `lane-${i}`), `site-${i}`, failure));
    let next = 0;
    await Promise.all(
      lanes.map(async (lane) => {
        while (next < trials) {
          const trial = next++;
          const mine = await lane.trialOfAgent(trial);
          const bare = await lane.trialOfFloor(trial);
          if (mine === undefined) unrestored += 1;
          // What was not restored is not left out of the quantiles: it counts with all the patience it was given.
          ours.push(mine ?? PATIENCE_MS);
          if (bare !== undefined) floor.push(bare);
          if ((trial + 1) % 10 === 0) tell(`${failure}: ${trial + 1} of ${trials} pairs`);
        }
      }),
    );
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()));
    await rm(directory, { recursive: true, force: true });
  }
  const figures = { p50Ms: quantile(ours, 0.5), p99Ms: quantile(ours, 0.99) };
  const bare = { floorP50Ms: quantile(floor, 0.5), floorP99Ms: quantile(floor, 0.99) };
  return {
    unrestored,
    ...figures,
    ...bare,
    p50Ratio: round(figures.p50Ms / bare.floorP50Ms),
    p99Ratio: round(figures.p99Ms / bare.floorP99Ms),
  };
}

/** Nearest rank, as latencies are usually quoted. */
export function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return round(sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN);
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
