import { beforeEach, describe, expect, it } from 'vitest';
import type { SiteOutcome } from '../../../policies/model/rollout.js';
import type { Sample } from '../../../policies/model/verdict.js';
import type { Registry } from '../../../records/registry/registry.js';
import { commandId, DIGEST, frozenPlan, key, PLACE, result, settled, status, STREAM } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
let registry: Registry;
beforeEach(async () => {
  registry = await underTest.openEmpty();
});

const run = (firstRunId: string) => ({ firstRunId, workflowId: `w-${firstRunId}` });

describe('freezing', () => {
  it('gives the same run the same answer, and the plan that it was frozen with first', async () => {
    const first = await registry.freeze(frozenPlan(), run('r1'), 1_000);
    const other = frozenPlan('2.4.0', STREAM, 'changed meanwhile');
    expect(await registry.freeze(other, run('r1'), 2_000)).toEqual(first);
    expect(first).toEqual({
      label: 'edge-proxy-2.4.0-1',
      attempt: 1,
      generation: 1,
      planDigest: frozenPlan().plan.digest,
    });
    expect(await registry.frozenPlan(other.plan.digest)).toBeUndefined();
  });

  it('takes two generations of the stream, and the next attempt of the version', async () => {
    const frozen = [];
    for (const [index, plan] of [
      frozenPlan(),
      frozenPlan(),
      frozenPlan('2.5.0'),
      frozenPlan('2.4.0', 'other'),
    ].entries())
      frozen.push(await registry.freeze(plan, run(`r${index}`), 1_000));
    expect(frozen.map(({ label, generation }) => [label, generation])).toEqual([
      ['edge-proxy-2.4.0-1', 1],
      ['edge-proxy-2.4.0-2', 3],
      ['edge-proxy-2.5.0-1', 5],
      ['other-2.4.0-1', 1],
    ]);
    await registry.adoptGeneration(STREAM, 6);
    expect((await registry.freeze(frozenPlan(), run('r5'), 1_000)).generation).toBe(7);
    await registry.adoptGeneration(STREAM, 20);
    await registry.adoptGeneration(STREAM, 9);
    expect((await registry.freeze(frozenPlan(), run('r6'), 1_000)).generation).toBe(21);
  });

  it('keeps a plan that nobody can change', async () => {
    await registry.freeze(frozenPlan(), run('r1'), 1_000);
    const read = await registry.frozenPlan(frozenPlan().plan.digest);
    expect(read).toEqual(frozenPlan());
    expect(() => read?.plan.excluded.push({ site: 'x', reason: 'y' })).toThrow();
  });
});

describe('runs', () => {
  it('the first run id seen for a continuation stays: another one means a reset', async () => {
    expect(await registry.recordRun('r1', 0, 'r1')).toBe('r1');
    expect(await registry.recordRun('r1', 0, 'r9')).toBe('r1');
    expect(await registry.recordRun('r1', 1, 'r9')).toBe('r9');
  });
});

describe('status', () => {
  it('is found by label, first run id, workflow id, and stream: the running one, else the latest', async () => {
    const old = status('r1', { label: 'edge-proxy-2.4.0-1', startedAt: 1, state: 'sealed', outcome: 'promoted' });
    const running = status('r2', { label: 'edge-proxy-2.5.0-1', startedAt: 2 });
    const refused = status('r3', { label: 'edge-proxy-2.6.0', startedAt: 3, state: 'sealed', outcome: 'refused' });
    for (const one of [old, running, refused]) await registry.putStatus(one);
    const found = async (reference: string) => (await registry.findRollout(reference))?.firstRunId;
    expect(await found('edge-proxy-2.4.0-1')).toBe('r1');
    expect(await found('r3')).toBe('r3');
    expect(await found('rollout-r1')).toBe('r1');
    expect(await found(STREAM)).toBe('r2');
    await registry.putStatus({ ...running, state: 'sealed', updatedAt: 2_000 });
    expect(await found(STREAM)).toBe('r3');
    expect(await found('nothing')).toBeUndefined();
    expect((await registry.rollouts()).map((one) => one.firstRunId)).toEqual(['r3', 'r2', 'r1']);
    expect((await registry.rollouts({ stream: STREAM, limit: 1 })).map((one) => one.firstRunId)).toEqual(['r3']);
    expect(await registry.rollouts({ running: true })).toEqual([]);
    expect(await registry.rollouts({ stream: 'other' })).toEqual([]);
  });

  it('O6: an older one never replaces a newer one', async () => {
    await registry.putStatus(status('r1', { updatedAt: 5_000, state: 'gating' }));
    await registry.putStatus(status('r1', { updatedAt: 4_000, state: 'running' }));
    expect((await registry.findRollout('r1'))?.state).toBe('gating');
  });

  it('of a rollout that is frozen later goes by the label that freezing gave', async () => {
    await registry.putStatus(status('r1', { label: 'planning', generation: 0, updatedAt: 1 }));
    expect((await registry.findRollout('planning'))?.firstRunId).toBe('r1');
    const { label } = await registry.freeze(frozenPlan('3.0.0'), run('r1'), 2);
    await registry.putStatus(status('r1', { label, updatedAt: 3 }));
    expect((await registry.findRollout('edge-proxy-3.0.0-1'))?.firstRunId).toBe('r1');
    expect(await registry.findRollout('planning')).toBeUndefined();
  });
});

