/** Runs of rollouts that Temporal has open and that have told nothing yet, or are sealed here: asked how they stand. */
import type { ControlDeps } from './deps.js';

const OPEN = `WorkflowType = 'rollout' AND ExecutionStatus = 'Running'`;

/**
 * A run that was reset finds out when it tells something (design §4 "reset"). One that was reset to a moment with nothing
 * to tell would wait for ever for shards that ended with the lost run, and stay sealed here as terminated; so would one
 * that was sealed here after it had told all it had. One that has just continued as new, or that is sealing itself, is
 * asked in vain, which changes nothing.
 */
export async function askSilentRuns({ client, registry }: ControlDeps): Promise<void> {
  for await (const { workflowId, runId, startTime } of client.workflow.list({ query: OPEN })) {
    const known = await registry.findRollout(workflowId);
    if (!known || (known.state !== 'sealed' && known.updatedAt >= startTime.getTime())) continue;
    await client.workflow.getHandle(workflowId, runId).signal('tell');
  }
}
