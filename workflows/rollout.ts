/**
 * The rollout: lock, plan, preflight, then for each stage its waves, each with its gate and a decision, and the seal.
 * Started by anyone with `{"release": "<stream>@<version>", "strategy": "<name>"}` (design §4).
 */
import { ApplicationFailure } from '@temporalio/common';
import { allHandlersFinished, CancellationScope, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import { decideAfterWave, type Decision } from '../policies/rollout/decide.js';
import type { StreamLock } from './lock.js';
import { openRolloutRun, budgetOf, note, setStage, worstBudget, type Carried, type RolloutRun } from './rollout-run.js';
import { keepRecording, untilAllRecorded, untilRecorded } from './rollout-record.js';
import { begin, isOver, readRequest } from './rollout-begin.js';
import { handleMessages } from './rollout-verbs.js';
import { failed, stopped, waitOut, type End } from './endings.js';
import { judgeWave } from './wave-gate.js';
import { carryOutWave, mustStop } from './wave.js';

export interface RolloutEnd {
  outcome: RolloutOutcome;
  label: string;
  confirmed: number;
  owed: number;
}

export async function rollout(input: unknown, carried?: Carried): Promise<RolloutEnd> {
  const run = openRolloutRun(readRequest(input), identityOf(carried), carried, Date.now());
  handleMessages(run);
  cancelMeansAbort(run);
  return CancellationScope.nonCancellable(async () => {
    void keepRecording(run);
    void keepPauseClock(run);
    const begun = await begin(run, carried !== undefined);
    const end = await carryOutStages(run, begun.outline, begun.lock, carried);
    return seal(run, begun.outline, begun.lock, end);
  });
}

async function carryOutStages(
  run: RolloutRun,
  outline: PlanOutline,
  lock: StreamLock,
  carried: Carried | undefined,
): Promise<End> {
  for (let s = carried?.stageIndex ?? 0; s < outline.stages.length; s += 1) {
    const stage = outline.stages[s];
    if (!stage) break;
    for (let w = s === carried?.stageIndex ? carried.waveIndex : 0; w < stage.waves.length; w += 1) {
      await continueIfLong(run, outline, lock, s, w);
      const end = await carryOutAndDecide(run, outline, stage, w);
      if (end) return end;
    }
    setStage(run, stage.name, { state: 'promoted' });
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
  const decision = stage.waves[wave]?.hold ? holdDecision(stage) : await changeAndJudge(run, outline, stage, wave);
  note(run, 'decision', { stage: stage.name, wave, ...decision });
  if (run.stop) return stopped(run, outline);
  switch (decision.kind) {
    case 'promote':
      return promoteOnceUnpaused(run, outline, stage);
    case 'wait':
      return waitOut(run, outline, stage, decision);
    case 'fail':
      return failed(run, outline, stage, decision.then, decision.reason);
  }
}

/** No promotion while paused, none before its record is safe, none if a site has failed meanwhile. */
async function promoteOnceUnpaused(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
): Promise<End | undefined> {
  await condition(() => !run.paused || mustStop(run, stage));
  await untilRecorded(run);
  if (run.stop) return stopped(run, outline);
  const budget = worstBudget(run, stage);
  if (budget.verdict !== 'fail' || !budget.reason) return undefined;
  return failed(run, outline, stage, outline.strategy.onFailure, budget.reason);
}

async function changeAndJudge(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
): Promise<Decision> {
  await carryOutWave(run, outline, stage, wave);
  const early = decideAfterWave(worstBudget(run, stage), 'not judged', outline.strategy.onFailure);
  if (early.kind === 'fail' || run.stop) return early;
  const gate = await judgeWave(run, outline, stage, wave);
  return decideAfterWave(worstBudget(run, stage), gate, outline.strategy.onFailure);
}

function holdDecision(stage: OutlineStage): Decision {
  return { kind: 'wait', reason: { code: 'WAVE_HELD', detail: `stage ${stage.name} waits here for a person` } };
}

/** Evidence is closed, the lock is freed, and only a promoted rollout ends green. */
async function seal(run: RolloutRun, outline: PlanOutline, lock: StreamLock, end: End): Promise<RolloutEnd> {
  run.state = 'sealed';
  run.outcome = end.outcome;
  run.reason = end.reason;
  note(run, 'sealed', { outcome: end.outcome, reason: end.reason, sites: [...run.outcomes.values()] });
  await untilAllRecorded(run);
  await lock.release();
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
  lock: StreamLock,
  stageIndex: number,
  waveIndex: number,
): Promise<void> {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  if (!continueAsNewSuggested && historyLength < run.continueAfterEvents) return;
  if (run.stop !== undefined) return;
  await untilAllRecorded(run);
  await condition(allHandlersFinished);
  await lock.release();
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
    continueAfterEvents: run.continueAfterEvents,
  });
}

function identityOf(carried: Carried | undefined) {
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

/** Counts paused time, so that soaks and waits can be longer by it. */
async function keepPauseClock(run: RolloutRun): Promise<void> {
  for (;;) {
    await condition(() => run.paused);
    const since = Date.now();
    run.dirty = true;
    await condition(() => !run.paused);
    run.pausedMs += Date.now() - since;
    run.dirty = true;
  }
}
