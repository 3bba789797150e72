/** Whether a rollout still runs: that is Temporal's to say, and the registry's record may be behind it (design §4). */
import { MistakeError, WorldError } from '../policies/model/failure.js';
import { hasEnded, type RolloutStatus } from '../policies/model/rollout.js';
import type { Context } from './context.js';

export type Motion =
  | { kind: 'runs' }
  /** Closed in Temporal: `status` is its word, such as TERMINATED. */
  | { kind: 'closed'; status: string }
  /** Temporal answered, and has no such workflow: another server or database, or one made anew. */
  | { kind: 'not-found' }
  | { kind: 'unknown'; because: string };

const LOOK_WITHIN = 3_000;

/** Never throws: a reader of the registry must answer with Temporal down. */
export async function motionOf(context: Context, rollout: RolloutStatus): Promise<Motion> {
  try {
    const { client, connection } = await context.temporal(LOOK_WITHIN);
    const handle = client.workflow.getHandle(rollout.workflowId, undefined, {
      firstExecutionRunId: rollout.firstRunId,
    });
    const { status } = await connection.withDeadline(Date.now() + LOOK_WITHIN, () => handle.describe());
    return hasEnded(status.name) ? { kind: 'closed', status: status.name } : { kind: 'runs' };
  } catch (error) {
    if (await saysNotFound(error)) return { kind: 'not-found' };
    return { kind: 'unknown', because: error instanceof Error ? error.message : String(error) };
  }
}

/** What Temporal itself answered. The client is not loaded to name an error of a server that could not be reached. */
async function saysNotFound(error: unknown): Promise<boolean> {
  if (error instanceof WorldError || error instanceof MistakeError) return false;
  const { WorkflowNotFoundError } = await import('@temporalio/client');
  return error instanceof WorkflowNotFoundError;
}
