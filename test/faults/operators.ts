/** What people do to a rollout, and what the world does to Temporal: verbs, reset, terminate. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { RolloutVerb } from '../../policies/model/rollout.js';
import { listRuns } from './runs.js';
import type { Act } from './seed.js';

export interface Target {
  client: Client;
  namespace: string;
  /** Workflow id of the rollout. */
  workflowId: string;
  stream: string;
}

/** Returns in words what was done. An update is sent, not waited for: the workflow task that it comes in may be held. */
export async function act(target: Target, what: Act): Promise<string> {
  switch (what.kind) {
    case 'verb':
      await verb(target, what.verb, what.as, what.override);
      return `${what.verb} as ${what.as}${what.override === true ? ' with override' : ''}`;
    case 'verbs':
      await Promise.all(what.verbs.map((one) => verb(target, one, what.as)));
      return `two operators: ${what.verbs.join(' and ')} as ${what.as}`;
    case 'terminate':
      return terminate(target, what.what);
    case 'reset':
      // The task that is held must end first: a run is reset to a task that was completed.
      void later(() => reset(target, what.to));
      return `reset to ${Math.round(what.to * 100)} % of its workflow tasks`;
  }
}

export async function verb(
  target: Target,
  name: RolloutVerb,
  as: 'update' | 'signal',
  override = false,
): Promise<void> {
  const handle = target.client.workflow.getHandle(target.workflowId);
  const payload = { by: 'operator', reason: `the seed says ${name}`, ...(override ? { override } : {}) };
  if (as === 'signal') return handle.signal(name, payload);
  handle.executeUpdate(name, { args: [payload] }).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
}

async function terminate({ client, workflowId, stream }: Target, what: 'rollout' | 'shard' | 'lock'): Promise<string> {
  const ids = { rollout: workflowId, lock: `foothold/stream/${stream}`, shard: '' };
  if (what === 'shard') {
    const running = await listRuns(client, stream);
    ids.shard = running.find((run) => run.running && run.type === 'shard')?.workflowId ?? '';
  }
  if (ids[what] === '') return 'terminate: no shard was open';
  await client.workflow.getHandle(ids[what]).terminate('the seed says so');
  return `terminated ${ids[what]}`;
}

async function later(work: () => Promise<void>): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  await work().catch(() => undefined);
}

/** To a completed workflow task, as `temporal workflow reset` does. */
async function reset({ client, namespace, workflowId }: Target, share: number): Promise<void> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const completed = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes);
  const chosen = completed[Math.min(completed.length - 1, Math.floor(share * completed.length))];
  if (!chosen?.eventId) return;
  await client.workflowService.resetWorkflowExecution({
    namespace,
    workflowExecution: { workflowId },
    workflowTaskFinishEventId: chosen.eventId,
    requestId: randomUUID(),
    reason: 'the seed says so',
  });
}
