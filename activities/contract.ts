/** The signatures of all activities: what workflows import as types, and what the worker wires. */
import type { Page, Settled } from '../policies/model/command.js';
import type { EvidenceDraft } from '../policies/model/evidence.js';
import type { SampleGateInput, SampleGateOutput } from './gate/sample-gate.js';
import type { PlanOutline, ShardInput, OutlineSite } from '../policies/model/outline.js';
import type { Finding } from '../policies/model/plan.js';
import type { PrefetchCount, PrefetchInput } from '../policies/model/prefetch.js';
import type { Result } from '../policies/model/command.js';
import type { TakenDelivery } from '../policies/model/inbox.js';
import type { SiteEvent, SiteReport } from '../policies/model/report.js';
import type { OutboxAcks, OutboxPage } from '../policies/model/telemetry.js';
import type { CatchUpFacts } from '../policies/catch-up/facts.js';
import type { HandedOver } from '../policies/model/debt.js';
import type {
  RolloutOutcome,
  RolloutRequest,
  RolloutStatus,
  SiteOutcome,
  UndoScope,
} from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import type { Elsewhere } from '../policies/rollout/held-by.js';

/** Which run of which rollout asks: the workflow's own ids, and how often it has continued as new. */
export interface RunIdentity {
  workflowId: string;
  firstRunId: string;
  runId: string;
  continuation: number;
}

export interface PreflightSummary {
  blocked: boolean;
  /** Counts over all findings; the whole list is in the registry. */
  counts: { pass: number; warn: number; block: number };
  /** The first ten that block, else the first ten warnings. */
  first: Finding[];
}

export interface IssuedCommand {
  site: string;
  queue: string;
  page: Page;
  commandId: string;
  /** Epoch ms; a converge's `switchBy`. A revert has none. */
  settleBy?: number;
  issuedAt: number;
}

export interface IssuedPrefetch {
  site: string;
  queue: string;
  page: Page;
}

/** A site that may not be commanded now: scheduled again under the same id at `until`, or when asked again. */
export interface DeferredCommand {
  site: string;
  deferred: Reason;
  /** Epoch ms; absent: nobody knows when. */
  until?: number;
}
export type Issued = IssuedCommand | DeferredCommand;

/** Of sites that were commanded: which may not be given anything new now, and what Temporal knows of their commands. */
export interface Withdrawal {
  hindered: DeferredCommand[];
  /** Ids of commands that an agent is known to have begun. */
  begun: string[];
  /** An attempt of the shard has been with a site and told nothing: any other command of it may have been begun. */
  unclear: boolean;
}

/** What the registry holds of a rollout whose run was reset: a run that was thrown away may have commanded sites. */
export interface KnownCommands {
  /** `try`: the highest that a converge had. */
  commanded: { site: string; switchBy: number; try: number }[];
  outcomes: SiteOutcome[];
  /** There is more: to be given as `after`. */
  next?: string;
  /** With the last page: the undos that were begun, in their order. Absent in histories of before. */
  undos?: UndoScope[];
  /** With it: stages of which sites were sent a revert, whether or not the evidence tells of the undo. */
  reverting?: string[];
}

/**
 * `wasReset`: another run of this rollout had begun already, and a person has not adopted this one. `askedBy`: the run that
 * asked, absent in histories of before. A run that was reset finds in its history what the run before it was answered.
 */
export interface Recording {
  wasReset: boolean;
  askedBy?: string;
}

/** A frozen plan, and the names that freezing gave the rollout. */
export type FrozenRef = Pick<PlanOutline, 'planDigest' | 'label' | 'generation'>;

