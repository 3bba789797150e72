/** Keeping the stream's lock while the rollout runs, and taking it over from who gives way (design §4.1). */
import { log, patched, sleep } from '@temporalio/workflow';
import type { LockHolder } from '../activities/contract.js';
import type { RolloutRequest } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { endLocksOf, takeLock, type StreamLock } from './lock.js';
import { atStart, patient } from './proxies.js';
import type { RolloutRun } from './rollout-run.js';
import { waitForPerson } from './wait.js';

/** How long the one that gives way has to stop its shards, seal and let go. */
const GIVES_WAY_WITHIN = 180_000;

/** The lock, or who holds it. Who is named by `supersede`, and a batch of the reconciler, is asked to give way. */
export async function takeOrTakeOver(run: RolloutRun): Promise<StreamLock | { heldBy: LockHolder }> {
  const lock = await takeFromHolder(run);
  if ('heldBy' in lock || !patched('asks-for-rivals')) return lock;
  try {
    const rival = await rivalThatStays(run);
    if (!rival) return lock;
    await lock.release();
    return { heldBy: rival };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/**
 * A free lock says little of a rollout that has just let go of it to continue as new, or whose lock was ended by hand:
 * that one lives, and may have commands on their way. The lock is held while it is asked for.
 */
async function rivalThatStays(run: RolloutRun): Promise<LockHolder | null> {
  const ask = () => atStart.rivalOf(run.stream, run.identity);
  return askedToGiveWay(run, await ask(), ask, (rival) => rival);
}

async function takeFromHolder(run: RolloutRun): Promise<StreamLock | { heldBy: LockHolder }> {
  const take = () => takeLock(run.stream, run.request);
  return askedToGiveWay(run, await take(), take, (lock) => ('heldBy' in lock ? lock.heldBy : null));
}

/** The answer once who is in the way has given it, or the last one: it does not, or somebody else has come. */
async function askedToGiveWay<Answer>(
  run: RolloutRun,
  first: Answer,
  again: () => Promise<Answer>,
  inTheWay: (answer: Answer) => LockHolder | null,
): Promise<Answer> {
  const holder = inTheWay(first);
  if (!holder || !givesWay(run.request, run.stream, holder)) return first;
  await atStart.supersede(run.request, holder, run.identity);
  const until = Date.now() + GIVES_WAY_WITHIN;
  for (;;) {
    const answer = await again();
    const now = inTheWay(answer);
    // Somebody else has slipped in: that one was not named.
    if (!now || now.firstRunId !== holder.firstRunId || Date.now() > until) return answer;
    await sleep('1s');
  }
}

function givesWay(request: RolloutRequest, stream: string, holder: LockHolder): boolean {
  if (request.catchUp) return false;
  if (holder.catchUp) return true;
  return request.supersede !== undefined && [holder.label, holder.workflowId, stream].includes(request.supersede);
}

/** A lock that somebody ended by hand, or that this rollout let go of, is taken again before anything more is changed. */
export async function keepLock(run: RolloutRun): Promise<void> {
  // An undo waits for no lock.
  if (run.stop) return;
  if (!run.lock || run.lock.lost()) run.lock = await retakeLock(run);
}

/** After continue-as-new another rollout may have slipped in: this one waits, changing nothing (LOCK_LOST). */
export async function retakeLock(run: RolloutRun): Promise<StreamLock> {
  // Looked at less and less often: a history has room for so many events, and a rival may soak for days.
  for (let within = 10_000; ; within = Math.min(2 * within, 3_600_000)) {
    const lock = await takeLock(run.stream, run.request, patient);
    if (!('heldBy' in lock)) return lock;
    log.warn('the lock of the stream is held by another rollout', { holder: lock.heldBy.workflowId });
    const reason: Reason = { code: 'LOCK_LOST', detail: `held by ${lock.heldBy.workflowId}` };
    const owner = run.outline?.strategy.owner ?? 'nobody named';
    await waitForPerson(run, reason, { within, then: 'stay', owner }, () => false);
    // An undo needs no lock: its generation tells the sites whose command is the newer one.
    if (run.stop) return { lost: () => false, release: async () => {} };
  }
}

/** At the end. A run that was reset twice knows nothing of the lock that the run between has taken once it was adopted. */
export async function letGoOfLock(run: RolloutRun): Promise<void> {
  await run.lock?.release();
  if (run.learnedBy !== undefined) await endLocksOf(run.identity.firstRunId, run.stream);
}
