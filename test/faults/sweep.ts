/** Many seeds side by side on one server. */
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { planSeed, type SeedPlan } from './seed.js';
import { killsWorker } from './seed-faults.js';
import { Scenario, type SeedOutcome } from './scenario.js';
import { openStand, type Lane, type Stand } from './stand.js';

export interface SweepOptions {
  seeds: number[];
  tell: (line: string) => void;
  onOutcome?: (outcome: SeedOutcome) => void;
}

export interface SweepReport {
  room: 'centre';
  seeds: number;
  seconds: number;
  faultsInjected: number;
  /** How many of each kind. */
  faults: Record<string, number>;
  violations: { seed: number; invariant: string; detail: string; replay: string }[];
}

/** Side by side in the lane whose worker is never killed: most of a seed is waiting, and a core carries as many. */
const SHARED_LANE_SEEDS = 12 * availableParallelism();
/**
 * Seeds whose faults kill the worker share one with few others, and live through the kills of those as well: what a
 * killed worker had begun the server gives away only half a minute later, and one seed after the other would take an hour.
 */
const KILL_LANES = 5;
/** Over the last minute, of a core; the sweep itself makes three or four. */
const BUSY_LOAD = 6;
const KILL_LANE_SEEDS = 4;

export async function sweep({ seeds, tell, onOutcome }: SweepOptions): Promise<SweepReport> {
  const began = Date.now();
  const stand = await openStand();
  const report: SweepReport = { room: 'centre', seeds: 0, seconds: 0, faultsInjected: 0, faults: {}, violations: [] };
  const take = (outcome: SeedOutcome) => {
    report.seeds += 1;
    report.faultsInjected += outcome.injected.length;
    for (const kind of outcome.injected) report.faults[kind] = (report.faults[kind] ?? 0) + 1;
    for (const violation of outcome.violations) {
      report.violations.push({ ...violation, replay: `npm run faults -- --room centre --seed ${violation.seed}` });
      tell(`seed ${violation.seed}: ${violation.invariant}: ${violation.detail}`);
    }
    if (report.seeds % 20 === 0) tell(`${report.seeds} of ${seeds.length} seeds, ${report.faultsInjected} faults`);
    onOutcome?.(outcome);
  };
  try {
    const plans = seeds.map(planSeed);
    const killing = plans.filter(kills);
    const forgetful = plans.filter((plan) => !kills(plan) && plan.forgetful);
    const rest = plans.filter((plan) => !kills(plan) && !plan.forgetful);
    const lanes = [
      laneOf(stand, 'shared', { forgetful: false }, rest, SHARED_LANE_SEEDS, take),
      laneOf(stand, 'forgetful', { forgetful: true }, forgetful, 3, take),
      ...Array.from({ length: KILL_LANES }, (_, n) => {
        const own = killing.filter((_plan, index) => index % KILL_LANES === n);
        return laneOf(stand, `killed-${n + 1}`, { forgetful: false }, own, KILL_LANE_SEEDS, take);
      }),
    ];
    await Promise.all(lanes);
    report.seconds = secondsSince(began);
    return report;
  } finally {
    await stand.close();
  }
}

function secondsSince(began: number): number {
  return Math.round((Date.now() - began) / 1_000);
}

function kills({ faults }: SeedPlan): boolean {
  return faults.some(killsWorker);
}

/** Sites have seconds: on a machine that does much else, a quarter as many seeds at once come to their ends at all. */
function isBusy(): boolean {
  return (loadavg()[0] ?? 0) > BUSY_LOAD * availableParallelism();
}

async function laneOf(
  stand: Stand,
  name: string,
  options: { forgetful: boolean },
  plans: SeedPlan[],
  together: number,
  take: (outcome: SeedOutcome) => void,
): Promise<void> {
  if (plans.length === 0) return;
  const lane = await stand.openLane(name, options);
  const waiting = [...plans];
  const one = async (_: unknown, place: number): Promise<void> => {
    for (;;) {
      while (place >= together / 4 && waiting.length > 0 && isBusy()) await sleep(1_000);
      const plan = waiting.shift();
      if (!plan) return;
      take(await runSeed(stand, lane, plan));
    }
  };
  await Promise.all(Array.from({ length: Math.min(together, plans.length) }, one));
  await lane.control.close();
}

/** A seed that could not be judged has not passed. */
async function runSeed(stand: Stand, lane: Lane, plan: SeedPlan): Promise<SeedOutcome> {
  const scenario = new Scenario(stand, lane, plan);
  try {
    return await scenario.run();
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return scenario.given({ seed: plan.seed, invariant: 'the seed can be judged', detail });
  }
}
