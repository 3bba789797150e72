/** The beginning of a rollout: request, lock, frozen plan, preflight. Whatever is wrong here refuses the rollout. */
import { log } from '@temporalio/workflow';
import type { FrozenRef } from '../activities/contract.js';
import type { PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { wordsOfBlock } from '../policies/preflight/blocked.js';
import { wordsOfHeld } from '../policies/rollout/held-by.js';
import { reasonOf, refusal } from './refusal.js';
import { atStart, patient } from './proxies.js';
import { takeUp } from './rollout-carry.js';
import { retakeLock, takeOrTakeOver } from './rollout-lock.js';
import { note, type Carried, type RolloutRun } from './rollout-run.js';
import { untilAllRecorded } from './rollout-record.js';

export function isOver(outcome: RolloutOutcome): boolean {
  return outcome !== 'promoted';
}

export async function begin(run: RolloutRun, carried?: Carried | null): Promise<PlanOutline> {
  if (carried) return goOn(run, carried.frozen);
  try {
    return await lockAndFreeze(run);
  } catch (error) {
    const reason = reasonOf(error);
    if (!run.outline) await recordEarlyRefusal(run, reason);
    if (run.outline && run.commanded.size > 0) return goOnAfterReset(run, run.outline);
    if (run.outline) await recordRefusal(run, reason);
    await run.lock?.release();
    throw refusal(reason.code, reason.detail);
  }
}

/** The lock first: while the plan is read, another rollout must not slip in. */
async function goOn(run: RolloutRun, frozen: FrozenRef): Promise<PlanOutline> {
  const [lock, outline] = await Promise.all([retakeLock(run), takeUp(run, frozen)]);
  run.lock = lock;
  return outline;
}

/**
 * What refuses a rollout at its beginning does not end one that the lost run had begun: it has commanded sites, and who
 * else would undo them? It waits, for the lock if need be, and then for a person (RUN_WAS_RESET).
 */
async function goOnAfterReset(run: RolloutRun, outline: PlanOutline): Promise<PlanOutline> {
  run.lock ??= await retakeLock(run);
  return outline;
}

async function lockAndFreeze(run: RolloutRun): Promise<PlanOutline> {
  const lock = await takeOrTakeOver(run);
  if ('heldBy' in lock) throw refusal('STREAM_LOCKED', wordsOfHeld(run.stream, lock.heldBy));
  run.lock = lock;
  run.outline = await atStart.freezePlan(run.request, run.identity);
  run.state = 'preflight';
  run.dirty = true;
  // Told once, so that a reset is known of: the fleet is judged before the first command, not after it.
  await untilAllRecorded(run);
  if (run.commanded.size === 0) await preflight(run, run.outline);
  return run.outline;
}

/**
 * Without a plan there is neither label nor status: the registry alone can tell of it, or of the plan that it has after
 * all. Only a run that was reset can have one, and asks until it knows.
 */
async function recordEarlyRefusal(run: RolloutRun, reason: Reason): Promise<void> {
  const { runId, firstRunId } = run.identity;
  const by = runId === firstRunId ? atStart : patient;
  const { frozen } = await by.recordRefused(run.request, reason, run.identity).catch((error: unknown) => {
    log.warn('the refusal could not be recorded', { error: String(error) });
    return { frozen: null };
  });
  if (!frozen) return;
  run.outline = await patient.readOutline(frozen);
  run.dirty = true;
  await untilAllRecorded(run);
}

async function preflight(run: RolloutRun, outline: PlanOutline): Promise<void> {
  const summary = await atStart.runPreflight({ planDigest: outline.planDigest, label: outline.label }, run.identity);
  note(run, 'preflight', { ...summary });
  if (!summary.blocked) return;
  throw refusal('PREFLIGHT_BLOCKED', wordsOfBlock(summary.counts.block, summary.first));
}

async function recordRefusal(run: RolloutRun, reason: Reason): Promise<void> {
  run.state = 'sealed';
  run.outcome = 'refused';
  run.reason = reason;
  note(run, 'sealed', { outcome: 'refused', reason });
  await untilAllRecorded(run);
}