describe('a rollout that is not sealed', () => {
  const HERE = { name: 'default', id: 'n-1' };
  const found = async () =>
    (await registry.unsealedRollouts()).map(({ firstRunId, namespace }) => [firstRunId, namespace]);

  it('is known with the namespace that it runs in, and keeps that', async () => {
    await registry.freeze(frozenPlan(), { ...run('r1'), namespace: HERE }, 1_000);
    await registry.putStatus(status('r1'));
    await registry.putStatus(status('r2', { startedAt: 2_000 }));
    expect(await found()).toEqual([
      ['r1', HERE],
      ['r2', undefined],
    ]);
    for (const firstRunId of ['r1', 'r2']) await registry.placeRollout(firstRunId, { name: 'default', id: 'n-2' });
    await registry.putStatus(status('r2', { startedAt: 2_000, updatedAt: 3_000 }));
    expect(await found()).toEqual([
      ['r1', HERE],
      ['r2', { name: 'default', id: 'n-2' }],
    ]);
  });
});

describe('members of a redundancy group', () => {
  const PAIR = ['osl-01', 'osl-02'] as const;
  const paired = (version: string) => {
    const frozen = frozenPlan(version);
    const sites = Object.fromEntries(PAIR.map((id) => [id, { id, redundancyGroup: 'pair' }]));
    return { ...frozen, sites } as unknown as typeof frozen;
  };
  const ask = async (firstRunId: string, site: string) => {
    const id = commandId(firstRunId, site);
    const row = { site, stage: 'all', wave: 0, verb: 'converge' as const, commandId: id, group: 'pair' };
    const leftOut = await registry.commandClearOfMates(firstRunId, [row], 2_000);
    return leftOut.map((one) => `${one.site} for ${one.mate.site}`);
  };
  const commanded = async () =>
    (await Promise.all(['r1', 'r2'].map((one) => registry.commanded(one)))).flat().map(({ site }) => site);

  it('are commanded one at a time, whoever asks at the same moment', async () => {
    await registry.freeze(paired('2.4.0'), run('r1'), 1_000);
    await registry.freeze(paired('2.5.0'), run('r2'), 1_000);
    const answers = await Promise.all([ask('r1', PAIR[0]), ask('r2', PAIR[1])]);
    expect(answers.flat()).toHaveLength(1);
    expect(await commanded()).toHaveLength(1);
    // Its own command, asked for again, is in nobody's way.
    const [holder = ''] = await commanded();
    expect(await ask(holder === PAIR[0] ? 'r1' : 'r2', holder)).toEqual([]);
  });

  it('do not wait for a mate that is kept from it, but for one that may have begun what it was sent before, or is sent it now', async () => {
    await registry.freeze(paired('2.4.0'), run('r1'), 1_000);
    const id = commandId('r1', PAIR[0]);
    const deferred = { site: PAIR[0], outcome: 'deferred' as const, ...PLACE };
    const kept = (activity: string, outcome: SiteOutcome) =>
      registry.recordDispositions(key('r1', activity), [{ site: PAIR[0], commandId: id, outcome }], 3_000);
    expect(await ask('r1', PAIR[0])).toEqual([]);
    await kept('1', { ...deferred, state: 'accepted' });
    expect(await ask('r1', PAIR[1])).toEqual([`${PAIR[1]} for ${PAIR[0]}`]);
    await kept('2', deferred);
    expect(await registry.changingMembers(['pair'])).toEqual([]);
    expect(await ask('r1', PAIR[0])).toEqual([]);
    expect(await ask('r1', PAIR[1])).toEqual([`${PAIR[1]} for ${PAIR[0]}`]);
  });

  it('wait for a mate until it has answered, and no longer', async () => {
    await registry.freeze(paired('2.4.0'), run('r1'), 1_000);
    expect(await ask('r1', PAIR[0])).toEqual([]);
    expect(await ask('r1', PAIR[1])).toEqual([`${PAIR[1]} for ${PAIR[0]}`]);
    const answered = result(commandId('r1', PAIR[0]), 'confirmed');
    await registry.recordSettled(key('r1', '1'), PLACE, [settled(answered)], 3_000);
    expect(await ask('r1', PAIR[1])).toEqual([]);
  });
});

