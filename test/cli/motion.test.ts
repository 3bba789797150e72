/** Temporal's client takes longer to load than all the rest of a reader: with Temporal down it is not loaded at all. */
import { describe, expect, it, vi } from 'vitest';
import type { Context } from '../../cli/context.js';
import { motionOf } from '../../cli/motion.js';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';

const loaded = vi.hoisted(() => vi.fn());
vi.mock('@temporalio/client', () => {
  loaded();
  return { WorkflowNotFoundError: class WorkflowNotFoundError extends Error {} };
});

const rollout = { workflowId: 'rollout/edge-proxy', firstRunId: 'run' } as RolloutStatus;
const failing = (error: Error) => ({ temporal: () => Promise.reject(error) }) as unknown as Context;

describe('whether a rollout still runs', () => {
  it.each([
    new WorldError('TEMPORAL_UNREACHABLE', 'expected Temporal at 127.0.0.1:1, got no answer'),
    new MistakeError('BAD_ARGUMENT', 'expected a readable Temporal profile'),
  ])('is unknown without loading its client: $message', async (error) => {
    loaded.mockClear();
    expect(await motionOf(failing(error), rollout)).toEqual({ kind: 'unknown', because: error.message });
    expect(loaded).not.toHaveBeenCalled();
  });

  it('is told by the class of what its client throws', async () => {
    const { WorkflowNotFoundError } = await import('@temporalio/client');
    const gone = new WorkflowNotFoundError('no such workflow', 'rollout/edge-proxy', undefined);
    expect(await motionOf(failing(gone), rollout)).toEqual({ kind: 'not-found' });
    expect(await motionOf(failing(new Error('14 UNAVAILABLE')), rollout)).toMatchObject({ kind: 'unknown' });
  });
});
