/** Who takes over is judged before the rollout that runs is asked to end: a real project, depot and registry. */
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { supersede } from '../../../activities/control/supersede.js';
import { openDepot } from '../../../records/depot/open-depot.js';
import type { Registry } from '../../../records/registry/registry.js';
import { NOW, recordedProject } from '../../cli/recorded.js';

const project = recordedProject(['2.3.0', '2.4.0']);
const request = { release: 'edge-proxy@2.3.0', strategy: 'steps' };
const run = { workflowId: 'rollout/new', firstRunId: 'run-new', runId: 'run-new', continuation: 0 };

/** Remembers who was asked to give way, and with which payload. */
function depsWith(registry: Registry, asked: unknown[]): ControlDeps {
  const handle = (workflowId: string) => ({
    executeUpdate: async (_: string, { args }: { args: unknown[] }) => {
      asked.push(workflowId, ...args);
    },
  });
  return {
    registry,
    depot: openDepot(join(project.directory(), 'depot')),
    projectPath: join(project.directory(), 'foothold.yaml'),
    controlKeyPem: '',
    client: { workflow: { getHandle: handle } } as unknown as Client,
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
});
