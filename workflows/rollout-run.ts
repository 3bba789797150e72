/** What a rollout knows while it runs, and what it hands to its next run. */
import type { FrozenRef, RunIdentity } from '../activities/contract.js';
import type { Result } from '../policies/model/command.js';
import type { EvidenceDraft } from '../policies/model/evidence.js';
import type { OutlineStage, PlanOutline, ShardInput } from '../policies/model/outline.js';
import type {
  PrefetchSpan,
  RolloutOutcome,
  RolloutRequest,
  RolloutState,
  SiteOutcome,
  StageStatus,
  UndoScope,
  VerbPayload,
  Wait,
} from '../policies/model/rollout.js';
import type { GateVerdict, Reason } from '../policies/model/verdict.js';
import {
  forgivenOf,
  isOpenUplink,
  judgeBudget,
  type BudgetVerdict,
  type Forgiven,
} from '../policies/rollout/budget.js';
import type { StreamLock } from './lock.js';
import type { CommandedSite } from './messages.js';

export interface StageProgress {
  wave: number;
  state: StageStatus['state'];
  gate?: GateVerdict;
  /** While gating: when the soak is over, epoch ms. */
  soakUntil?: number;
}

/** Plain data that survives continue-as-new: never what grows by some hundred bytes with each site. */
export interface Carried {
  continuation: number;
  startedAt: number;
  /** The plan itself is read again. */
  frozen: FrozenRef;
  stageIndex: number;
  waveIndex: number;
  /** Sites that did not confirm, as many as there is room for; all others the registry tells. */
  outcomes: SiteOutcome[];
  /** Of those sites. */
  commanded: CommandedSite[];
  /** Of sites that were commanded again: the latest try. */
  tries: [string, number][];
  stages: Record<string, StageProgress>;
  paused: boolean;
  forgiven: Record<string, Forgiven>;
  /** Events of one run after which the next begins, between waves. */
  continueAfterEvents: number;
  /** Evidence that was not known to be appended by then: it may be there twice, never missing. */
  drafts: EvidenceDraft[];
}

/** `resumes`: nobody asked for it now, the run before this one had begun it. */
export type Stop = { verb: 'abort' | 'revert' | 'supersede'; resumes?: UndoScope } & VerbPayload;

export interface OpenShard {
  workflowId: string;
  input: ShardInput;
  commanded?: CommandedSite[];
  tell(what: 'stop' | 'hold' | 'goOn'): Promise<void>;
  /** Failed sites that it told of and waits to hear about. */
  unheard: string[];
  hear(sites: string[]): Promise<void>;
  closed: boolean;
}

export interface LostSites {
  stage: string;
  wave: number;
  rows: { site: string; commandId: string; outcome: SiteOutcome }[];
}

export interface RolloutRun {
  identity: RunIdentity;
  request: RolloutRequest;
  stream: string;
  startedAt: number;
  outline?: PlanOutline;
  state: RolloutState;
  outcome?: RolloutOutcome;
  reason?: Reason;
  wait?: Wait;
  /** While files travel. */
  prefetch?: PrefetchSpan;
  stages: Record<string, StageProgress>;
  outcomes: Map<string, SiteOutcome>;
  /** Every site for which a converge was ever scheduled. */
  commanded: Map<string, CommandedSite>;
  /** Of sites that were commanded again: the latest try. */
  tries: Map<string, number>;
  /** Answers to this rollout's reverts. */
  answers: Map<string, Result>;
  /** Sites that were sent a revert. */
  reverting: Set<string>;
  shards: Map<string, OpenShard>;
  /** Failed sites told of by a shard that is not among `shards` yet: its start is heard of in the same workflow task. */
  unheardEarly: Map<string, string[]>;
  paused: boolean;
  pausedSince: number;
  /** Over all pauses that have ended: soaks and waits are longer by it. */
  pausedMs: number;
  /** By stage: what a person's promote has answered for. */
  forgiven: Record<string, Forgiven>;
  stop?: Stop;
  lock?: StreamLock;
  /** The block of a release that is being undone: sealed only once it stands. */
  blocking: Promise<void>;
  /** A promote that no wait has used up yet. */
  ticket?: VerbPayload;
  /** A retry that no wait has used up yet. */
  retry?: { payload: VerbPayload; sites: string[] };
  /** Whether the wait that stands can be ended by a retry. */
  mayRetry: boolean;
  /** Another run of this rollout had begun, and no person has decided yet that this one goes on (RUN_WAS_RESET). */
  wasReset: boolean;
  /** The run that asked when this was learned of last: another than this one where that is in the history of the run before it. */
  learnedBy?: string | undefined;
  /** Of the runs before this one, and its own as far as they were told of: they stand, whatever is decided here. */
  begunUndos: UndoScope[];
  /** A person's decision for this run is being recorded. */
  adopting: boolean;
  /** After continue-as-new: what was not carried is still being read. Nothing is told of the rollout until then. */
  reading: boolean;
  drafts: EvidenceDraft[];
  /** What lost shards left: recorded before anything else is told. */
  lost: LostSites[];
  /** Being appended. */
  inFlight: EvidenceDraft[];
  dirty: boolean;
  recording: boolean;
  continueAfterEvents: number;
  /** Made once from the outline: where the plan has each site. */
  places?: Map<string, { stage: string; wave: number }>;
  /** Grows with whatever budgets are judged on. */
  judged: number;
  failing?: { judged: number; stages: OutlineStage[] };
  uplinks?: { judged: number; undecided: SiteOutcome[]; open: SiteOutcome[] };
  /** A minute is running, at whose end undos for lost uplinks are judged. */
  decidingUplink?: boolean;
}

