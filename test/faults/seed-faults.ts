/** What befalls a seed, where it comes, and what an operator or the world does to it. Pure. */
import type { RolloutVerb } from '../../policies/model/rollout.js';
import type { Chance } from './random.js';

/** Before the effect of a call, or after it; `twice`: one after the other; `overlap`: both at once. */
export type CallFault = Sampled | 'delay-after' | 'overlap';
type Sampled = 'fail-before' | 'fail-after' | 'delay' | 'twice' | 'kill-before' | 'kill-after';

export type Act = ShortAct | LongAct;

/** What an operator, or the world, does to Temporal. `to`: the workflow task that is reset to: a share of those done, or which. */
export type ShortAct =
  | { kind: 'verb'; verb: RolloutVerb; as: 'update' | 'signal'; override?: boolean }
  | { kind: 'verbs'; verbs: [RolloutVerb, RolloutVerb]; as: 'update' | 'signal' }
  | { kind: 'reset'; to: number | { task: number } }
  | { kind: 'terminate'; what: 'rollout' | 'shard' | 'lock' }
  /** Terminated, and reset to its last task before anybody has looked. */
  | { kind: 'revive' };

/** What takes more than a message. */
export type LongAct =
  /** At its place, and once more whenever the rollout waits: hardly one place in ten is a wait. */
  | { kind: 'promote'; as: 'update' | 'signal'; override?: boolean }
  /** Another rollout of the stream takes over. */
  | { kind: 'supersede' }
  /** Asked for until it is taken; quarantine is lifted first. `one`: for one site alone. */
  | { kind: 'retry'; as: 'update' | 'signal'; one: boolean }
  /** A site, by its place in the list as a share, gets its next epoch; its new box comes `afterMs` later. */
  | { kind: 'replace'; site: number; afterMs: number }
  /** The control key, step by step; with `everyMs` between them. */
  | { kind: 'rotate'; everyMs: number };

/** Where a fault comes: the how-manieth call of a control activity, activity at a site, or workflow task of the rollout. */
export type Fault =
  | { on: 'activity'; at: number; how: CallFault }
  | { on: 'converge'; at: number; how: Exclude<CallFault, 'kill-before' | 'kill-after'> }
  | { on: 'task'; at: number; how: 'kill' }
  | { on: 'rollout-task'; at: number; how: Act };

/**
 * A sample, and no count: about how many calls and tasks a rollout of this size has. Places beyond the end of a short one
 * stay unused; that each is reached at all is for `each-place.ts`.
 */
const PLACES = { activity: 26, converge: 14, task: 90, 'rollout-task': 45 } as const;
/** It is asked for from there on until it is taken: a rollout that waits has no more tasks. */
const RETRY_PLACES = 8;
const GOLDEN = 0.6180339887498949;

const ACTS = [
  ...(['reset', 'terminate', 'abort', 'revert', 'pause', 'promote', 'two'] as const),
  ...(['supersede', 'retry', 'replace', 'rotate'] as const),
] as const;
type RolloutFault = (typeof ACTS)[number];

type Kind =
  | { on: 'activity'; how: Sampled }
  | { on: 'converge'; how: Exclude<Sampled, 'kill-before' | 'kill-after'> }
  | { on: 'task'; how: 'kill' }
  | { on: 'rollout-task'; how: RolloutFault };

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
  ...ACTS.map((how) => ({ on: 'rollout-task', how }) as const),
];

/** The first fault goes through all kinds and places in turn, so that any row of seeds covers them evenly. */
export function firstFault(seed: number, chance: Chance): Fault {
  const kind = KINDS[seed % KINDS.length] ?? KINDS[0];
  const turn = Math.floor(seed / KINDS.length);
  return faultAt(kind, placeShare(turn), chance);
}

/** From 0, below 1: any row of numbers is spread evenly. */
export function placeShare(turn: number): number {
  return (turn * GOLDEN) % 1;
}

/** A killed worker costs half a minute: further faults kill only where the first one does. */
export function anyFault(chance: Chance, mayKill: boolean): Fault {
  const fault = faultAt(chance.pick(KINDS), chance.next(), chance);
  return killsWorker(fault) && !mayKill ? anyFault(chance, mayKill) : fault;
}

/** In one word. */
export function kindOf(how: Fault['how']): string {
  return typeof how === 'string' ? how : how.kind;
}

export function killsWorker({ how }: Fault): boolean {
  return kindOf(how).startsWith('kill');
}

/** `share`: where between the first and the last place. */
function faultAt(kind: Kind, share: number, chance: Chance): Fault {
  const places = kind.how === 'retry' ? RETRY_PLACES : PLACES[kind.on];
  const at = 1 + Math.floor(share * places);
  if (kind.on !== 'rollout-task') return { ...kind, at };
  return { on: 'rollout-task', at, how: actOf(kind.how, chance) };
}

function actOf(how: RolloutFault, chance: Chance): Act {
  const as = chance.pick(['update', 'signal']);
  switch (how) {
    case 'reset':
      return { kind: 'reset', to: chance.next() };
    case 'terminate':
      return { kind: 'terminate', what: chance.pick(['rollout', 'rollout', 'shard', 'lock']) };
    case 'supersede':
      return { kind: 'supersede' };
    case 'retry':
      return { kind: 'retry', as, one: chance.in(0.5) };
    case 'replace':
      return { kind: 'replace', site: chance.next(), afterMs: chance.between(500, 8_000) };
    case 'rotate':
      return { kind: 'rotate', everyMs: chance.between(50, 1_500) };
    case 'two':
      return { kind: 'verbs', as, verbs: chance.pick(PAIRS) };
    case 'promote':
      return { kind: 'promote', as, ...(chance.in(0.5) ? { override: true } : {}) };
    case 'abort':
    case 'revert':
    case 'pause':
      return { kind: 'verb', verb: how, as };
  }
}

/** Of two operators, the first of whom is heard first: each order of those that get in each other's way. */
export const PAIRS: [[RolloutVerb, RolloutVerb], ...[RolloutVerb, RolloutVerb][]] = [
  ['abort', 'promote'],
  ['abort', 'revert'],
  ['revert', 'pause'],
  ['pause', 'promote'],
  ['pause', 'abort'],
  ['promote', 'promote'],
  ['resume', 'revert'],
  ['promote', 'abort'],
  ['revert', 'abort'],
  ['pause', 'revert'],
  ['promote', 'pause'],
  ['abort', 'pause'],
  ['revert', 'resume'],
  ['promote', 'revert'],
  ['revert', 'promote'],
];

/** The second comes to a run that the first has made, and that a person may have adopted by then. */
export function twoResets(chance: Chance): Fault[] {
  return [8, 25].map((from) => {
    const how: Act = { kind: 'reset', to: chance.next() };
    return { on: 'rollout-task', at: from + chance.between(0, 14), how };
  });
}
