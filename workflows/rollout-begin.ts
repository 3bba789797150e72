/** The beginning of a rollout: request, lock, frozen plan, preflight. Whatever is wrong here refuses the rollout. */
import { log } from '@temporalio/workflow';
import type { PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { reasonOf, refusal } from './refusal.js';
import { atStart } from './proxies.js';
import { retakeLock, takeOrTakeOver } from './rollout-lock.js';
import { note, type RolloutRun } from './rollout-run.js';
import { untilAllRecorded } from './rollout-record.js';

export function isOver(outcome: RolloutOutcome): boolean {
  return outcome !== 'promoted';
}

export async function begin(run: RolloutRun, continued: boolean): Promise<PlanOutline> {
  if (continued) {
    run.lock = await retakeLock(run);
    return outlineOf(run);
  }
  try {
    return await lockAndFreeze(run);
  } catch (error) {
    const reason = reasonOf(error);
    if (run.outline) await recordRefusal(run, reason);
    else await recordEarlyRefusal(run, reason);
    await run.lock?.release();
    throw refusal(reason.code, reason.detail);
  }
}

async function lockAndFreeze(run: RolloutRun): Promise<PlanOutline> {
  const lock = await takeOrTakeOver(run);
  if ('heldBy' in lock) {
    const { label, workflowId } = lock.heldBy;
    const words = `stream ${run.stream} is being rolled out by ${label ?? workflowId} (${workflowId})`;
    throw refusal('STREAM_LOCKED', `${words}; wait for it, abort it, or start with --supersede`);
  }
  run.lock = lock;
  run.outline = await atStart.freezePlan(run.request, run.identity);
  run.state = 'preflight';
  run.dirty = true;
  await preflight(run, run.outline);
  return run.outline;
}

/** Without a plan there is neither label nor status: the registry alone can tell of it. */
async function recordEarlyRefusal(run: RolloutRun, reason: Reason): Promise<void> {
  await atStart
    .recordRefused(run.request, reason, run.identity)
    .catch((error: unknown) => log.warn('the refusal could not be recorded', { error: String(error) }));
}

async function preflight(run: RolloutRun, outline: PlanOutline): Promise<void> {
  const summary = await atStart.runPreflight({ planDigest: outline.planDigest, label: outline.label }, run.identity);
  note(run, 'preflight', { ...summary });
  if (!summary.blocked) return;
  const named = summary.first.map((f) => `${f.site ?? 'release'}: ${f.code} (${f.detail})`).join('; ');
  throw refusal('PREFLIGHT_BLOCKED', `${summary.counts.block} findings block: ${named}`);
}

async function recordRefusal(run: RolloutRun, reason: Reason): Promise<void> {
  run.state = 'sealed';
  run.outcome = 'refused';
  run.reason = reason;
  note(run, 'sealed', { outcome: 'refused', reason });
  await untilAllRecorded(run);
}

function outlineOf(run: RolloutRun): PlanOutline {
  if (!run.outline) throw new TypeError('a continued rollout carries its plan');
  return run.outline;
}
