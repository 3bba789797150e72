import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { judgePlan } from '../../cli/judge-plan.js';
import { Context } from '../../cli/context.js';
import { liveOf } from '../../cli/live.js';
import { plain } from '../../cli/render/paint.js';
import { rolloutText } from '../../cli/render/rollout.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Sample } from '../../policies/model/verdict.js';
import { openDepot } from '../../records/depot/open-depot.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import { emptyDirectory, foothold, ioAt, json, type Said } from './operator.js';
import { testProject } from './project.js';
import { reportOf } from './recorded.js';

const NOW = Date.parse('2026-11-22T03:00:00Z');
const GATED = `apiVersion: foothold/v1
kind: Strategy
name: gated
owner: grid-duty
defaults: { gate: health, soak: 1m }
stages: [{ name: all }]
gates: { health: { metrics: [{ name: errors, query: up, pass: result < 0.01, interval: 10s, window: 10s }] } }
`;

/** Made once and copied: every test has its own registry. */
let template: string;
let project: { directory: string };
beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), 'foothold-template-'));
  const made = await testProject(template);
  await writeFile(join(template, 'strategies/gated.yaml'), GATED);
  await foothold(template, ['publish', await made.release('2.4.0')]);
});
afterAll(() => rm(template, { recursive: true, force: true }));
beforeEach(async () => {
  project = { directory: await emptyDirectory() };
  await cp(template, project.directory, { recursive: true });
});

async function withRegistry<T>(body: (registry: Registry) => Promise<T>): Promise<T> {
  const registry = await openRegistry(`sqlite:${join(project.directory, 'registry.db')}`);
  try {
    return await body(registry);
  } finally {
    await registry.close();
  }
}

/** A rollout as the control worker would have recorded it. */
async function record(run: string, changes: Partial<RolloutStatus>, strategy = 'steps'): Promise<RolloutStatus> {
  const context = new Context(ioAt(project.directory).io, {});
  const { frozen } = await judgePlan(context, 'edge-proxy@2.4.0', strategy, []);
  await context.close();
  return withRegistry(async (registry) => {
    const workflowId = `rollout/${run}`;
    const { label, generation } = await registry.freeze(frozen, { firstRunId: run, workflowId }, NOW);
    const { plan } = frozen;
    const status: RolloutStatus = {
      label,
      workflowId,
      firstRunId: run,
      stream: plan.release.stream,
      release: plan.release,
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
      startedAt: NOW - 60_000,
      updatedAt: NOW - 5_000,
      owedReverts: [],
      ...changes,
    };
    await registry.putStatus(status);
    return status;
  });
}

const run = (...argv: string[]): Promise<Said> => foothold(project.directory, argv, { now: () => NOW });

