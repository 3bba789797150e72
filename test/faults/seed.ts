/** What a seed decides: the sites and how each goes, the gates, its faults, and who decides at the end. Pure. */
import type { GateFate } from './prometheus.js';
import { chanceOf, type Chance } from './random.js';
import { anyFault, firstFault, killsWorker, kindOf, twoResets, type Fault } from './seed-faults.js';
import type { Fate, SiteScript } from './site.js';

export interface SeedSite {
  id: string;
  risk: 'low' | 'medium' | 'high';
  script: SiteScript;
  /** Its link: up all the time; or down until some time after the start: from the start on, the earlier rollout, or its own confirming. */
  dark?: { from: 'start' | 'earlier' | 'confirmed'; backAfterMs: number | 'sealed' };
  group?: string;
}

export interface SeedPlan {
  seed: number;
  stream: string;
  sites: SeedSite[];
  gates: Record<string, GateFate>;
  onFailure: 'stay' | 'revert-stage' | 'revert-all';
  thenInconclusive: 'stay' | 'revert-stage' | 'revert-all';
  /** A release that was rolled out and reverted before the one that is judged: it may leave an owed revert. */
  earlier: boolean;
  /** No new switch at these sites for a while. */
  freeze?: { sites: string[]; forMs: number };
  /** Its worker keeps no workflow in memory: every workflow task is a replay from the first event. */
  forgetful: boolean;
  /** Events after which the rollout continues as new at its next wave, and its shards at once after half of them. */
  continueAfter?: number;
  faults: Fault[];
  /** At these sites the release fails. Nothing but that, and what befalls the seed, keeps all others from what they should run. */
  hindered?: string[];
  /** What the person does who finds the rollout still waiting. */
  closing: 'promote' | 'abort' | 'revert';
}

export const VERSIONS = { before: '1.0.0', earlier: '1.1.0', main: '1.2.0', next: '1.3.0', after: '1.4.0' } as const;
export const STAGES = { low: 'canary', medium: 'some', high: 'rest' } as const;

/** Of the rollout that a seed is about. */
export const mainWorkflowId = ({ stream }: Pick<SeedPlan, 'stream'>): string => `${stream}-main`;

/** One seed in so many; the draws of all others stay what they were. */
const RESET_TWICE = 25;

export function planSeed(seed: number): SeedPlan {
  const chance = chanceOf(seed);
  const stream = `seed-${seed}`;
  const earlier = chance.in(0.25);
  const calm = isCalm(seed);
  const sites = planSites(chance, stream, earlier);
  if (calm) soothe(sites);
  const first = firstFault(seed, chance);
  const more = Array.from({ length: chance.between(0, 2) }, () => anyFault(chance, killsWorker(first)));
  const faults = seed % RESET_TWICE === 13 ? twoResets(chance) : [first, ...more];
  const dark = sites.some((site) => site.dark);
  const retried = faults.some(({ how }) => kindOf(how) === 'retry');
  if (retried) failOnce(chance, sites);
  return {
    seed,
    stream,
    sites,
    gates: planGates(chance, calm),
    // Only a rollout that waits can be told to try again.
    onFailure: retried ? 'stay' : chance.pick(['revert-stage', 'revert-stage', 'revert-all', 'stay']),
    thenInconclusive: calm ? 'stay' : chance.pick(['stay', 'stay', 'revert-stage', 'revert-all']),
    earlier,
    ...(chance.in(0.2) ? { freeze: { sites: [chance.pick(idsOf(sites))], forMs: chance.between(500, 2_500) } } : {}),
    forgetful: chance.in(0.1),
    ...planSeam(chance),
    faults,
    closing: calm || (dark && chance.in(0.5)) ? 'promote' : chance.pick(['promote', 'abort', 'revert']),
  };
}

/** Two seeds in five: else hardly one in fifteen is ever promoted, and what a promotion leaves behind is not judged. */
function isCalm(seed: number): boolean {
  return seed % 5 < 2;
}

/** What stands in the way of a promotion is what faults do, and who is away. */
function soothe(sites: SeedSite[]): void {
  for (const [index, { script, risk }] of sites.entries()) {
    const fate = script.fates[VERSIONS.main];
    // One failure is within the budget of the second stage, and none within those of the others.
    const mayFail = risk === 'medium' && sites.findIndex((site) => site.risk === risk) === index;
    if (fate !== 'sick' && !mayFail) script.fates[VERSIONS.main] = 'confirm';
  }
}

function planSeam(chance: Chance): Pick<SeedPlan, 'continueAfter'> {
  return chance.in(0.3) ? { continueAfter: chance.between(25, 70) } : {};
}

/** At one site that is there the release fails at first: else there would seldom be anything to try again. */
function failOnce(chance: Chance, sites: SeedSite[]): void {
  const { script } = pickFrom(
    chance,
    sites
      .slice(1, 4)
      .filter((site) => !site.dark)
      .concat(sites[1] ?? []),
  );
  script.fates[VERSIONS.main] = chance.pick(['reject-once', 'revert-once']);
}

function idsOf(sites: SeedSite[]): [string, ...string[]] {
  return sites.map((site) => site.id) as [string, ...string[]];
}

function planSites(chance: Chance, stream: string, earlier: boolean): SeedSite[] {
  const count = chance.between(6, 10);
  const medium = 2 + chance.between(0, 1);
  const sites = Array.from({ length: count }, (_, index): SeedSite => {
    const risk = index < 2 ? 'low' : index < 2 + medium ? 'medium' : 'high';
    return { id: `${stream}-${String.fromCharCode(97 + index)}`, risk, script: planScript(chance, index) };
  });
  // One is away for a while, perhaps another; with an earlier rollout, the one that owes its revert.
  if (earlier) pickFrom(chance, sites.slice(0, 2)).dark = { from: 'earlier', backAfterMs: planReturn(chance) };
  else if (chance.in(0.7)) pickFrom(chance, sites).dark = { from: 'start', backAfterMs: planReturn(chance) };
  if (chance.in(0.3)) pickFrom(chance, sites).dark ??= { from: 'start', backAfterMs: planReturn(chance) };
  if (chance.in(0.3)) for (const site of sites.slice(-2)) site.group = `${stream}-pair`;
  return sites;
}

function pickFrom(chance: Chance, sites: SeedSite[]): SeedSite {
  return chance.pick(sites as [SeedSite, ...SeedSite[]]);
}

function planReturn(chance: Chance): number | 'sealed' {
  return chance.in(0.4) ? 'sealed' : chance.between(200, 5_000);
}

function planScript(chance: Chance, index: number): SiteScript {
  const usual: Fate = 'confirm';
  // The first of the canary is well: else most rollouts would end there, and the rest would never be tried.
  const fate = index === 0 || chance.in(0.8) ? usual : chance.pick<Fate>(['revert', 'reject', 'sick', 'then-revert']);
  return {
    // Only where a rollout is superseded does anybody hear of the next one.
    fates: { [VERSIONS.main]: fate, [VERSIONS.next]: index === 0 || chance.in(0.9) ? usual : 'revert' },
    stageMs: chance.between(5, 60),
    switchMs: chance.between(5, 60),
    watchMs: chance.between(30, 250),
    undoMs: chance.between(5, 80),
    laterMs: chance.between(200, 2_500),
  };
}

function planGates(chance: Chance, calm: boolean): Record<string, GateFate> {
  const fate = (): GateFate => (calm || chance.in(0.7) ? 'good' : chance.pick(['bad', 'late', 'nothing', 'down']));
  return { canary: calm || chance.in(0.9) ? 'good' : fate(), some: fate(), rest: fate() };
}