export interface ControlActivities {
  freezePlan(request: RolloutRequest, run: RunIdentity): Promise<PlanOutline>;
  /** A plan that was frozen before: after continue-as-new, or a reset. */
  readOutline(frozen: FrozenRef): Promise<PlanOutline>;
  runPreflight(outline: { planDigest: string; label: string }, run: RunIdentity): Promise<PreflightSummary>;
  /**
   * Keeps a rollout that was refused before its plan was frozen, so that `status` can tell of it. Records nothing of one
   * that has a plan, which only a run that was reset does not know of, and answers that plan.
   */
  recordRefused(request: RolloutRequest, reason: Reason, run: RunIdentity): Promise<{ frozen: FrozenRef | null }>;
  /** Records, and says whether the run that asks was reset. */
  recordProgress(drafts: EvidenceDraft[], status: RolloutStatus, run: RunIdentity): Promise<Recording>;
  /** A page of them, by site, from behind `after`: the whole of a large fleet is more than an activity may return. */
  knownCommands(firstRunId: string, after: string): Promise<KnownCommands>;
  /**
   * A person has decided that the rollout goes on in this run. False: another was adopted, of which this one has not learned.
   * Undefined in histories of before.
   */
  adoptRun(run: RunIdentity): Promise<boolean | undefined>;
  /** At sealing: debts pass to `catchUp` or are cancelled, `desired` is set; wakes `catchUp` where it has work. */
  handOver(run: RunIdentity, outcome: RolloutOutcome): Promise<HandedOver>;
  /** What the reconciler of a stream needs to decide what is next. */
  catchUpFacts(stream: string): Promise<CatchUpFacts>;
  /** Seals what was terminated, brings back lost carriers of owed reverts, wakes `catchUp` where there is drift. */
  sweep(word?: GiveUp): Promise<SweepSummary>;
  /** Those of `sites` that report the release as quarantined, and that nobody has allowed. */
  quarantined(release: { stream: string; digest: string }, sites: string[]): Promise<string[]>;
  /** Asks the rollout that holds the stream's lock to end for this one; MistakeError if it may not. */
  supersede(request: RolloutRequest, holder: LockHolder, run: RunIdentity): Promise<void>;
  recordBlock(block: { stream: string; digest: string; version: string; rollout: string }): Promise<void>;
  issueCommands(input: ShardInput, sites: OutlineSite[]): Promise<Issued[]>;
  /** Signed wishes for files; none for sites of which it is not clear who speaks for them. */
  issuePrefetches(input: PrefetchInput, sites: OutlineSite[]): Promise<IssuedPrefetch[]>;
  /** How many sites of a plan have its files, by what they reported last. */
  countPrefetched(planDigest: string): Promise<PrefetchCount>;
  /** Answers of agents that do not speak for their sites count for nothing: named, with the reason. */
  recordSettled(input: ShardRef, settled: Settled[]): Promise<Recorded>;
  /** Those of `sites` that were retired, with who did it and why as the detail. */
  retiredAmong(sites: string[]): Promise<{ site: string; reason: Reason }[]>;
  /** Asked of commands that no agent may have begun; see `withdrawHindered`. */
  judgeWithdrawal(input: ShardInput, sites: OutlineSite[]): Promise<Withdrawal>;
  /** Tells shards of commands that may not be begun now: a freeze, a hold or the like came after them. */
  withdrawHindered(): Promise<{ asked: number }>;
  recordDispositions(input: ShardRef, rows: { site: string; commandId: string; outcome: SiteOutcome }[]): Promise<void>;
  sampleGate(input: SampleGateInput): Promise<SampleGateOutput>;
  describeLock(stream: string): Promise<LockHolder | null>;
  /**
   * Another rollout of the stream that lives, or may live in another namespace, whoever has the lock: one at the seam of
   * continue-as-new, or without its lock.
   */
  rivalOf(stream: string, run: RunIdentity): Promise<LockHolder | null>;
  /**
   * Once it has closed. False: another run of it goes on, to which a cancel of the one before does not pass, or it takes its
   * time; undefined in histories of before.
   */
  awaitClosed(workflowId: string): Promise<boolean | undefined>;
  /**
   * `nth`: which delivery of its run it is, whatever activity carries it; absent in histories of before. The bare array is what
   * control workers of before recorded in histories.
   */
  recordInbox(report: SiteReport, events: SiteEvent[], nth?: number): Promise<InboxRecorded | LateNews[]>;
  /**
   * Deliveries of many sites, in order; null for each that could not be recorded. One alone is refused with the reason, so that it is
   * tried again.
   */
  recordArrivals(deliveries: TakenDelivery[]): Promise<(InboxRecorded | null)[]>;
  /** Samples and log lines of a site; what is recorded of them, or undefined if the agent does not speak for it. */
  recordOutbox(report: SiteReport, page: OutboxPage): Promise<OutboxAcks | undefined>;
}

/** `journal`: up to where the registry has it without a hole; absent if the agent does not speak for its site. */
export interface InboxRecorded {
  fresh: LateNews[];
  journal?: number;
}

/** What a site's own report changes for a running rollout: outcomes of converges, and answers to reverts. */
export interface LateNews {
  workflowId: string;
  firstRunId: string;
  outcomes: SiteOutcome[];
  answers: Result[];
}

/** `disbelieved`: absent from workers that did not tell. */
export interface Recorded {
  disbelieved?: { site: string; commandId: string; reason: Reason }[];
}

export type ShardRef = Pick<ShardInput, 'firstRunId' | 'stage' | 'wave'>;

export interface LockHolder {
  workflowId: string;
  firstRunId: string;
  /** Once its plan is frozen. */
  label?: string;
  /** A batch of the reconciler: it gives way to a person's rollout. */
  catchUp?: true;
  /** It may live where it cannot be asked: another namespace, or Temporal before it was made anew. */
  elsewhere?: Elsewhere;
  /** The run of the lock itself: by it, and never by the id alone, it is cancelled. Absent in its memo. */
  lockRunId?: string;
}

/** On the queue of a site, or of a bridge for many. */
export interface SiteActivities {
  converge(page: Page): Promise<Settled[]>;
}

/** A person's word that rollouts, by label, of which this namespace knows nothing are over: Temporal was made anew. */
export interface GiveUp {
  giveUp: string[];
  by: string;
  reason: string;
}

export interface SweepSummary {
  /** Labels of rollouts sealed as terminated. */
  terminated: string[];
  /** Streams whose `catchUp` was woken. */
  woken: string[];
  /** Labels of rollouts that run in another namespace, or nobody knows where, and so stay as they are. */
  elsewhere: string[];
  /** What could not be seen to, and why: the next sweep tries again. */
  failed: string[];
}
