/** Who takes over is judged before the rollout that runs is asked to end: a real project, depot and registry. */
import { join } from 'node:path';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { supersede } from '../../../activities/control/supersede.js';
import { openDepot } from '../../../records/depot/open-depot.js';
import type { Registry } from '../../../records/registry/registry.js';
import { NOW, recordedProject } from '../../cli/recorded.js';

const project = recordedProject(['2.3.0', '2.4.0']);
const request = { release: 'edge-proxy@2.3.0', strategy: 'steps' };
const run = { workflowId: 'rollout/new', firstRunId: 'run-new', runId: 'run-new', continuation: 0 };

/** Remembers who was asked to give way, and with which payload. Only `rollout/run-old` is there, and runs. */
function depsWith(registry: Registry, asked: unknown[]): ControlDeps {
  const handle = (workflowId: string) => ({
    executeUpdate: async (_: string, { args }: { args: unknown[] }) => {
      asked.push(workflowId, ...args);
    },
    describe: async () => {
      if (workflowId !== 'rollout/run-old') throw new WorkflowNotFoundError('not found', workflowId, undefined);
      const raw = { workflowExecutionInfo: { firstRunId: 'run-old' } };
      return { runId: 'run-old', status: { name: 'RUNNING' }, raw };
    },
  });
  const client = {
    options: { namespace: 'default' },
    workflow: { getHandle: handle },
    workflowService: { describeNamespace: async () => ({ namespaceInfo: { id: 'n-1' } }) },
  };
  return {
    registry,
    depot: openDepot(join(project.directory(), 'depot')),
    projectPath: join(project.directory(), 'foothold.yaml'),
    controlKeyPem: '',
    client: client as unknown as Client,
    now: () => NOW,
  };
}

describe('supersede', () => {
  it('asks nobody to give way to a rollout that preflight would refuse, and keeps what it found', async () => {
    const { label } = await project.record('run-old');
    const digest = await project.digest('2.3.0');
    await project.withRegistry(async (registry) => {
      await registry.block({ stream: 'edge-proxy', digest, version: '2.3.0', rollout: 'edge-proxy-2.3.0-1', at: NOW });
      const asked: unknown[] = [];
      for (const catchUp of [{}, { catchUp: true as const }]) {
        const holder = { workflowId: 'rollout/run-old', firstRunId: 'run-old', label, ...catchUp };
        await expect(supersede(depsWith(registry, asked), request, holder, run)).rejects.toMatchObject({
          code: 'PREFLIGHT_BLOCKED',
          message: expect.stringContaining(`${label} was not asked to give way`) as string,
        });
      }
      expect(asked).toEqual([]);
      expect((await registry.findings(run.firstRunId)).map(({ result }) => result)).toContain('block');
    });
  });

  it('asks the one that holds the stream, and names what the new plan leaves out', async () => {
    const { label } = await project.record('run-old');
    await project.withRegistry(async (registry) => {
      const asked: unknown[] = [];
      const holder = { workflowId: 'rollout/run-old', firstRunId: 'run-old', label };
      await supersede(depsWith(registry, asked), { ...request, only: { region: ['baltic'] } }, holder, run);
      expect(asked).toEqual([
        'rollout/run-old',
        expect.objectContaining({ rollout: run.workflowId, leftOut: ['osl-01', 'osl-02', 'osl-03'] }),
      ]);
    });
  });

  it('asks nobody to give way where another rollout of the stream may live in another namespace', async () => {
    const { label } = await project.record('run-old');
    await project.withRegistry(async (registry) => {
      const plan = await registry.frozenPlan((await registry.findRollout('run-old'))?.planDigest ?? '');
      if (!plan) throw new Error('expected a plan');
      const elsewhere = {
        firstRunId: 'run-lost',
        workflowId: 'rollout/lost',
        namespace: { name: 'default', id: 'n-0' },
      };
      const lost = await registry.freeze(plan, elsewhere, NOW);
      const asked: unknown[] = [];
      const holder = { workflowId: 'rollout/run-old', firstRunId: 'run-old', label };
      await expect(supersede(depsWith(registry, asked), request, holder, run)).rejects.toMatchObject({
        code: 'STREAM_LOCKED',
        message: expect.stringContaining(`foothold abort ${lost.label} --lost`) as string,
      });
      expect(asked).toEqual([]);
    });
  });
});
