/** Rollouts as people and workflows see them (design §2, §4, §7). */
import type { Cause, ResultWord, SiteState } from './command.js';
import type { Reason, GateVerdict } from './verdict.js';
import type { Selector } from './strategy.js';

export const TASK_QUEUE = 'foothold';

const LOCKS = 'foothold/stream/';
/** Workflow id of the lock of a stream (design §4.1). */
export const lockIdOf = (stream: string): string => `${LOCKS}${stream}`;
export const isLockId = (workflowId: string): boolean => workflowId.startsWith(LOCKS);

const ENDS = new Set<string>(['COMPLETED', 'FAILED', 'TIMED_OUT', 'CANCELLED', 'TERMINATED']);

/** By Temporal's word for a workflow. One that is paused has not; of a status that nobody here knows nothing follows. */
export function hasEnded(status: string): boolean {
  return ENDS.has(status);
}

export type RolloutOutcome = 'promoted' | 'reverted' | 'aborted' | 'refused' | 'halted' | 'terminated';

/** What a person pastes into the Temporal UI: references by name. */
export interface RolloutRequest {
  release: string;
  strategy: string;
  only?: Selector;
  by?: string;
  reason?: string;
  /** Digest of a plan that freezing must reproduce (`start --plan`). */
  planDigest?: string;
  /** Reference of a running rollout of the same stream that ends, without an undo, so that this one can begin. */
  supersede?: string;
  /**
   * Set by `catchUp` alone: brings `sites` to what the promoted rollout `of` (its first run id) left as desired, in the
   * stages, gates and what is left of the budgets of its plan.
   */
  catchUp?: { of: string; sites: string[] };
}

export const ROLLOUT_VERBS = ['pause', 'resume', 'promote', 'abort', 'revert', 'retry'] as const;
export type RolloutVerb = (typeof ROLLOUT_VERBS)[number];
/** `supersede` is said by the rollout that takes over (`start --supersede`), seldom by a person. */
export type MessageVerb = RolloutVerb | 'supersede';
/** As a person types it after `foothold`. */
export type OfferedVerb = RolloutVerb | 'promote --override';

/** What an undo goes to: part of its evidence, by which a run that was reset goes on with the undo of the run before. */
export interface UndoScope {
  /** Names of the stages whose commanded sites are reverted. */
  stages: string[];
  /** An abort leaves confirmed sites as they are. */
  keepConfirmed: boolean;
  /** A central revert blocks the release for the stream until someone allows it. */
  block: boolean;
  reason: Reason;
}

/** Payload of every verb, as update and as signal. Self-asserted. */
export interface VerbPayload {
  by: string;
  reason: string;
  /** Only for promote: against a `fail`. */
  override?: boolean;
  /** Only for retry: these alone; otherwise every site that can be tried again. */
  sites?: string[];
  /** Only for supersede: who takes over. */
  rollout?: string;
  /** Only for supersede: sites of the superseded plan that the new plan leaves out. */
  leftOut?: string[];
}
/** What a verb answers: whether it was accepted, and what happens now, in one sentence. */
export interface VerbAnswer {
  accepted: boolean;
  message: string;
}

/** How the centre sees a site of a rollout: a result, or a disposition. */
export type SiteOutcomeWord = ResultWord | 'owed' | 'deferred' | 'untouched';
export interface SiteOutcome {
  site: string;
  outcome: SiteOutcomeWord;
  stage: string;
  /** Index into the waves of its stage: from 0. */
  wave: number;
  reason?: Reason;
  cause?: Cause;
  /** When it happened at the site (results), epoch ms by the site's clock. */
  at?: number;
  /** Last heartbeated state of a site without a result; null: the command was never received. */
  state?: SiteState | null;
  until?: number;
  /** Undone for a lost uplink: not decided yet whether it counts, or lost `together` with most others. Absent: counts. */
  uplink?: 'undecided' | 'together';
  /** Of the command that this is about; absent: the first. A later try replaces what an earlier one ended with. */
  try?: number;
}

export type RolloutState =
  'planning' | 'preflight' | 'prefetching' | 'running' | 'gating' | 'waiting' | 'paused' | 'reverting' | 'sealed';

/** Files travel before the first switch. Epoch ms; `until` is absent while a pause stops the clock. */
export interface PrefetchSpan {
  since: number;
  until?: number;
}

/** A wait: why, whose, until when, what then (design §4.6). */
export interface Wait {
  reason: Reason;
  owner: string;
  since: number;
  until?: number;
  then: 'stay' | 'revert-stage' | 'revert-all';
}

export interface StageStatus {
  name: string;
  sites: number;
  /** The wave begun last, counted from 1; 0 before the first. */
  wave: number;
  waves: number;
  confirmed: number;
  failed: number;
  owed: number;
  state: 'untouched' | 'running' | 'gating' | 'waiting' | 'promoted' | 'reverted' | 'stopped';
  gate?: GateVerdict;
  /** While gating: when the soak is over, epoch ms. */
  soakUntil?: number;
}

/** The answer of the `status` query and the row that the registry keeps. */
export interface RolloutStatus {
  label: string;
  workflowId: string;
  firstRunId: string;
  stream: string;
  release: { version: string; digest: string };
  strategy: string;
  planDigest: string;
  generation: number;
  state: RolloutState;
  outcome?: RolloutOutcome;
  reason?: Reason;
  wait?: Wait;
  prefetch?: PrefetchSpan;
  stages: StageStatus[];
  startedAt: number;
  updatedAt: number;
  /** Sites whose latest command is a revert without an answer. */
  owedReverts: string[];
}
