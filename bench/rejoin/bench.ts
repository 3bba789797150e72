/**
 * Sites that were away while a release was promoted return within one second: how long until 99 % hold it, through reports,
 * inboxes, registry and reconciler. The floor: the same agents return in the same way to commands that lie in their queues
 * already, from bare workflows; so the ratio is what the centre's way of finding out and commanding costs, and not what
 * connecting and the agents' own work cost where all of them share this machine (docs/decisions/0002). Beside it are printed the
 * least that any centre needs which takes in a report a site, each by a workflow of its own: the floor with workflows that do
 * nothing; what is left where reports cost nothing (`told`); and the time of one no-op activity a site at connected sites.
 */
import type { CatchUpPace } from '../../policies/catch-up/pace.js';
import type { BenchOptions } from '../options.js';
import { median } from '../sweep/figures.js';
import { sum } from './exhausted.js';
import { round, waitsOf, type Rejoined, type Waits } from './figures.js';
import { openStand, type Batch, type Cpu } from './stand.js';

export const describe =
  'rejoin: all sites return within 1 s, owed a release; until 99 % hold it, against the same agents with commands waiting';

/** The median of the runs, for one site. */
function eachSite(runs: { cpu: Cpu }[], sites: number): Cpu {
  const of = (part: keyof Cpu) => round(median(runs.map(({ cpu }) => cpu[part])) / sites);
  return { central: of('central'), sites: of('sites'), server: of('server') };
}

type Pairs = Required<Pick<BenchOptions, 'pairs'>> & Pick<BenchOptions, 'tell'>;

/** As many runs as pairs were asked for, one after another, each with its waits. */
async function repeated<Run extends Rejoined & { cpu: Cpu }>(
  what: string,
  { pairs, tell }: Pairs,
  once: () => Promise<Run>,
): Promise<(Run & Waits)[]> {
  const runs: (Run & Waits)[] = [];
  for (let i = 0; i < pairs; i += 1) {
    const run = await once();
    const waits = waitsOf(run);
    tell(`${what}, ${i + 1} of ${pairs}: ${JSON.stringify({ ...waits, cpu: run.cpu })}`);
    runs.push({ ...run, ...waits });
  }
  return runs;
}

export async function run({ sites = 500, pairs = 2, tell }: BenchOptions): Promise<Record<string, unknown>> {
  // What the defaults would measure is their own patience: 50 sites a minute, after up to ten seconds.
  const pace: Partial<CatchUpPace> = { burst: sites, perMinute: 60 * sites, gather: 1_000, jitter: 0 };
  const stand = await openStand({ sites, pace, tell });
  try {
    const ours = await repeated('rejoin', { pairs, tell }, () => stand.rejoin('inboxes'));
    const told = await repeated('rejoin, told', { pairs, tell }, () => stand.rejoin('told'));
    const floors = await repeated('floor', { pairs, tell }, () => stand.floor('bare'));
    const least = await repeated('floor, reporting', { pairs, tell }, () => stand.floor('reporting'));
    const noopSeconds = median([await stand.noop(), await stand.noop()]);
    const secondsOf = (runs: { seconds: number }[]) => median(runs.map((one) => one.seconds));
    const [seconds, floorSeconds, leastSeconds] = [secondsOf(ours), secondsOf(floors), secondsOf(least)];
    const toldSeconds = secondsOf(told);
    const calls = sum(ours.map((one) => one.calls));
    const most = (pick: (one: Waits) => number) => Math.max(...ours.map(pick));
    return {
      ...{ sites, pairs, seconds, floorSeconds, ratio: round(seconds / floorSeconds) },
      ...{ leastSeconds, leastRatio: round(leastSeconds / floorSeconds), ratioToLeast: round(seconds / leastSeconds) },
      ...{ toldSeconds, toldRatio: round(toldSeconds / floorSeconds) },
      resourceExhausted: calls.resourceExhausted,
      starved: most((one) => one.starved),
      never: most((one) => one.never),
      longestWaitToMedian: round(most((one) => one.longestWait / one.medianWait)),
      ...{ pace, requests: calls.requests, operations: calls.operations, failures: calls.failures },
      batches: ours.map((one): Batch[] => one.batches),
      cpuMsPerSite: {
        ...{ ours: eachSite(ours, sites), told: eachSite(told, sites) },
        ...{ floor: eachSite(floors, sites), least: eachSite(least, sites) },
      },
      noopFloorSeconds: round(noopSeconds),
      ratioToNoopFloor: round(seconds / noopSeconds),
    };
  } finally {
    await stand.close();
  }
}
