/** What people do to a rollout, and what the world does to Temporal: verbs, reset, terminate. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { RolloutVerb } from '../../policies/model/rollout.js';
import { listRuns } from './runs.js';
import type { ShortAct } from './seed-faults.js';

export interface Target {
  client: Client;
  namespace: string;
  /** Workflow id of the rollout. */
  workflowId: string;
  stream: string;
}

/** `took`: whether it had any effect, known only later: an update may be refused, and there may be nothing to end. */
export interface Acted {
  words: string;
  took: Promise<boolean>;
}

/** Returns once it is under way: the workflow task that an update comes in may be held until then. */
export async function act(target: Target, what: ShortAct): Promise<Acted> {
  switch (what.kind) {
    case 'verb':
      return sent(target, [what.verb], what.as, what.override);
    case 'verbs':
      return sent(target, what.verbs, what.as);
    case 'terminate':
      return terminate(target, what.what);
    case 'reset':
      // The task that is held must end first: a run is reset to a task that was completed.
      return {
        words: `reset to ${Math.round(what.to * 100)} % of its workflow tasks`,
        took: sleep(AFTER_TASK_MS).then(() => without(reset(target, what.to))),
      };
    case 'revive':
      return {
        words: 'terminate the rollout and reset it to its last task',
        took: sleep(AFTER_TASK_MS).then(() => without(revive(target))),
      };
  }
}

const AFTER_TASK_MS = 100;

/** What was asked of Temporal and was not done, because there was nothing to do it to. */
async function without(work: Promise<boolean>): Promise<boolean> {
  return work.catch(() => false);
}

async function sent(target: Target, verbs: RolloutVerb[], as: 'update' | 'signal', override = false): Promise<Acted> {
  const nothing = { taken: Promise.resolve(false) };
  const asked = await Promise.all(verbs.map((one) => verb(target, one, as, override).catch(() => nothing)));
  const took = Promise.all(asked.map(({ taken }) => taken)).then((answers) => answers.includes(true));
  return { words: `${verbs.join(' and ')} as ${as}${override ? ' with override' : ''}`, took };
}

/** `taken`: whether the rollout took it, which a signal does not tell: then whether it was delivered. */
export async function verb(
  target: Target,
  name: RolloutVerb,
  as: 'update' | 'signal',
  override = false,
): Promise<{ taken: Promise<boolean> }> {
  const handle = target.client.workflow.getHandle(target.workflowId);
  const payload = { by: 'operator', reason: `the seed says ${name}`, ...(override ? { override } : {}) };
  if (as === 'signal') {
    await handle.signal(name, payload);
    return { taken: Promise.resolve(true) };
  }
  const taken = without(handle.executeUpdate(name, { args: [payload] }).then(() => true));
  await sleep(50);
  return { taken };
}

async function terminate({ client, workflowId, stream }: Target, what: 'rollout' | 'shard' | 'lock'): Promise<Acted> {
  const ids = { rollout: workflowId, lock: `foothold/stream/${stream}`, shard: '' };
  if (what === 'shard') {
    const running = await listRuns(client, stream);
    ids.shard = running.find((run) => run.running && run.type === 'shard')?.workflowId ?? '';
  }
  const words = `terminate the ${what}`;
  if (ids[what] === '') return { words, took: Promise.resolve(false) };
  const ended = client.workflow.getHandle(ids[what]).terminate('the seed says so');
  const took = await without(ended.then(() => true));
  return { words: `${words} ${ids[what]}`, took: Promise.resolve(took) };
}

async function revive(target: Target): Promise<boolean> {
  await target.client.workflow.getHandle(target.workflowId).terminate('the seed says so');
  return reset(target, 1);
}

/** Whether there was one: to a completed workflow task, as `temporal workflow reset` does. */
async function reset({ client, namespace, workflowId }: Target, share: number): Promise<boolean> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const completed = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes);
  const chosen = completed[Math.min(completed.length - 1, Math.floor(share * completed.length))];
  if (!chosen?.eventId) return false;
  await client.workflowService.resetWorkflowExecution({
    namespace,
    workflowExecution: { workflowId },
    workflowTaskFinishEventId: chosen.eventId,
    requestId: randomUUID(),
    reason: 'the seed says so',
  });
  return true;
}