describe('status with Temporal down', () => {
  test('[A43] [A55] answers from the registry: document, headline, and that it is a record', async () => {
    const { label } = await record('run-1', {
      state: 'waiting',
      wait: { reason: { code: 'WAVE_HELD', detail: 'by hand' }, owner: 'grid-duty', since: NOW, then: 'stay' },
    });
    const commandId = 'run-1/osl-01/edge-proxy/converge/1';
    const place = { site: 'osl-01', stage: 'canary', wave: 0 };
    await withRegistry(async (registry) => {
      await registry.recordCommanded('run-1', [{ ...place, verb: 'converge', commandId }], NOW);
      const outcome = {
        ...place,
        outcome: 'owed' as const,
        state: null,
        reason: { code: 'UNREACHED' as const, detail: '' },
      };
      const key = { firstRunId: 'run-1', runId: 'run-1', activityId: '1' };
      await registry.recordDispositions(key, [{ site: 'osl-01', commandId, outcome }], NOW);
    });
    const said = await run('status', label);
    expect(said.exit).toBe(0);
    expect(said.out).toMatch(
      /^NEEDS YOU · edge-proxy 2\.4\.0 waits: WAVE_HELD \(by hand\) · without a deadline · next: foothold explain edge-proxy-2\.4\.0-1\n/,
    );
    expect(said.out).toContain('note: Temporal could not be asked; this is the record of 5s ago');
    const document = json(await run('status', label, '--json')) as Record<string, unknown>;
    expect(Object.keys(document)).toEqual(['rollout', 'sites', 'gate', 'findings', 'temporal']);
    expect(document['rollout']).toMatchObject({ label, state: 'waiting' });
    expect(document['sites']).toMatchObject([{ site: 'osl-01', stage: 'canary', verb: 'converge', outcome: 'owed' }]);
  });

  test('a rollout is found by id, workflow id and stream; a mistyped one is suggested', async () => {
    const { label } = await record('run-1', {});
    for (const reference of [label, 'rollout/run-1', 'run-1', 'edge-proxy']) {
      expect(json(await run('status', reference, '--json'))).toMatchObject({ rollout: { label } });
    }
    const said = await run('status', 'edge-proxy-2.4.0-7');
    expect([said.exit, said.err]).toEqual([2, expect.stringContaining('did you mean edge-proxy-2.4.0-1?')]);
  });

  test('a stream of which two run is ambiguous, and both are named', async () => {
    await record('run-1', {});
    await record('run-2', {});
    const said = await run('abort', 'edge-proxy', '--reason', 'x');
    expect(said.exit).toBe(2);
    expect(said.err).toMatch(/^error ROLLOUT_AMBIGUOUS[^]*edge-proxy-2\.4\.0-1[^]*/);
    expect(said.err).toContain('edge-proxy-2.4.0-2');
  });

  test('a verb on a sealed rollout is refused before anything is asked', async () => {
    const { label } = await record('run-1', { state: 'sealed', outcome: 'promoted' });
    const said = await run('revert', label, '--reason', 'x');
    expect([said.exit, said.err]).toEqual([2, expect.stringContaining('NOTHING_RUNNING')]);
  });

  test('the dry form of a verb says what would be asked', async () => {
    const { label } = await record('run-1', {});
    const said = await run('promote', label, '--reason', 'checked', '--override', '--dry-run', '--json');
    expect([said.exit, json(said)]).toEqual([
      0,
      { rollout: label, verb: 'promote', payload: { by: 'tester', reason: 'checked', override: true }, dryRun: true },
    ]);
  });

  test('without a name: all that run, the one that waits for a person first', async () => {
    await record('run-1', { state: 'sealed', outcome: 'reverted' });
    await record('run-2', {});
    const waiting = await record('run-3', {
      state: 'waiting',
      wait: { reason: { code: 'PAUSED', detail: '' }, owner: 'x', since: NOW, then: 'stay' },
    });
    const said = await run('status');
    expect(said.out.split('\n')[0]).toMatch(/^NEEDS YOU/);
    expect(said.out).toContain(waiting.label);
    const { rollouts } = json(await run('status', '--json')) as { rollouts: RolloutStatus[] };
    expect(rollouts.map(({ state }) => state).sort()).toEqual(['running', 'sealed', 'waiting']);
  });
});

test('[A43] the list says of a rollout that goes on what its own page says: results come before the rollout is told', async () => {
  const stage = { name: 'canary', sites: 4, wave: 1, waves: 1, confirmed: 0, failed: 0, owed: 0 };
  const rollout = await record('run-1', { stages: [{ ...stage, state: 'running' }] });
  await withRegistry(async (registry) => {
    const commandId = 'run-1/osl-02/edge-proxy/converge/1';
    const place = { site: 'osl-02', stage: 'canary', wave: 0 };
    await registry.recordCommanded('run-1', [{ ...place, commandId, verb: 'converge' }], NOW);
    const key = { firstRunId: 'run-1', runId: 'run-1', activityId: '1' };
    const { generation, stream, release } = rollout;
    const result = {
      ...{ commandId, site: 'osl-02', stream, verb: 'converge' as const, generation, try: 1, at: NOW },
      ...{ result: 'confirmed' as const, changed: true },
    };
    const report = reportOf('osl-02', release);
    const settled = { kind: 'result' as const, commandId, result, report, events: [] };
    await registry.recordSettled(key, { stage: 'canary', wave: 0 }, [settled], NOW);
  });
  expect((await run('status', rollout.label)).out).toContain('1 of 4 sites confirmed');
  const list = await run('status');
  expect(list.out).toContain('1 of 4 sites confirmed');
  expect(list.out).toMatch(/edge-proxy-2\.4\.0-1 +running +1\/4/);
});

