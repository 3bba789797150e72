/** Many seeds side by side on one server. */
import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CLEAN,
  lackingOf,
  planEach,
  seedsOfEach,
  standardOf,
  type EachKind,
  type Places,
  type Standard,
} from './each-place.js';
import { mainWorkflowId, planSeed, type SeedPlan } from './seed.js';
import { killsWorker } from './seed-faults.js';
import { Scenario, type SeedOutcome } from './scenario.js';
import { openStand, type Lane, type Stand } from './stand.js';

export interface SweepOptions {
  seeds: number[];
  /** Each of these kinds at each place of the standard rollout; `seeds` are then those to run again, or none for all. */
  each?: readonly EachKind[];
  /** Only every so many-th place of each kind. */
  every?: number;
  tell: (line: string) => void;
  onOutcome?: (outcome: SeedOutcome) => void;
}

export interface SweepReport {
  room: 'centre';
  seeds: number;
  seconds: number;
  faultsInjected: number;
  /** Whether the faults came at places drawn from the seed, or at each that a clean run was counted to have. */
  places: 'sampled' | 'each';
  /** Of clean runs. */
  counted?: Partial<Record<Standard, Places>>;
  /** Seeds whose own fault, or of which no fault, had an effect: refused there, or a run shorter than the clean one. */
  withoutEffect: number[];
  /** How many of each kind came and had no effect: verbs that were delivered, and refused or ignored. */
  inVain: Record<string, number>;
  /** How the seeds' own rollouts ended: a promotion that never comes is never judged. */
  outcomes: Record<string, number>;
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

export async function sweep(options: SweepOptions): Promise<SweepReport> {
  const began = Date.now();
  const stand = await openStand();
  const report: SweepReport = {
    ...{
      room: 'centre',
      seeds: 0,
      seconds: 0,
      faultsInjected: 0,
      faults: {},
      inVain: {},
      violations: [],
      withoutEffect: [],
      outcomes: {},
    },
    places: options.each ? 'each' : 'sampled',
  };
  try {
    const plans = await plansOf(stand, options, report);
    await carryOut(stand, plans, (outcome) => take(report, outcome, plans.length, options));
    report.withoutEffect.sort((a, b) => a - b);
    report.seconds = secondsSince(began);
    return report;
  } finally {
    await stand.close();
  }
}

async function plansOf(stand: Stand, options: SweepOptions, report: SweepReport): Promise<SeedPlan[]> {
  const { seeds, each, every, tell } = options;
  if (!each) return seeds.map(planSeed);
  if (seeds.length > 0) return seeds.map(planEach);
  const counted: SweepReport['counted'] = {};
  for (const standard of new Set(each.map(standardOf))) counted[standard] = await countClean(stand, standard);
  report.counted = counted;
  const own = seedsOfEach(each, counted, every);
  tell(`a clean run has ${JSON.stringify(counted)}: ${own.length} seeds`);
  return own.map(planEach);
}

/** A standard rollout to which nothing else is done; one that goes wrong is no measure of anything. */
async function countClean(stand: Stand, standard: Standard): Promise<Places> {
  const lane = await stand.openLane(`clean-${standard}`, { forgetful: false });
  const plan = planEach(CLEAN[standard]);
  const { violations, facts, converges } = await runSeed(stand, lane, plan);
  const lacking = lackingOf(facts, standard);
  if (violations.length + lacking.length > 0)
    throw new Error(`a run without faults, without ${lacking.join() || 'nothing'}: ${JSON.stringify(violations)}`);
  for (const end = Date.now() + COUNTED_WITHIN_MS; Date.now() < end && !lane.control.counted.has(plan.stream);) {
    await sleep(50);
  }
  await lane.control.close();
  const counts = lane.control.counted.get(plan.stream);
  if (!counts) throw new Error('the control worker did not tell what a run without faults had');
  return { ...counts, converge: converges };
}

const COUNTED_WITHIN_MS = 10_000;

function take(report: SweepReport, outcome: SeedOutcome, of: number, { each, tell, onOutcome }: SweepOptions): void {
  report.seeds += 1;
  const again = `npm run faults -- --room centre${each ? ' --exhaustive' : ''} --seed`;
  report.faultsInjected += outcome.injected.length;
  for (const kind of outcome.injected) report.faults[kind] = (report.faults[kind] ?? 0) + 1;
  for (const kind of outcome.inVain) report.inVain[kind] = (report.inVain[kind] ?? 0) + 1;
  const own = outcome.facts.rollouts.find(({ workflowId }) => workflowId === mainWorkflowId(outcome.plan))?.status;
  const end = own?.outcome ?? own?.state ?? 'not begun';
  report.outcomes[end] = (report.outcomes[end] ?? 0) + 1;
  const few = each ? outcome.plan.faults.length : 1;
  if (outcome.injected.length < few) report.withoutEffect.push(outcome.seed);
  for (const violation of outcome.violations) {
    report.violations.push({ ...violation, replay: `${again} ${violation.seed}` });
    tell(`seed ${violation.seed}: ${violation.invariant}: ${violation.detail}`);
  }
  if (report.seeds % 20 === 0) tell(`${report.seeds} of ${of} seeds, ${report.faultsInjected} faults`);
  onOutcome?.(outcome);
}

async function carryOut(stand: Stand, plans: SeedPlan[], done: (outcome: SeedOutcome) => void): Promise<void> {
  const killing = plans.filter(kills);
  const forgetful = plans.filter((plan) => !kills(plan) && plan.forgetful);
  const rest = plans.filter((plan) => !kills(plan) && !plan.forgetful);
  await Promise.all([
    laneOf(stand, 'shared', { forgetful: false }, rest, SHARED_LANE_SEEDS, done),
    laneOf(stand, 'forgetful', { forgetful: true }, forgetful, 3, done),
    ...Array.from({ length: KILL_LANES }, (_, n) => {
      const own = killing.filter((_plan, index) => index % KILL_LANES === n);
      return laneOf(stand, `killed-${n + 1}`, { forgetful: false }, own, KILL_LANE_SEEDS, done);
    }),
  ]);
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
