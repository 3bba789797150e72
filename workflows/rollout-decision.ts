/**
 * What is decided after a wave and its gate, and what is done about it, from decision to decision: until the wave is promoted
 * or the rollout ends. Decisions are those of policies/rollout/decide.
 */
import { condition, patched } from '@temporalio/workflow';
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { Reason } from '../policies/model/verdict.js';
import type { BudgetVerdict } from '../policies/rollout/budget.js';
import { decideAfterWave, type Decision } from '../policies/rollout/decide.js';
import { isOverForNow } from './catch-up-batch.js';
import { failed, stopped, waitOut, type Aftermath, type End } from './endings.js';
import { keepLock } from './rollout-lock.js';
import { untilRecorded } from './rollout-record.js';
import { waitForAdoption } from './rollout-reset.js';
import { tryAgain } from './rollout-retry.js';
import { budgetOf, note, undecidedUplinks, waitsForUplink, worstBudget, type RolloutRun } from './rollout-run.js';
import { judgeWave } from './wave-gate.js';
import { carryOutWave, mustStop, unsettled } from './wave.js';

/** One wave with its gate, and what follows. Undefined: go on to the next wave. */
export async function carryOutAndDecide(
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
export async function followDecision(
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
      if (!run.stop) {
        decision = await takeUpAgain(run, outline, stage, wave);
        // Runs of before went on without a word of what was decided here.
        if (patched('adopted-decision')) continue;
      }
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
