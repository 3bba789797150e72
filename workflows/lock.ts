/**
 * The lock of a stream: a child workflow with a fixed id (design §4.1). Temporal refuses a second one, and the
 * parent-close policy frees it with any end of the rollout, also a terminated one.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { ControlActivities, LockHolder } from '../activities/contract.js';
import { lockIdOf, type RolloutRequest } from '../policies/model/rollout.js';
import { atStart, patient } from './proxies.js';

export const LOCK_MEMO = 'holder';

/** Does nothing but exist. */
export async function streamLock(_holder: LockHolder): Promise<void> {
  await condition(() => false);
}

export interface StreamLock {
  /** True once it has ended without being released: somebody ended it by hand. */
  lost(): boolean;
  /** Ends the lock and waits until it is gone, so that a successor is not refused. */
  release(): Promise<void>;
}

/** A rollout that is just sealed lets go of its lock a moment after its status says so. */
const TRIES = 4;
const RETRY = '500ms';

/** Takes the lock, or says who holds it. While the holder is this rollout's own earlier run, it is about to go: retry. */
export async function takeLock(
  stream: string,
  request: Pick<RolloutRequest, 'catchUp'>,
  by: Pick<ControlActivities, 'describeLock'> = atStart,
): Promise<StreamLock | { heldBy: LockHolder }> {
  const { workflowId, firstExecutionRunId: firstRunId } = workflowInfo();
  const me: LockHolder = { workflowId, firstRunId, ...(request.catchUp ? { catchUp: true as const } : {}) };
  for (let tries = 1; ; tries += 1) {
    const lock = await tryLock(stream, me);
    if (lock) return lock;
    const holder = await by.describeLock(stream);
    if (holder && tries >= TRIES) {
      if (holder.firstRunId !== me.firstRunId) return { heldBy: holder };
      // Of this rollout, and not about to go: left by a run that was reset.
      await cancelLock(stream, holder.lockRunId);
    }
    await sleep(RETRY);
  }
}

/** By its run: the id is the successor's by the time a slow release is looked after. */
async function cancelLock(stream: string, lockRunId: string | undefined): Promise<void> {
  await getExternalWorkflowHandle(lockIdOf(stream), lockRunId)
    .cancel()
    .catch((error: unknown) => log.info('the lock has gone meanwhile', { error: String(error) }));
}

const GONE_WITHIN = '5s';

/**
 * Of a rollout, whichever of its runs has taken them. A reset run holds the lock that the lost run has taken: measured, the server
 * leaves that child running, refuses to cancel it as a child, and tells the new run nothing of its end.
 */
export async function endLocksOf(firstRunId: string, stream: string): Promise<void> {
  for (;;) {
    const holder = await patient.describeLock(stream);
    if (holder?.firstRunId !== firstRunId) return;
    await cancelLock(stream, holder.lockRunId);
    await sleep(RETRY);
  }
}

async function tryLock(stream: string, me: LockHolder): Promise<StreamLock | undefined> {
  const scope = new CancellationScope({ cancellable: true });
  try {
    const child = await scope.run(() =>
      startChild(streamLock, {
        workflowId: lockIdOf(stream),
        args: [me],
        memo: { [LOCK_MEMO]: me },
        parentClosePolicy: ParentClosePolicy.TERMINATE,
        staticSummary: `stream ${stream} is being rolled out by ${me.workflowId}`,
      }),
    );
    let [released, over] = [false, false];
    child
      .result()
      .catch((error: unknown) => {
        if (!isCancellation(error)) log.warn('the lock of the stream ended by itself', { error: String(error) });
      })
      .finally(() => (over = true))
      .catch(() => undefined);
    return {
      lost: () => over && !released,
      async release() {
        released = true;
        scope.cancel();
        if (!(await condition(() => over, GONE_WITHIN))) await endLocksOf(me.firstRunId, stream);
      },
    };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
    throw error;
  }
}
