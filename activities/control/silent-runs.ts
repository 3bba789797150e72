/** Runs of rollouts that Temporal has open and that have told nothing yet, or are sealed here: asked how they stand. */
import type { WorkflowExecutionInfo } from '@temporalio/client';
import type { ControlDeps } from './deps.js';
import { ifOpen } from './temporal-facts.js';

const OPEN = `WorkflowType = 'rollout' AND ExecutionStatus = 'Running'`;

/**
 * A run that was reset finds out when it tells something (design §4 "reset"). One that was reset to a moment with nothing
 * to tell would wait for ever for shards that ended with the lost run, and stay sealed here as terminated; so would one
 * that was sealed here after it had told all it had. One that has just continued as new, or that is sealing itself, is
 * asked in vain, which changes nothing. `each`: one that cannot be asked keeps nobody behind it from being asked.
 */
export async function askSilentRuns(
  deps: ControlDeps,
  each: (workflowId: string, ask: () => Promise<void>) => Promise<void>,
): Promise<void> {
  for await (const run of deps.client.workflow.list({ query: OPEN })) await each(run.workflowId, () => ask(deps, run));
}

async function ask(
  { client, registry }: ControlDeps,
  run: Pick<WorkflowExecutionInfo, 'workflowId' | 'runId' | 'startTime'>,
): Promise<void> {
  const { workflowId, runId, startTime } = run;
  const known = await registry.findRollout(workflowId);
  if (!known || (known.state !== 'sealed' && known.updatedAt >= startTime.getTime())) return;
  await ifOpen(() => client.workflow.getHandle(workflowId, runId).signal('tell'));
}
