/** Waking the reconciler of a stream: it looks at once instead of at its next turn. */
import { catchUpId } from '../policies/model/debt.js';
import { TASK_QUEUE } from '../policies/model/rollout.js';
import type { Context } from './context.js';
import { unreachable } from './rollouts.js';

/** Starts it where it does not run: its fixed workflow id is what makes a second one impossible. Throws WorldError.
 * `retry`: sites that a person wants tried whatever the back-off says. */
export async function wakeCatchUp(context: Context, stream: string, retry: string[] = []): Promise<void> {
  const { client } = await context.temporal();
  try {
    await client.workflow.signalWithStart('catchUp', {
      workflowId: catchUpId(stream),
      taskQueue: TASK_QUEUE,
      args: [{ stream }],
      signal: 'wake',
      signalArgs: [{ retry }],
      staticSummary: `brings sites of ${stream} to what they should run`,
    });
  } catch (error) {
    throw unreachable(error, `expected Temporal to wake ${catchUpId(stream)}, it did not`);
  }
}