describe('the gate in status', () => {
  const sample = (second: number, outcome: Sample['outcome'], value?: number): Sample => ({
    metric: 'errors',
    scheduledAt: NOW + second * 1000,
    takenAt: NOW + second * 1000,
    outcome,
    values: value === undefined ? [] : [{ value }],
    covered: 4,
    confirmed: 4,
    ...(outcome === 'pass' ? {} : { reason: { code: 'GATE_FAILED', detail: 'too high' } }),
  });

  test('is the verdict that the rollout judged; before that, never a pass', async () => {
    const { label } = await record('run-1', { state: 'gating' }, 'gated');
    await withRegistry((registry) =>
      registry.putSamples('run-1', 'all', 0, [sample(0, 'pass', 0), sample(10, 'pass', 0.002)]),
    );
    const gate = async (): Promise<unknown> => (json(await run('status', label, '--json')) as { gate: unknown }).gate;
    expect(await gate()).toMatchObject([
      {
        stage: 'all',
        wave: 0,
        metric: 'errors',
        verdict: 'inconclusive',
        values: [0, 0.002],
        samples: 2,
        judged: false,
      },
    ]);
    const metric = {
      metric: 'errors',
      verdict: 'pass',
      reason: { code: 'GATE_PASSED', detail: '2 passed' },
      counts: { pass: 2, fail: 0, inconclusive: 0, error: 0 },
      lastValues: [{ value: 0.002 }],
    };
    const verdict = { verdict: 'pass', reason: metric.reason, metrics: [metric] };
    await withRegistry((registry) =>
      registry.appendEvidence(
        { firstRunId: 'run-1', runId: 'run-1', activityId: '1' },
        [{ kind: 'gate', data: { stage: 'all', wave: 0, verdict } }],
        NOW,
      ),
    );
    expect(await gate()).toMatchObject([{ verdict: 'pass', judged: true, values: [0, 0.002] }]);
  });

  test('one bad sample fails at once where none may', async () => {
    const { label } = await record('run-1', { state: 'gating' }, 'gated');
    await withRegistry((registry) =>
      registry.putSamples('run-1', 'all', 0, [sample(0, 'fail', 0.06), sample(10, 'error')]),
    );
    expect(json(await run('status', label, '--json'))).toMatchObject({
      gate: [{ verdict: 'fail', values: [0.06, null] }],
    });
  });
});

describe('explain', () => {
  test('[B96] [A43] prints the meaning of every reason, its playbook, and what can be typed now', async () => {
    const reason = { code: 'BUDGET_OWED' as const, detail: '2 of 4 sites, limit 1' };
    const { label } = await record('run-1', {
      state: 'waiting',
      wait: { reason, owner: 'grid-duty', since: NOW, until: NOW + 60_000, then: 'revert-stage' },
    });
    await withRegistry((registry) =>
      registry.putFindings('run-1', [
        { site: 'osl-03', check: 'reported', result: 'warn', code: 'NOT_REPORTED', detail: 'never reported' },
      ]),
    );
    const said = await run('explain', label);
    expect(said.out).toContain(`why        rollout ${label} waits: BUDGET_OWED (2 of 4 sites, limit 1)`);
    expect(said.out).toContain('more sites of the stage are owed the release than its budget allows; see');
    expect(said.out).toContain('unblocks   a person trying again at sites that are back');
    expect(said.out).toContain('who can    grid-duty; ');
    expect(said.out).toContain('docs/playbooks/BUDGET_OWED.md');
    expect(said.out).toContain('preflight of osl-03 (warn): never reported');
    expect(said.out).toContain(`foothold promote ${label} --reason …`);
    const site = await run('explain', label, 'osl-03');
    expect(site.out).toMatch(/^osl-03 in edge-proxy-2\.4\.0-1: not commanded[^]*NOT_REPORTED/);
    const unknown = await run('explain', label, 'osl-99');
    expect([unknown.exit, unknown.err]).toEqual([2, expect.stringContaining('SITE_NOT_FOUND')]);
  });
});

describe('watch', () => {
  test('of a rollout that is over: its end, and exit code 1 unless it was promoted', async () => {
    const good = await record('run-1', { state: 'sealed', outcome: 'promoted' });
    const bad = await record('run-2', {
      state: 'sealed',
      outcome: 'reverted',
      reason: { code: 'GATE_FAILED', detail: '6 %' },
    });
    const first = await run('watch', good.label);
    expect([first.exit, first.out]).toEqual([0, expect.stringMatching(/^\d\d:\d\d:\d\d PROMOTED · /)]);
    const second = await run('watch', bad.label, '--json');
    expect([second.exit, json(second)]).toMatchObject([1, { rollout: { outcome: 'reverted' } }]);
    expect(second.err).toContain('REVERTED · GATE_FAILED (6 %)');
  });

  test('of a halted one: ends, because only a person moves it', async () => {
    const { label } = await record('run-1', {
      state: 'waiting',
      outcome: 'halted',
      reason: { code: 'WAIT_EXPIRED', detail: 'x' },
    });
    expect((await run('watch', label)).exit).toBe(1);
  });

  test('without a name: the only one that runs, else a mistake', async () => {
    const nothing = await run('watch');
    expect([nothing.exit, nothing.err]).toEqual([2, expect.stringContaining('NOTHING_RUNNING')]);
  });
});

