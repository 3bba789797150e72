/**
 * Sites that were away while a release was promoted return within one second: how long until 99 % hold it, through reports,
 * inboxes, registry and reconciler. The floor: the same agents return in the same way to commands that lie in their queues
 * already, from bare workflows; so the ratio is what the centre's way of finding out and commanding costs, and not what
 * connecting and the agents' own work cost where all of them share this machine (docs/decisions/0002). Printed beside it:
 *
 * - `least`: the floor in which each site besides says what it has to say to a workflow that many share, and nobody takes it in;
 * - `told`: ours where reports cost nothing, so that what is left is commanding;
 * - the time of one no-op activity a site, at connected sites.
 *
 * Seconds are medians of the rounds, and ratios are medians of the rounds' own ratios.
 */
import type { CatchUpPace } from '../../policies/catch-up/pace.js';
import type { BenchOptions } from '../options.js';
import { median } from '../sweep/figures.js';
import { sum, type Counted } from './exhausted.js';
import { round, waitsOf, type Rejoined, type Waits } from './figures.js';
import { openStand, type Batch, type Cpu, type Stand } from './stand.js';

export const describe =
  'rejoin: all sites return within 1 s, owed a release; until 99 % hold it, against the same agents with commands waiting';

/** The median of the runs, for one site. */
function eachSite(runs: { cpu: Cpu }[], sites: number): Cpu {
  const of = (part: keyof Cpu) => round(median(runs.map(({ cpu }) => cpu[part])) / sites);
  return { central: of('central'), sites: of('sites'), server: of('server') };
}

type Run = Rejoined & Waits & { cpu: Cpu };

/** What is compared, each next to the others, in turn first: a machine that others use is slower in one minute than in the next. */
interface Round {
  ours: Run & { batches: Batch[]; calls: Counted };
  floor: Run;
  told: Run;
  least: Run;
}

async function roundOf(stand: Stand, isSwapped: boolean, tell: (line: string) => void): Promise<Round> {
  const measured = async <R extends Rejoined & { cpu: Cpu }>(what: string, running: Promise<R>) => {
    const run = await running;
    const waits = waitsOf(run);
    tell(`${what}: ${JSON.stringify({ ...waits, cpu: run.cpu })}`);
    return { ...run, ...waits };
  };
  const [ours, floor] = await inTurn(
    isSwapped,
    () => measured('rejoin', stand.rejoin('inboxes')),
    () => measured('floor', stand.floor('bare')),
  );
  const [told, least] = await inTurn(
    isSwapped,
    () => measured('rejoin, told', stand.rejoin('told')),
    () => measured('floor, reporting', stand.floor('reporting')),
  );
  return { ours, floor, told, least };
}

async function inTurn<A, B>(isSwapped: boolean, a: () => Promise<A>, b: () => Promise<B>): Promise<[A, B]> {
  if (isSwapped) {
    const second = await b();
    return [await a(), second];
  }
  const first = await a();
  return [first, await b()];
}

export async function run({ sites = 500, pairs = 2, tell }: BenchOptions): Promise<Record<string, unknown>> {
  // What the defaults would measure is their own patience: 50 sites a minute, after up to ten seconds.
  const pace: Partial<CatchUpPace> = { burst: sites, perMinute: 60 * sites, gather: 1_000, jitter: 0 };
  const stand = await openStand({ sites, pace, tell });
  try {
    const rounds: Round[] = [];
    for (let i = 0; i < pairs; i += 1) rounds.push(await roundOf(stand, i % 2 === 1, tell));
    const noopSeconds = median([await stand.noop(), await stand.noop()]);
    const of = <K extends keyof Round>(what: K): Round[K][] => rounds.map((round) => round[what]);
    const ours = of('ours');
    const secondsOf = (what: keyof Round) => median(of(what).map((run) => run.seconds));
    const ratiosOf = (a: keyof Round, b: keyof Round) => rounds.map((one) => round(one[a].seconds / one[b].seconds));
    const ratioOf = (a: keyof Round, b: keyof Round) => round(median(ratiosOf(a, b)));
    const seconds = secondsOf('ours');
    const calls = sum(ours.map((one) => one.calls));
    const most = (pick: (one: Waits) => number) => Math.max(...ours.map(pick));
    return {
      ...{ sites, pairs, seconds, floorSeconds: secondsOf('floor'), ratio: ratioOf('ours', 'floor') },
      ratios: ratiosOf('ours', 'floor'),
      ...{
        leastSeconds: secondsOf('least'),
        leastRatio: ratioOf('least', 'floor'),
        ratioToLeast: ratioOf('ours', 'least'),
      },
      ...{ toldSeconds: secondsOf('told'), toldRatio: ratioOf('told', 'floor') },
      resourceExhausted: calls.resourceExhausted,
      starved: most((one) => one.starved),
      never: most((one) => one.never),
      longestWaitToMedian: round(most((one) => one.longestWait / one.medianWait)),
      ...{ pace, requests: calls.requests, operations: calls.operations, failures: calls.failures },
      batches: ours.map((one): Batch[] => one.batches),
      cpuMsPerSite: {
        ...{ ours: eachSite(ours, sites), told: eachSite(of('told'), sites) },
        ...{ floor: eachSite(of('floor'), sites), least: eachSite(of('least'), sites) },
      },
      noopFloorSeconds: round(noopSeconds),
      ratioToNoopFloor: round(seconds / noopSeconds),
    };
  } finally {
    await stand.close();
  }
}
