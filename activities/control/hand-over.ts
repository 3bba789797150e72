/** Sealing passes on what is still owed, and wakes the reconciler of the stream where it has work (design §4.7). */
import type { Client } from '@temporalio/client';
import { catchUpId, type HandedOver } from '../../policies/model/debt.js';
import { TASK_QUEUE, type RolloutOutcome } from '../../policies/model/rollout.js';
import type { RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';

export async function handOver(deps: ControlDeps, run: RunIdentity, outcome: RolloutOutcome): Promise<HandedOver> {
  const handed = await deps.registry.handOver(run.firstRunId, outcome, deps.now());
  if (handed.passed.converge + handed.passed.revert > 0) await wakeCatchUp(deps.client, handed.stream);
  return handed;
}

/** One reconciler a stream: its fixed workflow id is what makes a second one impossible. */
export async function wakeCatchUp(client: Client, stream: string): Promise<void> {
  await client.workflow.signalWithStart('catchUp', {
    workflowId: catchUpId(stream),
    taskQueue: TASK_QUEUE,
    args: [{ stream }],
    signal: 'wake',
    signalArgs: [],
    staticSummary: `brings sites of ${stream} to what they should run`,
  });
}
