/** What a rollout knows while it runs, how it publishes that, and what it hands to its next run. */
import type { RunIdentity } from '../activities/contract.js';
import type { Result } from '../policies/model/command.js';
import type { EvidenceDraft } from '../policies/model/evidence.js';
import type { OutlineStage, PlanOutline, ShardInput } from '../policies/model/outline.js';
import type {
  RolloutOutcome,
  RolloutRequest,
  RolloutState,
  RolloutStatus,
  SiteOutcome,
  StageStatus,
  VerbPayload,
  Wait,
} from '../policies/model/rollout.js';
import type { GateVerdict, Reason } from '../policies/model/verdict.js';
import { countStage, judgeBudget, type BudgetVerdict, type Forgiven } from '../policies/rollout/budget.js';
import { readCommanded, readNews } from '../policies/rollout/news.js';
import { mergeOutcome, outcomeOf, repeatedResult } from '../policies/rollout/outcomes.js';
import type { StreamLock } from './lock.js';
import type { CommandedSite, ShardNews } from './messages.js';

export interface StageProgress {
  wave: number;
  state: StageStatus['state'];
  gate?: GateVerdict;
  /** While gating: when the soak is over, epoch ms. */
  soakUntil?: number;
}

/** Plain data that survives continue-as-new. */
export interface Carried {
  continuation: number;
  startedAt: number;
  outline: PlanOutline;
  stageIndex: number;
  waveIndex: number;
  outcomes: SiteOutcome[];
  commanded: CommandedSite[];
  stages: Record<string, StageProgress>;
  paused: boolean;
  forgiven: Record<string, Forgiven>;
  /** Events of one run after which the next begins, between waves. */
  continueAfterEvents: number;
  /** Asked for while the run was handed over. */
  stop?: Stop;
  /** Evidence that was not known to be appended by then: it may be there twice, never missing. */
  drafts: EvidenceDraft[];
}

export type Stop = { verb: 'abort' | 'revert' } & VerbPayload;

export interface OpenShard {
  workflowId: string;
  input: ShardInput;
  commanded?: CommandedSite[];
  tell(what: 'stop' | 'hold' | 'goOn'): Promise<void>;
  closed: boolean;
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
  stages: Record<string, StageProgress>;
  outcomes: Map<string, SiteOutcome>;
  /** Every site for which a converge was ever scheduled. */
  commanded: Map<string, CommandedSite>;
  /** Answers to this rollout's reverts. */
  answers: Map<string, Result>;
  /** Sites that were sent a revert. */
  reverting: Set<string>;
  shards: Map<string, OpenShard>;
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
  drafts: EvidenceDraft[];
  /** Being appended. */
  inFlight: EvidenceDraft[];
  dirty: boolean;
  recording: boolean;
  continueAfterEvents: number;
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
    answers: new Map(),
    reverting: new Set(),
    shards: new Map(),
    paused: carried?.paused ?? false,
    pausedSince: now,
    pausedMs: 0,
    forgiven: carried?.forgiven ?? {},
    drafts: carried?.drafts ?? [],
    inFlight: [],
    dirty: false,
    recording: false,
    blocking: Promise.resolve(),
    continueAfterEvents: carried?.continueAfterEvents ?? 4_096,
  };
  if (carried) run.outline = carried.outline;
  if (carried?.stop) run.stop = carried.stop;
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

/** Takes in what shards and inbox report; idempotent. Returns in words what was wrong with it, if anything. */
export function takeNews(run: RolloutRun, input: unknown): string | undefined {
  const { firstRunId } = run.identity;
  const news = readNews(input, { firstRunId, placeOf: (site) => placeOf(run, site) });
  if ('refused' in news) return news.refused;
  for (const outcome of news.outcomes) takeOutcome(run, outcome);
  for (const answer of news.answers) takeAnswer(run, answer);
  const { shard } = input as Partial<ShardNews>;
  const open = typeof shard === 'string' ? run.shards.get(shard) : undefined;
  const commanded = readCommanded(input);
  if (open && commanded) open.commanded = commanded;
  return undefined;
}

