/** What people and the world do to a rollout counts as a fault only where it did something: a Temporal that answers as told. */
import type { Client } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { act, type Target } from './operators.js';
import type { ShortAct } from './seed-faults.js';

interface Answers {
  /** `fails`: as for a rollout that has closed, or that refuses. */
  asked: 'works' | 'fails';
  /** Completed workflow tasks of the rollout. */
  tasks: number;
  shards: string[];
  /** Whether the evidence has the verb. */
  obeyed: boolean;
}

function target({ asked, tasks, shards, obeyed }: Answers): Target {
  const answer = async () => {
    if (asked === 'fails') throw new Error('workflow execution already completed');
  };
  const completed = Array.from({ length: tasks }, (_, n) => ({
    eventId: n + 1,
    workflowTaskCompletedEventAttributes: {},
  }));
  const handle = {
    ...{ signal: answer, executeUpdate: answer, terminate: answer },
    fetchHistory: async () => ({ events: completed }),
  };
  async function* list() {
    for (const workflowId of shards)
      yield { workflowId, type: 'shard', runId: 'r', status: { name: 'RUNNING' }, startTime: new Date(0) };
  }
  const client = {
    workflow: { getHandle: () => handle, list },
    workflowService: { resetWorkflowExecution: answer },
  } as unknown as Client;
  return { client, namespace: 'n', workflowId: 'seed-1-main', stream: 'seed-1', obeyed: async () => obeyed };
}

const FINE: Answers = { asked: 'works', tasks: 2, shards: ['seed-1-1.2.0-1/canary/1/1'], obeyed: true };
const ACTS: [string, ShortAct, Partial<Answers>][] = [
  ['an update', { kind: 'verb', verb: 'abort', as: 'update' }, { asked: 'fails', obeyed: false }],
  ['a signal that is delivered and ignored', { kind: 'verb', verb: 'abort', as: 'signal' }, { obeyed: false }],
  ['two updates', { kind: 'verbs', verbs: ['abort', 'promote'], as: 'update' }, { asked: 'fails', obeyed: false }],
  ['two signals', { kind: 'verbs', verbs: ['abort', 'promote'], as: 'signal' }, { obeyed: false }],
  ['a reset', { kind: 'reset', to: 0.5 }, { asked: 'fails' }],
  ['a reset to a task that was not come to', { kind: 'reset', to: { task: 2 } }, { tasks: 1 }],
  ['a reset of a rollout without a completed task', { kind: 'reset', to: 0.5 }, { tasks: 0 }],
  ['the end of the lock', { kind: 'terminate', what: 'lock' }, { asked: 'fails' }],
  ['the end of a shard where none is open', { kind: 'terminate', what: 'shard' }, { shards: [] }],
];

describe('what is done to a rollout', () => {
  it.each(ACTS)('counts only where it has an effect: %s', async (_words, what, inVain) => {
    expect(await (await act(target(FINE), what)).took).toBe(true);
    expect(await (await act(target({ ...FINE, ...inVain }), what)).took).toBe(false);
  });
});
