/** Two standard rollouts, and each fault at each of their places in turn: what a clean run was counted to have. Pure. */
import type { SeedFacts } from './facts.js';
import type { Counts } from './orders.js';
import { PAIRS, placeShare, type Act, type CallFault, type Fault } from './seed-faults.js';
import { mainWorkflowId, STAGES, VERSIONS, type SeedPlan, type SeedSite } from './seed.js';

/** What a clean run has: `converge` are the calls at sites, the rest is counted by the control worker. */
export interface Places extends Counts {
  converge: number;
}

/** `faults`: each of them comes once at each place. */
interface Kind {
  on: keyof Places;
  faults: ((at: number) => Fault)[];
}

/** A reset to each task comes at this one: most are done by then, and the rollout is not sealed. */
export const LATE_TASK = 44;

const KINDS = {
  kill: { on: 'task', faults: [(at) => ({ on: 'task', at, how: 'kill' })] },
  // At each task, to one of those done; `reset-to` has each task as the target.
  reset: acts((at) => ({ kind: 'reset', to: placeShare(at) })),
  terminate: acts(() => ({ kind: 'terminate', what: 'rollout' })),
  revive: acts(() => ({ kind: 'revive' })),
  'kill-before': calls('kill-before'),
  'kill-after': calls('kill-after'),
  'reset-to': {
    on: 'rollout-task',
    faults: [(task) => ({ on: 'rollout-task', at: LATE_TASK, how: { kind: 'reset', to: { task } } })],
  },
  'fail-before': calls('fail-before'),
  'fail-after': calls('fail-after'),
  delay: calls('delay'),
  'delay-after': calls('delay-after'),
  twice: calls('twice'),
  overlap: calls('overlap'),
  'site-fail-before': atSites('fail-before'),
  'site-fail-after': atSites('fail-after'),
  'site-delay': atSites('delay'),
  'site-delay-after': atSites('delay-after'),
  'site-twice': atSites('twice'),
  'site-overlap': atSites('overlap'),
  abort: verbs('abort'),
  revert: verbs('revert'),
  pause: verbs('pause'),
  promote: verbs('promote'),
  // Every pair, as updates at every second place and as signals at the others.
  two: acts(...PAIRS.map((pair, n) => (at: number): Act => ({ kind: 'verbs', verbs: pair, as: formOf(at + n) }))),
} as const satisfies Record<string, Kind>;

type Name = keyof typeof KINDS;
export type EachKind = Name | `undone-${Name}`;
/** In a rollout that is promoted. */
export const PROMOTED_KINDS = Object.keys(KINDS) as Name[];
/** And in one that is reverted. */
export const EACH_KINDS: EachKind[] = [...PROMOTED_KINDS, ...PROMOTED_KINDS.map((name) => `undone-${name}` as const)];

/** Which standard rollout. The one that is undone is the other up to a person's revert. */
export type Standard = 'promoted' | 'undone';
const REVERT: Fault = { on: 'rollout-task', at: 40, how: { kind: 'verb', verb: 'revert', as: 'signal' } };

/** A seed names its kind and place, whatever a clean run had: it is run again by its number alone. */
const [KIND, MOST_SEEDS] = [100_000, 90_000];
/** None after which another rollout is started: its tasks are none of the places. */
export const CLEAN: Record<Standard, number> = { promoted: KIND - 1, undone: KIND - 2 };

export function isEachKind(name: string): name is EachKind {
  return (EACH_KINDS as string[]).includes(name);
}

export function standardOf(kind: EachKind): Standard {
  return isUndone(kind) ? 'undone' : 'promoted';
}

function isUndone(kind: EachKind): kind is `undone-${Name}` {
  return kind.startsWith('undone-');
}

function kindOf(kind: EachKind): Kind {
  return KINDS[isUndone(kind) ? (kind.slice('undone-'.length) as Name) : kind];
}

/** The seeds that put each of these kinds at each place, or at every `every`-th of them, and at one at least. */
export function seedsOfEach(
  kinds: readonly EachKind[],
  places: Partial<Record<Standard, Places>>,
  every = 1,
): number[] {
  return kinds.flatMap((name) => {
    const number = EACH_KINDS.indexOf(name) + 1;
    const kind = kindOf(name);
    const most = name.endsWith('reset-to') ? LATE_TASK : Infinity;
    const own = places[standardOf(name)]?.[kind.on] ?? 0;
    const count = Math.min(Math.min(own, most) * kind.faults.length, MOST_SEEDS);
    const seeds = Array.from({ length: count }, (_, index) => number * KIND + 1 + index);
    // Not the same places for all kinds, and one at least of each.
    const first = (7 * number) % Math.max(Math.min(every, count), 1);
    return seeds.filter((_, index) => index % every === first);
  });
}

export function isOfEach(seed: number): boolean {
  return (
    Object.values(CLEAN).includes(seed) || (EACH_KINDS[Math.floor(seed / KIND) - 1] !== undefined && seed % KIND > 0)
  );
}