export function takeOutcome(run: RolloutRun, outcome: SiteOutcome): void {
  const known = run.outcomes.get(outcome.site);
  const merged = mergeOutcome(known, outcome);
  if (merged === known) return;
  run.outcomes.set(outcome.site, merged);
  run.dirty = true;
}

/** A revert's answer repeats the result of the converge: a local revert is counted, whoever brings the news. */
function takeAnswer(run: RolloutRun, answer: Result): void {
  run.answers.set(answer.site, answer);
  const repeated = repeatedResult(answer);
  if (repeated) takeResult(run, repeated);
  run.dirty = true;
}

/** A converge's result that a revert repeats: the stage and wave are those that the site has in the plan. */
function takeResult(run: RolloutRun, result: Result): void {
  const place = placeOf(run, result.site);
  if (place) takeOutcome(run, outcomeOf(result, place.stage, place.wave));
}

function placeOf(run: RolloutRun, site: string): { stage: string; wave: number } | undefined {
  for (const stage of run.outline?.stages ?? []) {
    const wave = stage.waves.findIndex((candidate) => candidate.sites.some((s) => s.id === site));
    if (wave >= 0) return { stage: stage.name, wave };
  }
  return undefined;
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

/** Stages whose failures exceed their budget; a site that confirmed and reverted later counts as well. */
export function failingStages(run: RolloutRun): OutlineStage[] {
  const begun = (run.outline?.stages ?? []).filter((stage) => run.stages[stage.name] !== undefined);
  return begun.filter((stage) => budgetOf(run, stage).verdict === 'fail');
}

/** A person promotes against what stands: the failures and the absent of today do not stop the rollout again. */
export function forgive(run: RolloutRun, stages: OutlineStage[]): void {
  for (const stage of stages) {
    const { failed, owed } = budgetOf(run, stage).count;
    run.forgiven[stage.name] = { failed: failed.length, owed: owed.length };
  }
}

export function setStage(run: RolloutRun, stage: string, progress: Partial<StageProgress>): void {
  run.stages[stage] = { ...(run.stages[stage] ?? { wave: 0, state: 'untouched' }), ...progress };
  run.dirty = true;
}

export function statusOf(run: RolloutRun, now: number): RolloutStatus | null {
  const { outline } = run;
  if (!outline) return null;
  const status: RolloutStatus = {
    label: outline.label,
    workflowId: run.identity.workflowId,
    firstRunId: run.identity.firstRunId,
    stream: outline.release.stream,
    release: { version: outline.release.version, digest: outline.release.digest },
    strategy: outline.strategy.name,
    planDigest: outline.planDigest,
    generation: outline.generation,
    state: run.paused && run.state !== 'sealed' && run.state !== 'reverting' ? 'paused' : run.state,
    stages: outline.stages.map((stage) => stageStatus(run, stage)),
    startedAt: run.startedAt,
    updatedAt: now,
    owedReverts: [...run.reverting].filter((site) => !run.answers.has(site)).sort(),
  };
  if (run.outcome) status.outcome = run.outcome;
  if (run.reason) status.reason = run.reason;
  if (run.wait) status.wait = run.wait;
  return status;
}

function stageStatus(run: RolloutRun, stage: OutlineStage): StageStatus {
  const progress = run.stages[stage.name];
  const count = countStage(outcomesOf(run, stage.name));
  const status: StageStatus = {
    name: stage.name,
    sites: sizeOf(stage),
    wave: progress?.wave ?? 0,
    waves: stage.waves.length,
    confirmed: count.confirmed.length,
    failed: count.failed.length,
    owed: count.owed.length,
    state: progress?.state ?? 'untouched',
  };
  if (progress?.gate) status.gate = progress.gate;
  if (progress?.state === 'gating' && progress.soakUntil !== undefined) status.soakUntil = progress.soakUntil;
  return status;
}
