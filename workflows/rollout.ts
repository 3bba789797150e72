/**
 * The rollout: lock, plan, preflight, then for each stage its waves, each with its gate and a decision, and the seal.
 * Started by anyone with `{"release": "<stream>@<version>", "strategy": "<name>"}` (design §4).
 */
import { ApplicationFailure } from '@temporalio/common';
import { allHandlersFinished, CancellationScope, condition, continueAsNew, workflowInfo } from '@temporalio/workflow';
import type { PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import {
  openRolloutRun,
  budgetOf,
  failingStages,
  note,
  setStage,
  undecidedUplinks,
  type Carried,
  type RolloutRun,
} from './rollout-run.js';
import { keepRecording, untilAllRecorded, untilRecorded } from './rollout-record.js';
import { begin, isOver } from './rollout-begin.js';
import { carriedOf, sealedSites } from './rollout-carry.js';
import { carryOutAndDecide, followDecision } from './rollout-decision.js';
import { keepLock, letGoOfLock } from './rollout-lock.js';
import { keepHearing } from './rollout-news.js';
import { letFilesTravel } from './rollout-prefetch.js';
import { readRequest } from './rollout-request.js';
import { waitForAdoption } from './rollout-reset.js';
import { handleMessages } from './rollout-verbs.js';
import { standsAgainst, stopped, type End } from './endings.js';
import { patient } from './proxies.js';
import { untilNoneMaySwitch } from './undo.js';

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
    if (!carried) await letFilesTravel(run, outline);
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
  await letGoOfLock(run);
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
  delete run.lock;
  await condition(allHandlersFinished);
  // A verb or news may have come while the lock was being let go. Answered here: what changes more takes the lock again.
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
