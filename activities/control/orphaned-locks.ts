/** Locks that outlive their rollouts: a run that was reset may not know of the lock that the lost run had taken. */
import type { LockHolder } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { findRun } from './rollout-ending.js';

const OPEN = `WorkflowType = 'streamLock' AND ExecutionStatus = 'Running'`;

/** Ends them, by their runs, and returns the ids; one that somebody started by hand is that person's. */
export async function endOrphanedLocks({ client }: Pick<ControlDeps, 'client'>): Promise<string[]> {
  const ended: string[] = [];
  for await (const { workflowId, runId, memo } of client.workflow.list({ query: OPEN })) {
    const holder = memo?.['holder'] as Partial<LockHolder> | undefined;
    if (!holder?.workflowId || !holder.firstRunId) continue;
    const { is } = await findRun(client, { workflowId: holder.workflowId, firstRunId: holder.firstRunId });
    // Holder and lock are of one namespace: who is not in it any more has been over for as long as it keeps the past.
    if (is === 'open') continue;
    await client.workflow.getHandle(workflowId, runId).terminate(`its rollout ${holder.workflowId} has ended`);
    ended.push(workflowId);
  }
  return ended;
}
