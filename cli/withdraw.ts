/**
 * After a freeze, a hold or a retirement is on record: asks for the return of what was handed out before and no agent has
 * begun. It is on record in any case: with Temporal or the control worker away, the sweeper asks within a minute of its return.
 */
import { TASK_QUEUE } from '../policies/model/rollout.js';
import type { Context } from './context.js';

export type AskedBack = { asked: number } | { failed: string };

/** Temporal ends it then: the sweeper asks as well. */
const ANSWER_WITHIN = 10_000;

/** `id`: of the freeze or hold, or the retired site. Never throws: what was put stands. */
export async function askBack(context: Context, id: string): Promise<AskedBack> {
  try {
    const { client } = await context.temporal();
    return (await client.workflow.execute('withdraw', {
      workflowId: `foothold/withdraw/${id}`,
      taskQueue: TASK_QUEUE,
      args: [],
      workflowExecutionTimeout: ANSWER_WITHIN,
      staticSummary: `${id}: asks for commands back that nobody has begun`,
    })) as { asked: number };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

export function askedBackText(back: AskedBack): string {
  if ('failed' in back) {
    return 'not asked for yet: commands that wait for sites out of reach; the control worker withdraws them within a minute, once it has Temporal again';
  }
  if (back.asked === 0) return 'no command was under way there, or it is being withdrawn already';
  const what = back.asked === 1 ? 'a command is' : `${back.asked} commands are`;
  return `${what} under way there: withdrawn, except where an agent has begun`;
}
