/** One standard rollout, and each fault at each of its places in turn: what a clean run of it was counted to have. Pure. */
import type { Counts } from './orders.js';
import { placeShare, type Fault } from './seed-faults.js';
import { STAGES, VERSIONS, type SeedPlan, type SeedSite } from './seed.js';

/** Where a kind of fault may come, as the worker counts it. */
const KINDS = {
  kill: 'task',
  reset: 'rollout-task',
  terminate: 'rollout-task',
  revive: 'rollout-task',
  'kill-before': 'activity',
  'kill-after': 'activity',
} as const satisfies Record<string, keyof Counts>;

export type EachKind = keyof typeof KINDS;
export const EACH_KINDS = Object.keys(KINDS) as EachKind[];

/** A seed names its kind and place, whatever a clean run had: it is run again by its number alone. */
const [KIND, MOST_PLACES] = [100_000, 10_000];
/** Not one after which another rollout is started: its tasks are none of the places. */
export const CLEAN = KIND - 1;

export function isEachKind(name: string): name is EachKind {
  return Object.hasOwn(KINDS, name);
}

/** The seeds that put each of these kinds once at each place. */
export function seedsOfEach(kinds: readonly EachKind[], counts: Counts): number[] {
  return kinds.flatMap((kind) => {
    const first = (EACH_KINDS.indexOf(kind) + 1) * KIND + 1;
    return Array.from({ length: Math.min(counts[KINDS[kind]], MOST_PLACES) }, (_, index) => first + index);
  });
}

export function isOfEach(seed: number): boolean {
  return seed === CLEAN || (EACH_KINDS[Math.floor(seed / KIND) - 1] !== undefined && seed % KIND > 0);
}

export function planEach(seed: number): SeedPlan {
  const kind = EACH_KINDS[Math.floor(seed / KIND) - 1];
  const stream = `seed-${seed}`;
  return {
    ...{ seed, stream, sites: standardSites(stream), earlier: false, forgetful: false },
    gates: Object.fromEntries(Object.values(STAGES).map((stage) => [stage, 'good'])),
    ...{ onFailure: 'revert-stage', thenInconclusive: 'stay', closing: 'promote' },
    faults: kind === undefined ? [] : [faultOf(kind, seed % KIND)],
  };
}

function faultOf(kind: EachKind, at: number): Fault {
  switch (kind) {
    case 'kill':
      return { on: 'task', at, how: 'kill' };
    case 'reset':
      return { on: 'rollout-task', at, how: { kind: 'reset', to: placeShare(at) } };
    case 'terminate':
      return { on: 'rollout-task', at, how: { kind: 'terminate', what: 'rollout' } };
    case 'revive':
      return { on: 'rollout-task', at, how: { kind: 'revive' } };
    case 'kill-before':
    case 'kill-after':
      return { on: 'activity', at, how: kind };
  }
}

/** All well; one of the last stage is away until the rollout is sealed, and owes it then. */
function standardSites(stream: string): SeedSite[] {
  const risks = ['low', 'low', 'medium', 'medium', 'high', 'high', 'high'] as const;
  return risks.map((risk, index) => ({
    id: `${stream}-${String.fromCharCode(97 + index)}`,
    risk,
    script: {
      fates: { [VERSIONS.main]: 'confirm', [VERSIONS.next]: 'confirm' },
      ...{ stageMs: 20, switchMs: 20, watchMs: 80, undoMs: 20, laterMs: 1_000 },
    },
    ...(index === risks.length - 1 ? { dark: { from: 'start', backAfterMs: 'sealed' } as const } : {}),
  }));
}
