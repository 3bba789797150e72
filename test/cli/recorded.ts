/** A project with a registry as a control worker would have filled it: every test gets its own copy. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { Context } from '../../cli/context.js';
import { judgePlan } from '../../cli/judge-plan.js';
import type { RolloutOutcome, RolloutStatus } from '../../policies/model/rollout.js';
import type { SiteReport } from '../../policies/model/report.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import { emptyDirectory, foothold, ioAt, type Said } from './operator.js';
import { testProject } from './project.js';

export const NOW = Date.parse('2026-11-22T03:00:00Z');

export interface Recorded {
  directory: () => string;
  run: (...argv: string[]) => Promise<Said>;
  withRegistry: <T>(body: (registry: Registry) => Promise<T>) => Promise<T>;
  /** A rollout of edge-proxy, frozen and with a status; `at` is when it was last recorded. */
  record: (run: string, how?: How) => Promise<RolloutStatus>;
  /** Of the digest of a published version. */
  digest: (version: string) => Promise<string>;
}

export interface How {
  version?: string;
  strategy?: string;
  only?: string[];
  at?: number;
  status?: Partial<RolloutStatus>;
  /** Sealed with this outcome, handed over as the workflow does it. */
  sealed?: RolloutOutcome;
}

/** `versions` are published before the first test. */
export function recordedProject(versions: string[]): Recorded {
  let template: string;
  let directory: string;
  beforeAll(async () => {
    template = await mkdtemp(join(tmpdir(), 'foothold-template-'));
    const made = await testProject(template);
    for (const version of versions) await foothold(template, ['publish', await made.release(version)]);
  });
  afterAll(() => rm(template, { recursive: true, force: true }));
  beforeEach(async () => {
    directory = await emptyDirectory();
    await cp(template, directory, { recursive: true });
  });

  const plan = async (version: string, strategy: string, only: string[]) => {
    const context = new Context(ioAt(directory).io, {});
    const { frozen } = await judgePlan(context, `edge-proxy@${version}`, strategy, only);
    await context.close();
    return frozen;
  };
  const withRegistry: Recorded['withRegistry'] = async (body) => {
    const registry = await openRegistry(`sqlite:${join(directory, 'registry.db')}`);
    try {
      return await body(registry);
    } finally {
      await registry.close();
    }
  };
  const record: Recorded['record'] = async (run, how = {}) => {
    const { version = '2.4.0', strategy = 'steps', only = [], at = NOW - 5_000, sealed } = how;
    const frozen = await plan(version, strategy, only);
    return withRegistry(async (registry) => {
      const workflowId = `rollout/${run}`;
      const narrowed = only.length === 0 ? {} : { only: {} };
      const { label, generation } = await registry.freeze(frozen, { firstRunId: run, workflowId, ...narrowed }, at);
      const ended = sealed === undefined ? {} : { state: 'sealed' as const, outcome: sealed };
      const status = { ...statusOf(run, frozen.plan, label, generation, at), ...ended, ...how.status };
      await registry.putStatus(status);
      if (sealed !== undefined) await registry.handOver(run, sealed, at);
      return status;
    });
  };
  return {
    directory: () => directory,
    run: (...argv) => foothold(directory, argv, { now: () => NOW }),
    withRegistry,
    record,
    digest: async (version) => (await plan(version, 'steps', [])).plan.release.digest,
  };
}

type Frozen = Awaited<ReturnType<typeof judgePlan>>['frozen'];

function statusOf(
  firstRunId: string,
  plan: Frozen['plan'],
  label: string,
  generation: number,
  at: number,
): RolloutStatus {
  return {
    label,
    workflowId: `rollout/${firstRunId}`,
    firstRunId,
    stream: plan.release.stream,
    release: { version: plan.release.version, digest: plan.release.digest },
    strategy: plan.strategy.name,
    planDigest: plan.digest,
    generation,
    state: 'running',
    stages: plan.stages.map((stage) => ({
      name: stage.name,
      sites: stage.waves.reduce((sum, wave) => sum + wave.sites.length, 0),
      wave: 0,
      waves: stage.waves.length,
      confirmed: 0,
      failed: 0,
      owed: 0,
      state: 'untouched',
    })),
    startedAt: at - 60_000,
    updatedAt: at,
    owedReverts: [],
  };
}

export function reportOf(
  site: string,
  live: { version: string; digest: string },
  more: Partial<SiteReport> = {},
): SiteReport {
  return {
    site,
    at: NOW - 60_000,
    epoch: 1,
    sequence: 1,
    agentVersion: '0.1.0',
    versions: {},
    quarantined: [],
    streams: { 'edge-proxy': { state: 'confirmed', live, generation: 1, try: 1, checks: [] } },
    ...more,
  };
}