export function planEach(seed: number): SeedPlan {
  const stream = `seed-${seed}`;
  const name = EACH_KINDS[Math.floor(seed / KIND) - 1];
  const undone = seed === CLEAN.undone || (name !== undefined && isUndone(name));
  const sites = standardSites(stream, undone);
  return {
    ...{ seed, stream, sites, earlier: false, forgetful: false, faults: faultsOf(seed) },
    hindered: sites.filter(({ script }) => script.fates[VERSIONS.main] !== 'confirm').map(({ id }) => id),
    freeze: { sites: [`${stream}-${DEFERRED}`], forMs: 5_000 },
    gates: { [STAGES.low]: 'good', [STAGES.medium]: 'slow', [STAGES.high]: 'good' },
    ...{ onFailure: 'revert-stage', thenInconclusive: 'stay', closing: 'promote' },
  };
}

function faultsOf(seed: number): Fault[] {
  const name = EACH_KINDS[Math.floor(seed / KIND) - 1];
  if (name === undefined) return seed === CLEAN.undone ? [REVERT] : [];
  const { faults } = kindOf(name);
  const index = (seed % KIND) - 1;
  const fault = faults[index % faults.length];
  const own = fault ? [fault(1 + Math.floor(index / faults.length))] : [];
  return isUndone(name) ? [REVERT, ...own] : own;
}

function acts(...each: ((at: number) => Act)[]): Kind & { on: 'rollout-task' } {
  const faults = each.map((act) => (at: number): Fault => ({ on: 'rollout-task', at, how: act(at) }));
  return { on: 'rollout-task', faults };
}

/** As update, against a failure too, and as signal, which gives way to one. */
function verbs(verb: 'abort' | 'revert' | 'pause' | 'promote'): Kind & { on: 'rollout-task' } {
  const override = verb === 'promote' ? { override: true } : {};
  return acts(
    () => ({ kind: 'verb', verb, as: 'update', ...override }),
    () => ({ kind: 'verb', verb, as: 'signal' }),
  );
}

function formOf(number: number): 'update' | 'signal' {
  return number % 2 === 0 ? 'signal' : 'update';
}

function calls(how: CallFault): Kind & { on: 'activity' } {
  return { on: 'activity', faults: [(at) => ({ on: 'activity', at, how })] };
}

function atSites(how: Exclude<CallFault, 'kill-before' | 'kill-after'>): Kind & { on: 'converge' } {
  return { on: 'converge', faults: [(at) => ({ on: 'converge', at, how })] };
}

const [DEFERRED, CUT, REVERTING, OWED] = ['b', 'c', 'd', 'g'];

/**
 * One is under a freeze when its wave begins, and is deferred; one reverts by itself, within the budget of its stage; one
 * of the last stage is away until the rollout is sealed, and owes it then. Of one that is undone another one confirms, is
 * cut off, and owes its revert.
 */
function standardSites(stream: string, undone: boolean): SeedSite[] {
  const risks = ['low', 'low', 'medium', 'medium', 'high', 'high', 'high'] as const;
  return risks.map((risk, index): SeedSite => {
    const name = String.fromCharCode(97 + index);
    return {
      ...{ id: `${stream}-${name}`, risk },
      script: {
        fates: { [VERSIONS.main]: name === REVERTING ? 'revert' : 'confirm', [VERSIONS.next]: 'confirm' },
        ...{ stageMs: 20, switchMs: 20, watchMs: 80, undoMs: 20, laterMs: 1_000 },
      },
      ...(name === OWED ? { dark: { from: 'start', backAfterMs: 'sealed' } } : {}),
      ...(name === CUT && undone ? { dark: { from: 'confirmed', backAfterMs: 'sealed' } } : {}),
    };
  });
}

/** What a clean run was to have and has not: then its places prove nothing of owed, deferred and reverting sites, or of waits. */
export function lackingOf({ rollouts, stream }: SeedFacts, standard: Standard): string[] {
  const own = rollouts.find(({ workflowId }) => workflowId === mainWorkflowId({ stream }));
  const evidence = own?.evidence ?? [];
  const sealed = evidence.findLast(({ kind }) => kind === 'sealed')?.data['sites'] as
    { site: string; outcome: string }[] | undefined;
  const ended = (name: string | undefined, word: string) =>
    sealed?.some(({ site, outcome }) => site === `${stream}-${name}` && outcome === word) === true;
  const told = JSON.stringify(evidence.map(({ data }) => data));
  const has: Record<string, boolean> = {
    'a deferred site': told.includes(`"outcome":"deferred"`) && ended(DEFERRED, 'confirmed'),
    'a site that reverted': ended(REVERTING, 'reverted'),
    'a wait that a person ended': evidence.some(({ kind, data }) => kind === 'verb' && data['verb'] === 'promote'),
    ...(standard === 'promoted'
      ? { 'a promotion': own?.status.outcome === 'promoted', 'an owed site': ended(OWED, 'owed') }
      : {
          'a revert': own?.status.outcome === 'reverted',
          'an owed revert': evidence.some(({ kind, data }) => {
            return kind === 'owed-reverts' && JSON.stringify(data).includes(`${stream}-${CUT}`);
          }),
        }),
  };
  return Object.keys(has).filter((name) => !has[name]);
}
