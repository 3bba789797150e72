/** What a rollout does when a wave does not promote it: wait for a person, undo, stay halted, or stop as it was told. */
import { patched } from '@temporalio/workflow';
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import type { OnFailure } from '../policies/model/strategy.js';
import type { Reason } from '../policies/model/verdict.js';
import { decideAfterWave, stagesToRevert, type Decision } from '../policies/rollout/decide.js';
import {
  budgetOf,
  failingStages,
  forgive,
  note,
  setStage,
  uplinkStages,
  worstBudget,
  type RolloutRun,
  type Stop,
} from './rollout-run.js';
import { untilAllRecorded } from './rollout-record.js';
import { isUnsettled, undo } from './undo.js';
import { waitForPerson } from './wait.js';
import { letGoOfShards, stopShards, unsettled, untilShardsClosed } from './wave.js';

export interface End {
  outcome: RolloutOutcome;
  reason: Reason;
}

/** What follows a wave that was not promoted; undefined: a person has promoted it. */
export type Aftermath = End | undefined | 'judge again' | { again: string[] };

/**
 * An inconclusive wave: a person promotes or stops, or the deadline does what the strategy says; never a promotion. A
 * wait for absent sites ends by itself once they are back, and the wave is judged again, gate included.
 */
export async function waitOut(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  decision: Extract<Decision, { kind: 'wait' }>,
): Promise<Aftermath> {
  const { within, then } = outline.strategy.onInconclusive;
  const { onFailure, owner } = outline.strategy;
  setStage(run, stage.name, { state: 'waiting' });
  // The wave ends here as it would for a failure: what is in flight settles, nobody else is commanded.
  if (decision.reason.code === 'UPLINK_LOST') await stopShards(run);
  const hasFailed = () => worstBudget(run, stage).verdict === 'fail';
  const resolved = () => hasFailed() || isResolved(run, stage, decision.reason);
  const end = await waitForPerson(run, decision.reason, { within, then, owner, mayRetry: true }, resolved);
  switch (end.kind) {
    case 'stopped':
      return stopped(run, outline);
    case 'promoted':
      // A site may have failed in the same workflow task: against that, only an override promotes.
      if (hasFailed() && !end.by.override)
        return failed(run, outline, stage, onFailure, failureOf(run, stage, decision));
      promoted(run, stage, decision.reason);
      if (decision.reason.code === 'UPLINK_LOST') await untilShardsClosed(run);
      return run.stop ? stopped(run, outline) : undefined;
    case 'retried':
      return { again: end.sites };
    case 'resolved':
      if (!hasFailed()) return 'judge again';
      return failed(run, outline, stage, onFailure, failureOf(run, stage, decision));
    case 'expired':
      return failed(run, outline, stage, then, {
        code: 'WAIT_EXPIRED',
        detail: `${decision.reason.code}: ${decision.reason.detail}`,
      });
  }
}

function failureOf(run: RolloutRun, stage: OutlineStage, { reason }: Decision): Reason {
  return worstBudget(run, stage).reason ?? reason;
}

/** Sites that were away and are back may be what the wait was for. */
function isResolved(run: RolloutRun, stage: OutlineStage, reason: Reason): boolean {
  const budget = budgetOf(run, stage);
  if (reason.code === 'BUDGET_OWED') return budget.verdict === 'pass';
  return reason.code === 'NO_CONFIRMED_SITE' && budget.count.confirmed.length > 0;
}

function promoted(run: RolloutRun, stage: OutlineStage, reason: Reason): undefined {
  forgive(run, [...new Set([stage, ...failingStages(run), ...uplinkStages(run)])]);
  note(run, 'decision', { stage: stage.name, kind: 'promote', reason: { code: 'OVERRIDDEN', detail: reason.code } });
  return undefined;
}

/** What forbids to promote a rollout of which every wave has been promoted. */
export function standsAgainst(
  run: RolloutRun,
  outline: PlanOutline,
): { stage: OutlineStage; wave: number; decision: Decision } | undefined {
  const failing = failingStages(run)[0];
  if (failing) {
    const decision = decideAfterWave(budgetOf(run, failing), 'not judged', outline.strategy.onFailure);
    return { stage: failing, wave: failing.waves.length - 1, decision };
  }
  for (const stage of outline.stages) {
    for (const wave of stage.waves.keys()) {
      const forgotten = unsettled(run, stage, wave);
      if (forgotten.length === 0) continue;
      const detail = `${forgotten.length} sites of the plan were never commanded: ${forgotten[0]?.id} …`;
      return { stage, wave, decision: { kind: 'fail', then: 'stay', reason: { code: 'NOT_COMMANDED', detail } } };
    }
  }
  return undefined;
}