describe('live waves', () => {
  test('[A43] what has settled fills the waves of the present stage, before the rollout itself is told', async () => {
    const stages = [
      { name: 'canary', sites: 1, wave: 1, waves: 1, confirmed: 1, failed: 0, owed: 0, state: 'promoted' as const },
      { name: 'rest', sites: 3, wave: 2, waves: 2, confirmed: 1, failed: 0, owed: 0, state: 'running' as const },
    ];
    const rollout = await record('run-1', { stages });
    const live = await withRegistry(async (registry) => {
      const key = { firstRunId: 'run-1', runId: 'run-1', activityId: '1' };
      const sites = ['osl-02', 'osl-03'].map((site) => ({ site, commandId: `run-1/${site}/edge-proxy/converge/1` }));
      const at = { stage: 'rest', wave: 1 };
      await registry.recordCommanded(
        'run-1',
        sites.map((one) => ({ ...one, ...at, verb: 'converge' as const })),
        NOW,
      );
      const outcomes = sites.map((one) => ({
        ...one,
        outcome: { site: one.site, ...at, outcome: 'owed' as const, state: null },
      }));
      await registry.recordDispositions(key, outcomes, NOW);
      return liveOf(registry, rollout, (await registry.frozenPlan(rollout.planDigest))?.plan);
    });
    expect(live.waves).toEqual([
      { stage: 'rest', wave: 1, sites: 1, settled: 1, hold: false },
      { stage: 'rest', wave: 2, sites: 2, settled: 1, hold: false },
    ]);
    expect(live.problems).toMatchObject({ of: 2, first: [{ site: 'osl-02' }, { site: 'osl-03' }] });
    const text = rolloutText(
      live.rollout,
      live.problems.first,
      { now: NOW, paint: plain, zone: 'utc' },
      { waves: live.waves },
    );
    expect(text).toMatch(/waves of rest\n +WAVE +SETTLED\n +1 +\[#{20}\] 1\/1\n +2 +\[#{10}\.{10}\] 1\/2 +</);
  });
});

describe('allow', () => {
  test('lifts a block for good, says what it lifted, and needs a reason and a known site', async () => {
    const { ref } = await openDepot(join(project.directory, 'depot')).release('edge-proxy', '2.4.0');
    const block = {
      stream: ref.stream,
      digest: ref.digest,
      version: ref.version,
      rollout: 'edge-proxy-2.4.0-1',
      at: NOW,
    };
    await withRegistry((registry) => registry.block(block));
    expect((await run('plan', 'edge-proxy@2.4.0', 'steps')).exit).toBe(1);
    expect((await run('allow', 'edge-proxy@2.4.0')).exit).toBe(2);
    const unknown = await run('allow', 'edge-proxy@2.4.0', '--site', 'osl-1', '--reason', 'x');
    expect([unknown.exit, unknown.err]).toEqual([2, expect.stringContaining('did you mean osl-01?')]);
    const dry = await run('allow', 'edge-proxy@2.4.0', '--reason', 'mended', '--dry-run');
    expect(dry.out).toContain('would lift: the block of stream edge-proxy by edge-proxy-2.4.0-1');
    expect((await run('plan', 'edge-proxy@2.4.0', 'steps')).exit).toBe(1);
    expect((await run('allow', 'edge-proxy@2.4.0', '--reason', 'mended')).exit).toBe(0);
    expect((await run('plan', 'edge-proxy@2.4.0', 'steps')).exit).toBe(0);
  });
});

describe('fleet', () => {
  test('[A5] [B4] [A55] status sets the last report beside what is declared, with its age', async () => {
    await withRegistry((registry) =>
      registry.recordReport(
        {
          site: 'osl-01',
          at: NOW - 120_000,
          epoch: 1,
          sequence: 4,
          agentVersion: '0.1.0',
          versions: { firmware: '3.5.0' },
          quarantined: [],
          streams: {
            'edge-proxy': {
              state: 'confirmed',
              live: { version: '2.3.0', digest: 'sha256:0' },
              generation: 1,
              try: 1,
              checks: [],
            },
          },
        },
        NOW - 120_000,
      ),
    );
    const said = await run('fleet', 'status');
    expect(said.out).toMatch(
      /osl-01 +edge-proxy +2\.3\.0 +confirmed +2m ago +- +- +- +firmware: declared 3\.4\.1, reported 3\.5\.0/,
    );
    expect(said.out).toMatch(/osl-02 +edge-proxy +- +never reported/);
    expect(said.out).toContain('6 sites, 5 never reported');
    const document = json(await run('fleet', 'status', '--only', 'id=osl-01', '--json')) as { sites: unknown[] };
    expect(document.sites).toMatchObject([{ site: 'osl-01', version: '2.3.0', receivedAt: NOW - 120_000 }]);
  });

  test('list shows what the files declare', async () => {
    const said = await run('fleet', 'list', '--only', 'region=nordic');
    expect(said.out).toMatch(/osl-01 +active +nordic +- +- +fibre +low +edge-proxy/);
    expect(said.out).toContain('3 sites, 3 active');
  });
});
