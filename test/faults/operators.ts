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
  /** Whether the evidence says that the rollout has obeyed what came with this reason; once it is over, for good. */
  obeyed(reason: string): Promise<boolean>;
}

/** `took`: whether it had any effect, known only later: a verb may be refused or ignored, and there may be nothing to end. */
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
        words: `reset to ${typeof what.to === 'number' ? `${Math.round(what.to * 100)} % of its workflow tasks` : `its workflow task ${what.to.task}`}`,
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

/** What was refused, or delivered and ignored, is told by the evidence alone: a signal answers nothing. */
async function sent(target: Target, verbs: RolloutVerb[], as: 'update' | 'signal', override = false): Promise<Acted> {
  const asked = verbs.map((name) => ({ name, reason: `the seed says ${name}: ${(asks += 1)}` }));
  // One after the other into the same workflow task, which is held meanwhile: who is heard first is the seed's to say.
  for (const { name, reason } of asked) await verb(target, name, as, { override, reason }).catch(() => undefined);
  const took = Promise.all(asked.map(({ reason }) => without(target.obeyed(reason))));
  const words = `${verbs.join(' and ')} as ${as}${override ? ' with override' : ''}`;
  return { words, took: took.then((answers) => answers.includes(true)) };
}

let asks = 0;

/** Returns once a signal is delivered, or an update is under way. */
export async function verb(
  target: Pick<Target, 'client' | 'workflowId'>,
  name: RolloutVerb,
  as: 'update' | 'signal',
  { override = false, reason = `a person decides ${name}` } = {},
): Promise<void> {
  const handle = target.client.workflow.getHandle(target.workflowId);
  const payload = { by: 'operator', reason, ...(override ? { override } : {}) };
  if (as === 'signal') return handle.signal(name, payload);
  void handle.executeUpdate(name, { args: [payload] }).catch(() => undefined);
  await sleep(50);
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
async function reset({ client, namespace, workflowId }: Target, to: number | { task: number }): Promise<boolean> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const completed = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes);
  const share = (part: number) => Math.min(completed.length - 1, Math.floor(part * completed.length));
  const chosen = completed[typeof to === 'number' ? share(to) : to.task - 1];
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
