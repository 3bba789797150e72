/**
 * The rollout: lock, plan, preflight, then for each stage its waves, each with its gate and a decision, and the seal.
 * Started by anyone with `{"release": "<stream>@<version>", "strategy": "<name>"}` (design §4).
 */
import { ApplicationFailure } from '@temporalio/common';
import { allHandlersFinished, CancellationScope, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import type { BudgetVerdict } from '../policies/rollout/budget.js';
import { decideAfterWave, type Decision } from '../policies/rollout/decide.js';
import {
  openRolloutRun,
  budgetOf,
  failingStages,
  note,
  setStage,
  undecidedUplinks,
  waitsForUplink,
  worstBudget,
  type Carried,
  type RolloutRun,
} from './rollout-run.js';
import { keepRecording, untilAllRecorded, untilRecorded } from './rollout-record.js';
import { isOverForNow } from './catch-up-batch.js';
import { begin, isOver } from './rollout-begin.js';
import { carriedOf, sealedSites } from './rollout-carry.js';
import { keepLock } from './rollout-lock.js';
import { keepHearing } from './rollout-news.js';
import { readRequest } from './rollout-request.js';
import { waitForAdoption } from './rollout-reset.js';
import { tryAgain } from './rollout-retry.js';
import { handleMessages } from './rollout-verbs.js';
import { failed, standsAgainst, stopped, waitOut, type Aftermath, type End } from './endings.js';
import { patient } from './proxies.js';
import { untilNoneMaySwitch } from './undo.js';
import { judgeWave } from './wave-gate.js';
import { carryOutWave, mustStop, unsettled } from './wave.js';

export interface RolloutEnd {
  outcome: RolloutOutcome;
  label: string;
  confirmed: number;
  owed: number;
}

/** `continueAfterEvents`: for tests; otherwise as Temporal suggests. */
export async function rollout(
  input: unknown,
  carried?: Carried | null,
  continueAfterEvents?: number,
): Promise<RolloutEnd> {
  const run = openRolloutRun(readRequest(input), identityOf(carried), carried, Date.now());
  if (continueAfterEvents !== undefined) run.continueAfterEvents = continueAfterEvents;
  handleMessages(run);
  cancelMeansAbort(run);
  return CancellationScope.nonCancellable(async () => {
    void keepRecording(run);
    void keepHearing(run);
    const outline = await begin(run, carried);
    const end = await carryOutStages(run, outline, carried);
    return seal(run, outline, await unlessAskedForMore(run, outline, end));
  });
}

async function carryOutStages(run: RolloutRun, outline: PlanOutline, carried?: Carried | null): Promise<End> {
  for (let s = carried?.stageIndex ?? 0; s < outline.stages.length; s += 1) {
    const stage = outline.stages[s];
    if (!stage) break;
    const from = s === carried?.stageIndex ? carried.waveIndex : 0;
    for (let w = from; w < stage.waves.length; w += 1) {
      // What a large rollout reads at its seam is a good part of a history: each run carries out one wave at least.
      if (s !== carried?.stageIndex || w !== from) await continueIfLong(run, outline, s, w);
      await keepLock(run);
      const end = await carryOutAndDecide(run, outline, stage, w);
      if (end) return end;
    }
    setStage(run, stage.name, { state: 'promoted' });
  }
  return promotedOrHalted(run, outline);
}

/**
 * Whatever led here: a rollout that leaves a site of its plan without an outcome, or a budget exceeded, is not promoted.
 * Judged once more while it waits to be sealed: a site may revert by itself until then.
 */
async function promotedOrHalted(run: RolloutRun, outline: PlanOutline): Promise<End> {
  for (;;) {
    await untilRecorded(run);
    if (run.wasReset && !run.stop) await waitForAdoption(run, outline);
    if (run.stop) return stopped(run, outline);
    const against = standsAgainst(run, outline);
    if (!against) break;
    const { stage, wave, decision } = against;
    const end = await followDecision(run, outline, stage, wave, decision);
    if (end) return end;
    setStage(run, stage.name, { state: 'promoted' });
  }
  return { outcome: 'promoted', reason: { code: 'GATE_PASSED', detail: 'every stage was promoted' } };
}

/**
 * Sealed only once nothing that was commanded may still begin to switch; a superseded rollout waits for nobody. What
 * fails or comes to light before that is answered as in any wave.
 */
async function unlessAskedForMore(run: RolloutRun, outline: PlanOutline, first: End): Promise<End> {
  for (let end = first; ;) {
    const asked = run.stop;
    const isInDoubt = () => !isOver(end.outcome) && (run.wasReset || failingStages(run).length > 0);
    if (asked?.verb !== 'supersede') await untilNoneMaySwitch(run, isInDoubt);
    if (!isOver(end.outcome) && undecidedUplinks(run).length > 0) {
      await condition(() => undecidedUplinks(run).length === 0 || run.stop !== asked);
    }
    if (run.stop !== asked) end = await stopped(run, outline);
    else if (isInDoubt()) end = await promotedOrHalted(run, outline);
    else return end;
  }
}

/** One wave with its gate, and what follows. Undefined: go on to the next wave. */
async function carryOutAndDecide(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
): Promise<End | undefined> {
  await condition(() => !run.paused || run.stop !== undefined);
  run.state = 'running';
  const decision = stage.waves[wave]?.hold ? holdDecision(stage) : await changeAndJudge(run, outline, stage, wave);
  return followDecision(run, outline, stage, wave, decision);
}

/** From decision to decision, until the wave is promoted (undefined) or the rollout ends. */
async function followDecision(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
  first: Decision,
): Promise<End | undefined> {
  for (let decision = first; ;) {
    note(run, 'decision', { stage: stage.name, wave, ...decision });
    if (run.wasReset && !run.stop) {
      await waitForAdoption(run, outline);
      if (!run.stop) decision = await takeUpAgain(run, outline, stage, wave);
    }
    if (run.stop) return stopped(run, outline);
    if (decision.kind === 'promote') {
      const failure = await failureBeforePromotion(run, stage);
      if (run.stop) return stopped(run, outline);
      if (run.wasReset) continue;
      if (!failure) return undefined;
      decision = decideAfterWave(failure, 'not judged', outline.strategy.onFailure);
      continue;
    }
    if (isOverForNow(run.request, decision)) return { outcome: 'aborted', reason: decision.reason };
    const end = await (decision.kind === 'fail'
      ? failed(run, outline, stage, decision.then, decision.reason)
      : waitOut(run, outline, stage, decision));
    if (isEnd(end)) return end;
    decision = await afterWait(run, outline, stage, wave, { decision, end });
  }
}

function isEnd(aftermath: Aftermath): aftermath is End {
  return typeof aftermath === 'object' && 'outcome' in aftermath;
}

async function afterWait(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
  { decision, end }: { decision: Decision; end: Exclude<Aftermath, End> },
): Promise<Decision> {
  if (end === undefined) return afterOverride(run, outline, stage, wave, decision);
  run.state = 'running';
  if (typeof end === 'object') await tryAgain(run, outline, end.again);
  return judgeAgain(run, outline, stage, wave);
}

/** What a lost run left: sites that nobody commanded are, all others have their outcome. */
async function takeUpAgain(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
): Promise<Decision> {
  run.state = 'running';
  if (unsettled(run, stage, wave).length > 0) return changeAndJudge(run, outline, stage, wave);
  return stage.waves[wave]?.hold ? holdDecision(stage) : judgeAgain(run, outline, stage, wave);
}

/** No promotion while paused, none before its record is safe, none if a site has failed meanwhile. */
async function failureBeforePromotion(run: RolloutRun, stage: OutlineStage): Promise<BudgetVerdict | undefined> {
  await condition(() => !run.paused || mustStop(run, stage));
  await untilRecorded(run);
  const budget = worstBudget(run, stage);
  return budget.verdict === 'fail' ? budget : undefined;
}

/**
 * A person has promoted against what stood. What a stop left untouched is changed now; a failure that came since, and a
 * cohort without a confirmed site, are not covered by that word.
 */
async function afterOverride(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
  { reason }: Decision,
): Promise<Decision> {
  if (unsettled(run, stage, wave).length > 0) {
    await keepLock(run);
    return changeAndJudge(run, outline, stage, wave);
  }
  const budget = worstBudget(run, stage);
  const changed = (stage.waves[wave]?.sites.length ?? 0) > 0;
  if (budget.verdict === 'fail' || (changed && budget.count.confirmed.length === 0)) {
    return decideAfterWave(budget, 'not judged', outline.strategy.onFailure);
  }
  return { kind: 'promote', reason: { code: 'OVERRIDDEN', detail: reason.code } };
}

async function changeAndJudge(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
): Promise<Decision> {
  await carryOutWave(run, outline, stage, wave);
  return judgeAgain(run, outline, stage, wave);
}

async function judgeAgain(run: RolloutRun, outline: PlanOutline, stage: OutlineStage, wave: number): Promise<Decision> {
  if (undecidedUplinks(run).length > 0) {
    await condition(() => undecidedUplinks(run).length === 0 || mustStop(run, stage));
  }
  const early = decideAfterWave(worstBudget(run, stage), 'not judged', outline.strategy.onFailure);
  if (early.kind === 'fail' || run.stop || run.wasReset) return early;
  if (waitsForUplink(run)) return { kind: 'wait', reason: uplinkReason(run, stage) };
  const left = unsettled(run, stage, wave).length;
  if (left > 0) {
    return { kind: 'wait', reason: { code: 'NOT_COMMANDED', detail: `${left} sites of the wave were not commanded` } };
  }
  const gate = await judgeWave(run, outline, stage, wave);
  return decideAfterWave(worstBudget(run, stage), gate, outline.strategy.onFailure);
}

function uplinkReason(run: RolloutRun, stage: OutlineStage): Reason {
  const { reason } = budgetOf(run, stage);
  return reason?.code === 'UPLINK_LOST' ? reason : { code: 'UPLINK_LOST', detail: 'in a stage before this one' };
}

function holdDecision(stage: OutlineStage): Decision {
  return { kind: 'wait', reason: { code: 'WAVE_HELD', detail: `stage ${stage.name} waits here for a person` } };
}

/** Evidence is closed, the lock is freed, and only a promoted rollout ends green. */
async function seal(run: RolloutRun, outline: PlanOutline, end: End): Promise<RolloutEnd> {
  run.state = 'sealed';
  run.outcome = end.outcome;
  run.reason = end.reason;
  note(run, 'sealed', { outcome: end.outcome, reason: end.reason, ...sealedSites([...run.outcomes.values()]) });
  await untilAllRecorded(run);
  await run.blocking;
  // What is still owed has its next owner before a successor can begin.
  await patient.handOver(run.identity, end.outcome);
  await run.lock?.release();
  await condition(allHandlersFinished);
  if (isOver(end.outcome)) throw endFailure(end, outline);
  const count = outline.stages.map((stage) => budgetOf(run, stage).count);
  const sum = (pick: 'confirmed' | 'owed') => count.reduce((total, c) => total + c[pick].length, 0);
  return { outcome: end.outcome, label: outline.label, confirmed: sum('confirmed'), owed: sum('owed') };
}

function endFailure(end: End, outline: PlanOutline): ApplicationFailure {
  const type = end.outcome === 'reverted' ? 'RolloutReverted' : 'RolloutAborted';
  return ApplicationFailure.nonRetryable(`${type}: ${outline.label}: ${end.reason.code} (${end.reason.detail})`, type);
}

/** Only between waves, with no shard open: continue-as-new applies the parent-close policy to children. */
async function continueIfLong(
  run: RolloutRun,
  outline: PlanOutline,
  stageIndex: number,
  waveIndex: number,
): Promise<void> {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  if (!continueAsNewSuggested && historyLength < run.continueAfterEvents) return;
  await untilRecorded(run);
  await condition(allHandlersFinished);
  // The minute in which it is decided runs here.
  if (undecidedUplinks(run).length > 0) return;
  if (run.stop !== undefined || run.wasReset) return;
  await run.lock?.release();
  await condition(allHandlersFinished);
  // A verb may have come while the lock was being let go. Obeyed here: an undo needs neither a lock nor another run.
  if (undecidedUplinks(run).length > 0) return;
  if (run.stop !== undefined || run.wasReset) return;
  await continueAsNew<typeof rollout>(run.request, carriedOf(run, outline, stageIndex, waveIndex));
}

function identityOf(carried: Carried | null | undefined) {
  const { workflowId, firstExecutionRunId, runId } = workflowInfo();
  return { workflowId, firstRunId: firstExecutionRunId, runId, continuation: carried?.continuation ?? 0 };
}

function cancelMeansAbort(run: RolloutRun): void {
  CancellationScope.current().cancelRequested.catch(() => {
    if (run.state === 'sealed' || run.stop) return;
    run.stop = { verb: 'abort', by: 'Temporal', reason: 'the workflow was cancelled' };
    note(run, 'verb', { ...run.stop });
  });
}
