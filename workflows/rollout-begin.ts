/** The beginning of a rollout: request, lock, frozen plan, preflight. Whatever is wrong here refuses the rollout. */
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { log } from '@temporalio/workflow';
import type { PlanOutline } from '../policies/model/outline.js';
import type { RolloutOutcome, RolloutRequest } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { REASON_CODES, type ReasonCode } from '../policies/model/reasons.js';
import { takeLock, type StreamLock } from './lock.js';
import { atStart, patient } from './proxies.js';
import { note, type RolloutRun } from './rollout-run.js';
import { untilAllRecorded } from './rollout-record.js';
import { waitForPerson } from './wait.js';

export function isOver(outcome: RolloutOutcome): boolean {
  return outcome !== 'promoted';
}

/** The request as people write it. Anything else is refused with the form that was expected. */
export function readRequest(input: unknown): RolloutRequest {
  const expected = 'expected {"release": "<stream>@<version>", "strategy": "<name>"}';
  if (typeof input !== 'object' || input === null)
    throw refusal('BAD_INPUT', `${expected}, got ${input === null ? 'null' : typeof input}`);
  const { release, strategy } = input as Record<string, unknown>;
  if (typeof release !== 'string' || !/^[^@\s]+@[^@\s]+$/.test(release))
    throw refusal('BAD_INPUT', `${expected}: "release" is not of this form`);
  if (typeof strategy !== 'string' || strategy === '') throw refusal('BAD_INPUT', `${expected}: "strategy" is missing`);
  const known = ['release', 'strategy', 'only', 'by', 'reason', 'planDigest'];
  const unknown = Object.keys(input).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw refusal('BAD_INPUT', `${expected}: "${unknown}" is not known; known are ${known.join(', ')}`);
  return input as RolloutRequest;
}

export async function begin(run: RolloutRun, continued: boolean): Promise<PlanOutline> {
  if (continued) {
    run.lock = await retakeLock(run);
    return outlineOf(run);
  }
  const lock = await takeLock(run.stream);
  if ('heldBy' in lock) {
    throw refusal(
      'STREAM_LOCKED',
      `stream ${run.stream} is being rolled out by ${lock.heldBy.workflowId}; wait for it or abort it`,
    );
  }
  try {
    run.outline = await atStart.freezePlan(run.request, run.identity);
    run.state = 'preflight';
    run.dirty = true;
    await preflight(run, run.outline);
    run.lock = lock;
    return run.outline;
  } catch (error) {
    const reason = reasonOf(error);
    if (run.outline) await recordRefusal(run, reason);
    await lock.release();
    throw refusal(reason.code, reason.detail);
  }
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

/** A lock that somebody ended by hand is taken again before anything more is changed. */
export async function keepLock(run: RolloutRun): Promise<void> {
  if (run.lock?.lost()) run.lock = await retakeLock(run);
}

/** After continue-as-new another rollout may have slipped in: this one waits, changing nothing (LOCK_LOST). */
async function retakeLock(run: RolloutRun): Promise<StreamLock> {
  // Looked at less and less often: a history has room for so many events, and a rival may soak for days.
  for (let within = 10_000; ; within = Math.min(2 * within, 3_600_000)) {
    const lock = await takeLock(run.stream, patient);
    if (!('heldBy' in lock)) return lock;
    log.warn('the lock of the stream is held by another rollout', { holder: lock.heldBy.workflowId });
    const reason: Reason = { code: 'LOCK_LOST', detail: `held by ${lock.heldBy.workflowId}` };
    const owner = run.outline?.strategy.owner ?? 'nobody named';
    await waitForPerson(run, reason, { within, then: 'stay', owner }, () => false);
    // An undo needs no lock: its generation tells the sites whose command is the newer one.
    if (run.stop) return { lost: () => false, release: async () => {} };
  }
}

function outlineOf(run: RolloutRun): PlanOutline {
  if (!run.outline) throw new TypeError('a continued rollout carries its plan');
  return run.outline;
}

function reasonOf(error: unknown): Reason {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) {
    const refused = cause.type === 'RolloutRefused' ? (cause.details?.[0] as Reason | undefined) : undefined;
    if (refused) return refused;
    const code = REASON_CODES.find((known) => known === cause.type) ?? 'BEGIN_FAILED';
    return { code, detail: cause.message };
  }
  return { code: 'BEGIN_FAILED', detail: cause instanceof Error ? cause.message : String(cause) };
}

/** What a refused rollout fails with; `details[0]` is the reason. */
function refusal(code: ReasonCode, detail: string): ApplicationFailure {
  const reason: Reason = { code, detail };
  return ApplicationFailure.nonRetryable(`RolloutRefused: ${code} (${detail})`, 'RolloutRefused', reason);
}
