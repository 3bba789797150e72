/** What a seed decides: the sites and how each goes, the gates, the faults and when, and who decides at the end. Pure. */
import type { RolloutVerb } from '../../policies/model/rollout.js';
import type { GateFate } from './prometheus.js';
import { chanceOf, type Chance } from './random.js';
import type { Fate, SiteScript } from './site.js';

export const CALL_FAULTS = ['fail-before', 'fail-after', 'delay', 'twice', 'kill-before', 'kill-after'] as const;
export type CallFault = (typeof CALL_FAULTS)[number];

/** What an operator, or the world, does to Temporal. `to`: the workflow task that is reset to, as a share of those done. */
export type Act =
  | { kind: 'verb'; verb: RolloutVerb; as: 'update' | 'signal'; override?: boolean }
  | { kind: 'verbs'; verbs: [RolloutVerb, RolloutVerb]; as: 'update' | 'signal' }
  | { kind: 'reset'; to: number }
  | { kind: 'terminate'; what: 'rollout' | 'shard' | 'lock' };

/** Where a fault comes: the how-manieth call of a control activity, activity at a site, or workflow task of the rollout. */
export type Fault =
  | { on: 'activity'; at: number; how: CallFault }
  | { on: 'converge'; at: number; how: Exclude<CallFault, 'kill-before' | 'kill-after'> }
  | { on: 'task'; at: number; how: 'kill' }
  | { on: 'rollout-task'; at: number; how: Act };

export interface SeedSite {
  id: string;
  risk: 'low' | 'medium' | 'high';
  script: SiteScript;
  /** Its link: up all the time; up, then down after the earlier rollout; or down until some time after the start. */
  dark?: { from: 'start' | 'earlier'; backAfterMs: number | 'sealed' };
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
  faults: Fault[];
  /** What the person does who finds the rollout still waiting. */
  closing: 'promote' | 'abort' | 'revert';
}

export const VERSIONS = { before: '1.0.0', earlier: '1.1.0', main: '1.2.0', after: '1.3.0' } as const;
export const STAGES = { low: 'canary', medium: 'some', high: 'rest' } as const;

/** How many calls and tasks a rollout of this size has, as measured: places beyond the end of a short one stay unused. */
const PLACES = { activity: 26, converge: 14, task: 90, 'rollout-task': 45 } as const;
const GOLDEN = 0.6180339887498949;

/** The first fault goes through all kinds and places in turn, so that any row of seeds covers them evenly. */
export function planSeed(seed: number): SeedPlan {
  const chance = chanceOf(seed);
  const stream = `seed-${seed}`;
  const earlier = chance.in(0.25);
  const sites = planSites(chance, stream, earlier);
  const first = firstFault(seed, chance);
  const more = Array.from({ length: chance.between(0, 2) }, () => anyFault(chance, killsWorker(first)));
  const faults = [first, ...more];
  const dark = sites.some((site) => site.dark);
  return {
    seed,
    stream,
    sites,
    gates: planGates(chance),
    onFailure: chance.pick(['revert-stage', 'revert-stage', 'revert-all', 'stay']),
    thenInconclusive: chance.pick(['stay', 'stay', 'revert-stage', 'revert-all']),
    earlier,
    ...(chance.in(0.2) ? { freeze: { sites: [chance.pick(idsOf(sites))], forMs: chance.between(500, 2_500) } } : {}),
    forgetful: chance.in(0.1),
    faults,
    closing: dark && chance.in(0.5) ? 'promote' : chance.pick(['promote', 'abort', 'revert']),
  };
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
    fates: { [VERSIONS.main]: fate },
    stageMs: chance.between(5, 60),
    switchMs: chance.between(5, 60),
    watchMs: chance.between(30, 250),
    undoMs: chance.between(5, 80),
    laterMs: chance.between(200, 2_500),
  };
}

function planGates(chance: Chance): Record<string, GateFate> {
  const fate = (): GateFate => (chance.in(0.7) ? 'good' : chance.pick(['bad', 'late', 'nothing', 'down']));
  return { canary: chance.in(0.9) ? 'good' : fate(), some: fate(), rest: fate() };
}

type Kind =
  | { on: 'activity'; how: CallFault }
  | { on: 'converge'; how: Exclude<CallFault, 'kill-before' | 'kill-after'> }
  | { on: 'task'; how: 'kill' }
  | { on: 'rollout-task'; how: 'reset' | 'terminate' | 'abort' | 'revert' | 'pause' | 'promote' | 'two' };

const KINDS: [Kind, ...Kind[]] = [
  { on: 'activity', how: 'fail-before' },
  { on: 'activity', how: 'fail-after' },
  { on: 'activity', how: 'delay' },
  { on: 'activity', how: 'twice' },
  { on: 'activity', how: 'kill-before' },
  { on: 'activity', how: 'kill-after' },
  { on: 'converge', how: 'fail-before' },
  { on: 'converge', how: 'fail-after' },
  { on: 'converge', how: 'delay' },
  { on: 'converge', how: 'twice' },
  { on: 'task', how: 'kill' },
  { on: 'rollout-task', how: 'reset' },
  { on: 'rollout-task', how: 'terminate' },
  { on: 'rollout-task', how: 'abort' },
  { on: 'rollout-task', how: 'revert' },
  { on: 'rollout-task', how: 'pause' },
  { on: 'rollout-task', how: 'promote' },
  { on: 'rollout-task', how: 'two' },
];

function firstFault(seed: number, chance: Chance): Fault {
  const kind = KINDS[seed % KINDS.length] ?? KINDS[0];
  const turn = Math.floor(seed / KINDS.length);
  return faultAt(kind, (turn * GOLDEN) % 1, chance);
}

/** A killed worker costs half a minute: further faults kill only where the first one does. */
function anyFault(chance: Chance, mayKill: boolean): Fault {
  const fault = faultAt(chance.pick(KINDS), chance.next(), chance);
  return killsWorker(fault) && !mayKill ? anyFault(chance, mayKill) : fault;
}

export function killsWorker({ how }: Fault): boolean {
  return typeof how === 'string' && how.startsWith('kill');
}

/** `share`: where between the first and the last place. */
function faultAt(kind: Kind, share: number, chance: Chance): Fault {
  const at = 1 + Math.floor(share * PLACES[kind.on]);
  if (kind.on !== 'rollout-task') return { ...kind, at };
  return { on: 'rollout-task', at, how: actOf(kind.how, chance) };
}

function actOf(how: Extract<Kind, { on: 'rollout-task' }>['how'], chance: Chance): Act {
  const as = chance.pick(['update', 'signal']);
  switch (how) {
    case 'reset':
      return { kind: 'reset', to: chance.next() };
    case 'terminate':
      return { kind: 'terminate', what: chance.pick(['rollout', 'rollout', 'shard', 'lock']) };
    case 'two':
      return { kind: 'verbs', as, verbs: chance.pick(PAIRS) };
    case 'abort':
    case 'revert':
    case 'pause':
    case 'promote':
      return { kind: 'verb', verb: how, as, ...(how === 'promote' && chance.in(0.5) ? { override: true } : {}) };
  }
}

const PAIRS: [[RolloutVerb, RolloutVerb], ...[RolloutVerb, RolloutVerb][]] = [
  ['abort', 'promote'],
  ['abort', 'revert'],
  ['revert', 'pause'],
  ['pause', 'promote'],
  ['pause', 'abort'],
  ['promote', 'promote'],
  ['resume', 'revert'],
];