export function openRolloutRun(
  request: RolloutRequest,
  identity: RunIdentity,
  carried: Carried | null | undefined,
  now: number,
): RolloutRun {
  const run: RolloutRun = {
    identity,
    request,
    stream: request.release.split('@')[0] ?? request.release,
    startedAt: carried?.startedAt ?? now,
    state: carried ? 'running' : 'planning',
    stages: carried?.stages ?? {},
    outcomes: new Map((carried?.outcomes ?? []).map((outcome) => [outcome.site, outcome])),
    commanded: new Map((carried?.commanded ?? []).map((site) => [site.site, site])),
    tries: new Map(carried?.tries ?? []),
    answers: new Map(),
    reverting: new Set(),
    shards: new Map(),
    unheardEarly: new Map(),
    paused: carried?.paused ?? false,
    pausedSince: now,
    pausedMs: 0,
    forgiven: carried?.forgiven ?? {},
    drafts: carried?.drafts ?? [],
    lost: [],
    inFlight: [],
    dirty: false,
    recording: false,
    mayRetry: false,
    wasReset: false,
    begunUndos: [],
    adopting: false,
    reading: Boolean(carried),
    judged: 0,
    blocking: Promise.resolve(),
    continueAfterEvents: carried?.continueAfterEvents ?? 4_096,
  };
  return run;
}

/** Shards that still bring the release to sites; those of an undo are never among them. */
export function openConverges(run: RolloutRun): OpenShard[] {
  return [...run.shards.values()].filter((shard) => !shard.closed && shard.input.verb === 'converge');
}

/** Adds to the evidence. Nothing changes at a site before it is appended; an undo does not wait for it. */
export function note(run: RolloutRun, kind: string, data: Record<string, unknown>): void {
  run.drafts.push({ kind, data });
  run.dirty = true;
}

export function isRecorded(run: RolloutRun): boolean {
  return run.drafts.length === 0 && !run.dirty && !run.recording;
}

export function outcomesOf(run: RolloutRun, stage: string): SiteOutcome[] {
  return [...run.outcomes.values()].filter((outcome) => outcome.stage === stage);
}

export function sizeOf(stage: OutlineStage): number {
  return stage.waves.reduce((sum, wave) => sum + wave.sites.length, 0);
}

export function budgetOf(run: RolloutRun, stage: OutlineStage): BudgetVerdict {
  return judgeBudget(stage.budget, sizeOf(stage), outcomesOf(run, stage.name), run.forgiven[stage.name]);
}

/** The budget that stops the rollout: of any stage begun that is exceeded by failures, else of the current stage. */
export function worstBudget(run: RolloutRun, current: OutlineStage): BudgetVerdict {
  const failing = failingStages(run)[0];
  return budgetOf(run, failing ?? current);
}

/**
 * Stages whose failures exceed their budget; a site that confirmed and reverted later counts as well. Asked at every
 * step of the workflow: judged again only after something has changed.
 */
export function failingStages(run: RolloutRun): OutlineStage[] {
  if (run.failing?.judged === run.judged) return run.failing.stages;
  const begun = (run.outline?.stages ?? []).filter((stage) => run.stages[stage.name] !== undefined);
  const stages = begun.filter((stage) => budgetOf(run, stage).verdict === 'fail');
  run.failing = { judged: run.judged, stages };
  return stages;
}

/** Sites that lost their uplink: not decided yet, or together and no person has answered for it. Asked at every step. */
function uplinksOf(run: RolloutRun): { judged: number; undecided: SiteOutcome[]; open: SiteOutcome[] } {
  if (run.uplinks?.judged === run.judged) return run.uplinks;
  const lost = [...run.outcomes.values()].filter((outcome) => outcome.uplink !== undefined);
  const undecided = lost.filter((outcome) => outcome.uplink === 'undecided');
  const open = lost.filter((one) => one.uplink === 'together' && isOpenUplink(one, run.forgiven[one.stage]));
  run.uplinks = { judged: run.judged, undecided, open };
  return run.uplinks;
}

export function undecidedUplinks(run: RolloutRun): SiteOutcome[] {
  return uplinksOf(run).undecided;
}

export function isUplinkInDoubt(run: RolloutRun): boolean {
  return undecidedUplinks(run).length > 0 || waitsForUplink(run);
}

/** Most of the sites being watched lost their uplink together: nobody else is commanded before a person has looked. */
export function waitsForUplink(run: RolloutRun): boolean {
  return uplinksOf(run).open.length > 0;
}

/** The stages of those sites. */
export function uplinkStages(run: RolloutRun): OutlineStage[] {
  const names = new Set(uplinksOf(run).open.map(({ stage }) => stage));
  return (run.outline?.stages ?? []).filter(({ name }) => names.has(name));
}

/** A person promotes against what stands: these very failures and absences do not stop the rollout again, any other does. */
export function forgive(run: RolloutRun, stages: OutlineStage[]): void {
  for (const stage of stages) {
    run.forgiven[stage.name] = forgivenOf(outcomesOf(run, stage.name));
    run.judged += 1;
  }
}

export function setStage(run: RolloutRun, stage: string, progress: Partial<StageProgress>): void {
  run.stages[stage] = { ...(run.stages[stage] ?? { wave: 0, state: 'untouched' }), ...progress };
  run.judged += 1;
  run.dirty = true;
}