describe('findings and samples', () => {
  it('findings of a rollout are those of its last preflight', async () => {
    const finding = { site: 'a', check: 'lkg', result: 'pass' as const, code: 'PREFLIGHT_OK' as const, detail: '' };
    await registry.putFindings('r1', [finding, { ...finding, site: 'b' }]);
    await registry.putFindings('r1', [finding]);
    expect(await registry.findings('r1')).toEqual([finding]);
    expect(await registry.findings('r2')).toEqual([]);
  });

  it('[A43] a sample taken stays as it was taken, NaN and infinities included', async () => {
    const sample = (scheduledAt: number, value: number): Sample => ({
      metric: 'errors',
      scheduledAt,
      takenAt: scheduledAt,
      outcome: 'error',
      values: [{ value }],
      covered: 1,
      confirmed: 1,
    });
    await registry.putSamples('r1', 'canary', 1, [sample(2, NaN), sample(1, Infinity)]);
    await registry.putSamples('r1', 'canary', 1, [sample(2, 0.5), sample(3, 0.5)]);
    await registry.putSamples('r1', 'rest', 1, [sample(9, -Infinity)]);
    await registry.putSamples('r1', 'rest', 2, []);
    const read = await registry.samples('r1', 'canary', 1);
    expect(read.map((one) => [one.stage, one.wave, one.scheduledAt, one.values[0]?.value])).toEqual([
      ['canary', 1, 1, Infinity],
      ['canary', 1, 2, NaN],
      ['canary', 1, 3, 0.5],
    ]);
    expect((await registry.samples('r1')).at(-1)?.values).toEqual([{ value: -Infinity }]);
    expect(await registry.samples('r1', 'rest', 2)).toEqual([]);
  });
});

describe('documents, blocks and allowances', () => {
  it('a name means its latest import, also of content that it had before', async () => {
    const put = (digest: string, now: number) =>
      registry.importDocument({ kind: 'strategy', name: 'careful', digest, body: { digest } }, now);
    expect(await put('d1', 1)).toEqual({ changed: true });
    expect(await put('d1', 2)).toEqual({ changed: false, before: 'd1' });
    expect(await put('d2', 3)).toEqual({ changed: true, before: 'd1' });
    expect(await put('d1', 4)).toEqual({ changed: true, before: 'd2' });
    const latest = { kind: 'strategy', name: 'careful', digest: 'd1', body: { digest: 'd1' }, importedAt: 4 };
    expect(await registry.latestDocument('strategy', 'careful')).toEqual(latest);
    expect(await registry.documents('strategy')).toEqual([latest]);
    expect(await registry.latestDocument('fleet', 'careful')).toBeUndefined();
  });

  it('a block holds until it is allowed, and may come again', async () => {
    const block = { stream: STREAM, digest: DIGEST, version: '2.4.0', rollout: 'l-1', at: 100 };
    await registry.block(block);
    await registry.block(block);
    expect(await registry.blocks(STREAM)).toEqual([block]);
    await registry.allow(STREAM, DIGEST, 'osl-01', 'kari', 'tried by hand', 150);
    expect(await registry.blocks(STREAM)).toEqual([block]);
    await registry.allow(STREAM, DIGEST, undefined, 'kari', 'mended', 200);
    await registry.block(block);
    expect(await registry.blocks(STREAM)).toEqual([]);
    await registry.block({ ...block, at: 300 });
    expect(await registry.blocks(STREAM)).toEqual([{ ...block, at: 300 }]);
    await registry.allow(STREAM, DIGEST, 'osl-01', 'kari', 'again', 400);
    expect(await registry.allowances(STREAM, DIGEST)).toEqual([
      { site: '*', at: 200 },
      { site: 'osl-01', at: 400 },
    ]);
    expect(await registry.blocks('other')).toEqual([]);
  });
});
