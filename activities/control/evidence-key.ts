/** The key that makes an append idempotent: which activity of which run of which rollout (design §4). */
import { Context } from '@temporalio/activity';
import type { EvidenceKey } from '../../policies/model/evidence.js';

/** `firstRunId` is the rollout's own; the asking workflow may be one of its shards. */
export function evidenceKey({ firstRunId }: { firstRunId: string }): EvidenceKey {
  const { activityId, workflowExecution } = Context.current().info;
  return { firstRunId, runId: workflowExecution?.runId ?? 'none', activityId };
}
