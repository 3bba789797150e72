/** Locks that outlive their rollouts: a run that was reset may not know of the lock that the lost run had taken. */
import type { WorkflowExecutionInfo } from '@temporalio/client';
import type { ControlDeps } from './deps.js';
import { findRun } from './rollout-ending.js';
import { ifOpen, isHolder } from './temporal-facts.js';

const OPEN = `WorkflowType = 'streamLock' AND ExecutionStatus = 'Running'`;

/** Ends them, by their runs. `each`: one that cannot be asked about keeps nobody behind it from being ended. */
export async function endOrphanedLocks(
  deps: ControlDeps,
  each: (workflowId: string, end: () => Promise<void>) => Promise<void>,
): Promise<void> {
  for await (const lock of deps.client.workflow.list({ query: OPEN })) {
    await each(lock.workflowId, () => endIfOrphaned(deps, lock));
  }
}

/** One that somebody started by hand is that person's. */
async function endIfOrphaned(
  { client }: ControlDeps,
  { workflowId, runId, memo }: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'memo'>,
): Promise<void> {
  const holder = memo?.['holder'];
  if (!isHolder(holder)) return;
  const { is } = await findRun(client, holder);
  // Holder and lock are of one namespace: who is not in it any more has been over for as long as it keeps the past.
  if (is === 'open') return;
  const why = `its rollout ${holder.workflowId} has ended`;
  await ifOpen(() => client.workflow.getHandle(workflowId, runId).terminate(why));
}
