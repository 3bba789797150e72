/** Who keeps a stream from another rollout: a real registry, and a Temporal that answers as it is told. */
import { WorkflowNotFoundError } from '@temporalio/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { rivalOf } from '../../../activities/control/rival.js';
import { askToGiveWay } from '../../../activities/control/supersede.js';
import { wordsOfHeld } from '../../../policies/rollout/held-by.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { frozenPlan, status, STREAM } from '../../records/registry/facts.js';

const HERE = { name: 'default', id: 'n-1' };
const THERE = { name: 'default', id: 'n-2' };
const me = { workflowId: 'w-me', firstRunId: 'me', runId: 'me', continuation: 0 };

let registry: Registry;
/** By workflow id: the status of its latest run, or what asking for it throws. Others are not there. */
let temporal: Record<string, string | Error | undefined>;
let asked: string[];

function deps(): ControlDeps {
  const getHandle = (workflowId: string) => ({
    describe: async () => {
      const answer = temporal[workflowId];
      if (answer === undefined) throw new WorkflowNotFoundError('not found', workflowId, undefined);
      if (answer instanceof Error) throw answer;
      const firstRunId = workflowId.replace(/^w-/, '');
      return { runId: `${firstRunId}-last`, status: { name: answer }, raw: { workflowExecutionInfo: { firstRunId } } };
    },
    executeUpdate: async () => asked.push(workflowId),
  });
  const client = {
    options: { namespace: HERE.name },
    workflow: { getHandle },
    workflowService: {
      describeNamespace: async () => ({ namespaceInfo: { id: HERE.id } }),
      getWorkflowExecutionHistory: async () => ({ history: { events: [] } }),
    },
  };
  return { registry, client, now: () => 10_000 } as unknown as ControlDeps;
}

/** `is`: what Temporal says of it; absent: it is not there. */
async function begin(
  firstRunId: string,
  { is, namespace = HERE, ...more }: { is?: string; namespace?: typeof HERE | null; of?: string; stream?: string } = {},
) {
  const { of, stream } = more;
  const named = { firstRunId, workflowId: `w-${firstRunId}`, ...(of && { of }), ...(namespace && { namespace }) };
  temporal[`w-${firstRunId}`] = is;
  const { label } = await registry.freeze(frozenPlan('2.4.0', stream), named, 1_000);
  return { workflowId: `w-${firstRunId}`, firstRunId, label };
}

const rival = () => rivalOf(deps(), STREAM, me);

beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  [temporal, asked] = [{}, []];
});
afterEach(() => registry.close());

describe('a rival of a rollout', () => {
  it.each(['RUNNING', 'PAUSED', 'UNKNOWN'])('is another rollout of the stream that is open here: %s', async (is) => {
    const other = await begin('r1', { is });
    expect(await rival()).toEqual(other);
  });

  it('is none that Temporal says has ended, nor one that is gone from the namespace that it ran in', async () => {
    await begin('r1', { is: 'TERMINATED' });
    await begin('r2');
    expect(await rival()).toBeNull();
  });

  it.each([
    ['another namespace', THERE, THERE],
    ['a namespace that nobody wrote down', null, 'unrecorded' as const],
  ])('is one that is gone here and began in %s: it may live', async (_, namespace, elsewhere) => {
    const other = await begin('r1', { namespace });
    expect(await rival()).toEqual({ ...other, elsewhere });
  });

  it('is one of another namespace only until a person or its end here says otherwise', async () => {
    await begin('r1', { namespace: THERE, is: 'TERMINATED' });
    expect(await rival()).toBeNull();
    temporal = {};
    expect(await rival()).toMatchObject({ elsewhere: THERE });
    await registry.putStatus({ ...status('r1'), workflowId: 'w-r1', state: 'sealed', outcome: 'terminated' });
    expect(await rival()).toBeNull();
  });

  it('is none that has sealed and not yet handed over, none of another stream, and not the rollout itself', async () => {
    const { label } = await begin('r1', { is: 'RUNNING' });
    await registry.putStatus({ ...status('r1', { label }), workflowId: 'w-r1', state: 'sealed', outcome: 'promoted' });
    await begin('r2', { is: 'RUNNING', stream: 'firewall' });
    await begin('r3', { namespace: THERE, stream: 'firewall' });
    await begin('me', { is: 'RUNNING' });
    expect(await rival()).toBeNull();
  });

  it('is named as a batch of the reconciler if it is one', async () => {
    const other = await begin('r1', { is: 'RUNNING', of: 'r0' });
    expect(await rival()).toEqual({ ...other, catchUp: true });
    temporal = {};
    expect(await rival()).toBeNull();
  });

  it('is first the one that nobody can ask, so that nobody gives way in vain', async () => {
    await begin('r1', { is: 'RUNNING' });
    const lost = await begin('r2', { namespace: THERE });
    expect(await rival()).toEqual({ ...lost, elsewhere: THERE });
  });

  it('is not known while Temporal does not answer', async () => {
    await begin('r1');
    temporal['w-r1'] = new Error('unavailable');
    await expect(rival()).rejects.toThrow('unavailable');
  });
});

describe('a holder that cannot be asked', () => {
  const request = { release: `${STREAM}@2.5.0`, strategy: 'steps' };
  const give = (holder: Parameters<typeof askToGiveWay>[2]) => askToGiveWay(deps().client, request, holder, me, []);

  it('is not asked to give way, not even a batch; its words say how it is given up', async () => {
    const { label } = await begin('r1', { namespace: THERE, of: 'r0' });
    const holder = await rival();
    if (!holder) throw new Error('expected a rival');
    await expect(give(holder)).rejects.toMatchObject({
      code: 'STREAM_LOCKED',
      message: expect.stringContaining(`foothold abort ${label} --lost`) as string,
    });
    expect(wordsOfHeld(STREAM, holder)).toContain('in the namespace default (n-2)');
    expect(asked).toEqual([]);
  });

  it('is also a lock that somebody started by hand', async () => {
    const bare = { workflowId: `foothold/stream/${STREAM}`, firstRunId: 'x', lockRunId: 'x' };
    await expect(give(bare)).rejects.toMatchObject({ code: 'STREAM_LOCKED' });
    expect(asked).toEqual([]);
    await give({ workflowId: 'w-r1', firstRunId: 'r1', label: 'edge-proxy-2.4.0-1' });
    expect(asked).toEqual(['w-r1']);
  });
});
