/** What a rollout does when a wave does not promote it: wait for a person, undo, stay halted, or stop as it was told. */
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import type { OnFailure } from '../policies/model/strategy.js';
import type { Reason } from '../policies/model/verdict.js';
import { stagesToRevert, type Decision } from '../policies/rollout/decide.js';
import { budgetOf, failingStages, note, setStage, worstBudget, type RolloutRun } from './rollout-run.js';
import { undo } from './undo.js';
import { waitForPerson } from './wait.js';

export interface End {
  outcome: RolloutOutcome;
  reason: Reason;
}

/** An inconclusive wave: a person promotes or stops, or the deadline does what the strategy says; never a promotion. */
export async function waitOut(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  decision: Extract<Decision, { kind: 'wait' }>,
): Promise<End | undefined> {
  const { within, then } = outline.strategy.onInconclusive;
  const { onFailure, owner } = outline.strategy;
  setStage(run, stage.name, { state: 'waiting' });
  const owedIsBackInBounds = () => decision.reason.code === 'BUDGET_OWED' && budgetOf(run, stage).verdict === 'pass';
  const hasFailed = () => worstBudget(run, stage).verdict === 'fail';
  const gate = run.stages[stage.name]?.gate;
  const mayResolve = () => hasFailed() || (owedIsBackInBounds() && (!gate || gate.verdict === 'pass'));
  const end = await waitForPerson(run, decision.reason, { within, then, owner }, mayResolve);
  switch (end) {
    case 'stopped':
      return stopped(run, outline);
    case 'promoted':
      note(run, 'decision', {
        stage: stage.name,
        kind: 'promote',
        reason: { code: 'OVERRIDDEN', detail: decision.reason.code },
      });
      return undefined;
    case 'resolved':
      return hasFailed()
        ? failed(run, outline, stage, onFailure, worstBudget(run, stage).reason ?? decision.reason)
        : undefined;
    case 'expired':
      return failed(run, outline, stage, then, {
        code: 'WAIT_EXPIRED',
        detail: `${decision.reason.code}: ${decision.reason.detail}`,
      });
  }
}

/** A failure, or a wait that has expired: undo what the strategy names, or stay halted until a person decides. */
export async function failed(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  then: OnFailure,
  reason: Reason,
): Promise<End | undefined> {
  if (then === 'stay') return halted(run, outline, stage, reason);
  const begun = outline.stages.map((s) => s.name).filter((name) => run.stages[name] !== undefined);
  const named = [...stagesToRevert(then, stage.name, begun), ...failingStages(run).map((s) => s.name)];
  const stages = [...new Set(named)];
  await undo(run, outline, { stages, keepConfirmed: false, block: true, reason });
  return { outcome: 'reverted', reason };
}

async function halted(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  reason: Reason,
): Promise<End | undefined> {
  run.outcome = 'halted';
  run.reason = reason;
  const { owner } = outline.strategy;
  const end = await waitForPerson(run, reason, { then: 'stay', owner }, () => false);
  delete run.outcome;
  delete run.reason;
  if (end === 'stopped') return stopped(run, outline);
  note(run, 'decision', { stage: stage.name, kind: 'promote', reason: { code: 'OVERRIDDEN', detail: reason.code } });
  return undefined;
}

/** Abort and revert win over any decision of the same workflow task. */
export async function stopped(run: RolloutRun, outline: PlanOutline): Promise<End> {
  const stop = run.stop;
  if (!stop) throw new TypeError('stopped without abort or revert');
  const stages = outline.stages.map((stage) => stage.name);
  const detail = `by ${stop.by}: ${stop.reason}`;
  const isRevert = stop.verb === 'revert';
  const reason: Reason = { code: isRevert ? 'REVERT_REQUESTED' : 'ABORTED', detail };
  await undo(run, outline, { stages, keepConfirmed: !isRevert, block: isRevert, reason });
  if (run.stop?.verb === 'revert' && !isRevert) return stopped(run, outline);
  return { outcome: isRevert ? 'reverted' : 'aborted', reason };
}
