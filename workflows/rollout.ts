/**
 * The rollout: lock, plan, preflight, then for each stage its waves, each with its gate and a decision, and the seal.
 * Started by anyone with `{"release": "<stream>@<version>", "strategy": "<name>"}` (design §4).
 */
import { ApplicationFailure } from '@temporalio/common';
import { allHandlersFinished, CancellationScope, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import type { BudgetVerdict } from '../policies/rollout/budget.js';
import { decideAfterWave, type Decision } from '../policies/rollout/decide.js';
import { openRolloutRun, budgetOf, note, setStage, worstBudget, type Carried, type RolloutRun } from './rollout-run.js';
import { keepRecording, untilAllRecorded, untilRecorded } from './rollout-record.js';
import { begin, isOver, keepLock, readRequest } from './rollout-begin.js';
import { handleMessages } from './rollout-verbs.js';
import { failed, stopped, waitOut, type End } from './endings.js';
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
    const outline = await begin(run, Boolean(carried));
    const end = await carryOutStages(run, outline, carried);
    return seal(run, outline, end);
  });
}

async function carryOutStages(run: RolloutRun, outline: PlanOutline, carried?: Carried | null): Promise<End> {
  for (let s = carried?.stageIndex ?? 0; s < outline.stages.length; s += 1) {
    const stage = outline.stages[s];
    if (!stage) break;
    for (let w = s === carried?.stageIndex ? carried.waveIndex : 0; w < stage.waves.length; w += 1) {
      await continueIfLong(run, outline, s, w);
      await keepLock(run);
      const end = await carryOutAndDecide(run, outline, stage, w);
      if (end) return end;
    }
    setStage(run, stage.name, { state: 'promoted' });
  }
  return promotedOrHalted(run, outline);
}

/** Whatever led here: a rollout that leaves a site of its plan without an outcome is not promoted. */
async function promotedOrHalted(run: RolloutRun, outline: PlanOutline): Promise<End> {
  if (run.stop) return stopped(run, outline);
  const forgotten = outline.stages.flatMap((stage) => stage.waves.flatMap((_, wave) => unsettled(run, stage, wave)));
  const last = outline.stages.at(-1);
  if (forgotten.length > 0 && last) {
    const detail = `${forgotten.length} sites of the plan were never commanded: ${forgotten[0]?.id} …`;
    const end = await failed(run, outline, last, 'stay', { code: 'NOT_COMMANDED', detail });
    if (end) return end;
  }
  return { outcome: 'promoted', reason: { code: 'GATE_PASSED', detail: 'every stage was promoted' } };
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
  let decision = stage.waves[wave]?.hold ? holdDecision(stage) : await changeAndJudge(run, outline, stage, wave);
  for (;;) {
    note(run, 'decision', { stage: stage.name, wave, ...decision });
    if (run.stop) return stopped(run, outline);
    if (decision.kind === 'promote') {
      const failure = await failureBeforePromotion(run, stage);
      if (run.stop) return stopped(run, outline);
      if (!failure) return undefined;
      decision = decideAfterWave(failure, 'not judged', outline.strategy.onFailure);
      continue;
    }
    const end = await (decision.kind === 'fail'
      ? failed(run, outline, stage, decision.then, decision.reason)
      : waitOut(run, outline, stage, decision));
    if (end === 'judge again') decision = await judgeAgain(run, outline, stage, wave);
    else if (end) return end;
    else decision = await afterOverride(run, outline, stage, wave, decision);
  }
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
  const early = decideAfterWave(worstBudget(run, stage), 'not judged', outline.strategy.onFailure);
  if (early.kind === 'fail' || run.stop) return early;
  const left = unsettled(run, stage, wave).length;
  if (left > 0) {
    return { kind: 'wait', reason: { code: 'NOT_COMMANDED', detail: `${left} sites of the wave were not commanded` } };
  }
  const gate = await judgeWave(run, outline, stage, wave);
  return decideAfterWave(worstBudget(run, stage), gate, outline.strategy.onFailure);
}

function holdDecision(stage: OutlineStage): Decision {
  return { kind: 'wait', reason: { code: 'WAVE_HELD', detail: `stage ${stage.name} waits here for a person` } };
}

/** Evidence is closed, the lock is freed, and only a promoted rollout ends green. */
async function seal(run: RolloutRun, outline: PlanOutline, end: End): Promise<RolloutEnd> {
  run.state = 'sealed';
  run.outcome = end.outcome;
  run.reason = end.reason;
  note(run, 'sealed', { outcome: end.outcome, reason: end.reason, sites: [...run.outcomes.values()] });
  await untilAllRecorded(run);
  await run.blocking;
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
  if (run.stop !== undefined) return;
  await run.lock?.release();
  await continueAsNew<typeof rollout>(run.request, {
    continuation: run.identity.continuation + 1,
    startedAt: run.startedAt,
    outline,
    stageIndex,
    waveIndex,
    outcomes: [...run.outcomes.values()],
    commanded: [...run.commanded.values()],
    stages: run.stages,
    paused: run.paused,
    forgiven: run.forgiven,
    drafts: [...run.inFlight, ...run.drafts],
    // A verb may have come while the lock was being let go: the next run obeys it first thing.
    ...(run.stop === undefined ? {} : { stop: run.stop }),
    continueAfterEvents: run.continueAfterEvents,
  });
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