/** A failure, or a wait that has expired: undo what the strategy names, or stay halted until a person decides. */
export async function failed(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  then: OnFailure,
  reason: Reason,
): Promise<Aftermath> {
  if (then === 'stay') return halted(run, outline, stage, reason);
  for (let undone: string[] | undefined; ;) {
    const stages = toRevert(run, outline, stage, then);
    // What the run before had begun may be learned of only now: all that is begun is more then.
    if (undone && stages.every((name) => undone?.includes(name))) return { outcome: 'reverted', reason };
    await undo(run, outline, { stages, keepConfirmed: false, block: true, reason });
    // A person who asked for more meanwhile gets it.
    if (run.stop) return stopped(run, outline);
    undone = stages;
  }
}

function toRevert(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  then: Exclude<OnFailure, 'stay'>,
): string[] {
  const begun = outline.stages.map((s) => s.name).filter((name) => run.stages[name] !== undefined);
  const named = [...stagesToRevert(then, stage.name, begun), ...failingStages(run).map((s) => s.name)];
  return [...new Set(named)];
}

async function halted(run: RolloutRun, outline: PlanOutline, stage: OutlineStage, reason: Reason): Promise<Aftermath> {
  await stopShards(run);
  run.outcome = 'halted';
  run.reason = reason;
  const { owner } = outline.strategy;
  const end = await waitForPerson(run, reason, { then: 'stay', owner, mayRetry: true }, () => false);
  delete run.outcome;
  delete run.reason;
  if (end.kind === 'stopped') return stopped(run, outline);
  if (end.kind === 'retried') return { again: end.sites };
  if (end.kind === 'resolved') return 'judge again';
  promoted(run, stage, reason);
  await untilShardsClosed(run);
  return run.stop ? stopped(run, outline) : undefined;
}

/** Abort and revert win over any decision of the same workflow task. */
export async function stopped(run: RolloutRun, outline: PlanOutline): Promise<End> {
  const stop = run.stop;
  if (!stop) throw new TypeError('stopped without abort, revert or supersede');
  const end = stop.verb === 'supersede' ? await giveWay(run, stop) : await undoneBy(run, outline, stop);
  // A person who asked for more meanwhile gets it; what was undone is not undone again.
  const more = run.stop !== stop && (run.stop?.verb === 'revert' || stop.verb === 'supersede');
  return more ? stopped(run, outline) : end;
}

async function undoneBy(run: RolloutRun, outline: PlanOutline, stop: Stop): Promise<End> {
  if (stop.resumes) {
    await undo(run, outline, stop.resumes);
    const keeps = run.begunUndos.every(({ keepConfirmed }) => keepConfirmed);
    return { outcome: keeps ? 'aborted' : 'reverted', reason: stop.resumes.reason };
  }
  const stages = outline.stages.map((stage) => stage.name);
  const isRevert = stop.verb === 'revert';
  const detail = `by ${stop.by}: ${stop.reason}`;
  const reason: Reason = { code: isRevert ? 'REVERT_REQUESTED' : 'ABORTED', detail };
  await undo(run, outline, { stages, keepConfirmed: !isRevert, block: isRevert, reason });
  return { outcome: isRevert ? 'reverted' : 'aborted', reason };
}

/**
 * Another rollout takes over: nobody is commanded any more and nothing is undone. What was in flight goes on at its
 * sites until the command of the new one, which is newer, takes its place.
 */
async function giveWay(run: RolloutRun, stop: Stop): Promise<End> {
  await stopShards(run);
  await letGoOfShards(run);
  const open = [...run.commanded.keys()].filter((site) => isUnsettled(run, site));
  // That it was reset a run learns from recording; an undo that the run before had begun is finished first.
  if (patched('supersede-ends-recorded')) await untilAllRecorded(run);
  note(run, 'superseded', { by: stop.by, rollout: stop.rollout ?? null, unsettled: open });
  const detail = `by ${stop.rollout ?? stop.by}: ${stop.reason}`;
  return { outcome: 'aborted', reason: { code: 'SUPERSEDED', detail } };
}
