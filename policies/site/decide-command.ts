/** What a site does with a command that arrives (design §4 "Generations", "Commands are signed"; §5 rule 4). */
import { firstRunIdOf } from '../model/command-id.js';
import type { Command, SiteState } from '../model/command.js';
import type { Mark } from './elapsed.js';
import { isAtRest, isChanging } from './transitions.js';

/** The place of a command among those of its stream: (generation, try), compared in that order. */
export interface CommandOrder {
  generation: number;
  try: number;
}

/** `same`: answer as before. `stale`: refuse. `fresh`: accept, and raise the stream's floor to it. */
export type CommandJudgement = 'same' | 'stale' | 'fresh';

/**
 * Judges a command against what the stream has accepted so far. An equal order under another id is stale: two commands
 * of one order could otherwise undo each other for ever.
 */
export function judgeCommand(command: CommandOrder, floor: CommandOrder, known: boolean): CommandJudgement {
  if (known) return 'same';
  return compareOrder(command, floor) > 0 ? 'fresh' : 'stale';
}

export function compareOrder(a: CommandOrder, b: CommandOrder): number {
  return a.generation - b.generation || a.try - b.try;
}

/** What is live, and the converge that switched to it. Books of before do not say which, and what was adopted has none. */
export interface LiveRelease {
  digest: string;
  switchedBy?: string;
}

/**
 * Whether a revert undoes what is live: the release that it names, unless a converge of another rollout is known to have
 * brought it (docs/decisions/0011). In doubt it is undone: a release that fails must not stay because a book is silent.
 */
export function undoesLive(revert: Pick<Command, 'id' | 'digest'>, live: LiveRelease | undefined): boolean {
  return live?.digest === revert.digest && !isOfAnother(revert.id, live.switchedBy);
}

function isOfAnother(revertId: string, switchedBy: string | undefined): boolean {
  const [mine, its] = [firstRunIdOf(revertId), switchedBy === undefined ? undefined : firstRunIdOf(switchedBy)];
  return mine !== undefined && its !== undefined && mine !== its;
}

/** What a stream is about when a fresh command arrives. Digests of releases. */
export interface StreamSituation {
  state: SiteState;
  /** For a revert, only what it would undo. */
  live?: string;
  pending?: string;
}

/**
 * `begin`: at once. `interrupt`: the unfinished command ends first (nothing switched: superseded; switched: undone).
 * `queue`: after the switch or undo in progress. `answer`: a revert of what is neither live nor pending changes nothing,
 * and does not disturb what is under way.
 */
export type Admission = 'begin' | 'interrupt' | 'queue' | 'answer';

export function decideAdmission(
  command: Pick<Command, 'verb' | 'digest'>,
  stream: StreamSituation,
  queued: boolean,
): Admission {
  const concerns = command.verb === 'converge' || command.digest === stream.live || command.digest === stream.pending;
  if (!concerns) return 'answer';
  if (queued || isChanging(stream.state)) return 'queue';
  return isAtRest(stream.state) ? 'begin' : 'interrupt';
}

/** When a command was accepted, as a site keeps it. */
export interface Acceptance {
  acceptedAt: number;
  acceptedElapsed: number;
  bootId: string;
  /** Where the time since then is counted from now; absent: from then. */
  mark?: Mark;
}

/** The acceptance, from which the time that a command was given counts. */
export function acceptanceOf({ mark, acceptedAt, acceptedElapsed, bootId }: Acceptance): Mark {
  return mark ?? { now: acceptedAt, elapsed: acceptedElapsed, bootId };
}

/** Ms that a command was given; undefined: it may be switched to whenever. */
export function lifetimeOf({ switchBy, issuedAt }: Pick<Command, 'switchBy' | 'issuedAt'>): number | undefined {
  return switchBy === undefined ? undefined : switchBy - issuedAt;
}

/** Times in epoch ms; `elapsedSinceAccepted` by a clock that counts while the site sleeps and ignores the wall clock. */
export interface SwitchMoment {
  now: number;
  timeFloor: number;
  elapsedSinceAccepted: number;
}

/**
 * True if the command may no longer begin switching (design §4): by the later of clock and time floor, or because more
 * time than it was given has elapsed here, whatever the clock says.
 */
export function isPastSwitchBy(command: Pick<Command, 'switchBy' | 'issuedAt'>, at: SwitchMoment): boolean {
  if (command.switchBy === undefined) return false;
  if (Math.max(at.now, at.timeFloor) > command.switchBy) return true;
  return at.elapsedSinceAccepted > command.switchBy - command.issuedAt;
}

/** Milliseconds until `isPastSwitchBy` turns true by elapsed time; at least 0. Infinity without `switchBy`. */
export function timeLeftToSwitch(command: Pick<Command, 'switchBy' | 'issuedAt'>, at: SwitchMoment): number {
  if (command.switchBy === undefined) return Infinity;
  const byClock = command.switchBy - Math.max(at.now, at.timeFloor);
  const byElapsed = command.switchBy - command.issuedAt - at.elapsedSinceAccepted;
  return Math.max(0, Math.min(byClock, byElapsed));
}
