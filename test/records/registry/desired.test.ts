import { beforeEach, describe, expect, it } from 'vitest';
import type { Registry } from '../../../records/registry/registry.js';
import { releaseDigest, reported, Rollout } from './centre.js';
import { Journal, report, STREAM } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
let registry: Registry;
const [X, Y, Z] = ['osl-01', 'osl-02', 'osl-03'] as const;

beforeEach(async () => {
  registry = await underTest.openEmpty();
});

/** `site: version by label`, for the sites that should run anything. */
async function desired(sites: string[] = [X, Y, Z]): Promise<Record<string, string>> {
  const found = await registry.desired(STREAM, sites);
  return Object.fromEntries([...found].map(([site, { release, label }]) => [site, `${release.version} by ${label}`]));
}

async function promoted(run: string, version: string, sites: string[], belongs = {}): Promise<Rollout> {
  const rollout = await Rollout.begin(registry, run, version, sites, belongs);
  await rollout.seal('promoted');
  return rollout;
}

describe('what sites should run', () => {
  it('[A19] is nothing until something was promoted', async () => {
    await Rollout.begin(registry, 'run-1', '2.4.0', [X]);
    expect(await desired()).toEqual({});
    expect(await registry.streamDesired(STREAM)).toBeUndefined();
    expect(await registry.desiredStreams()).toEqual([]);
  });

  it('[A19] is what was promoted, for every site of the plan and for sites that no plan has named', async () => {
    const one = await promoted('run-1', '2.4.0', [X, Y]);
    const release = { version: '2.4.0', digest: releaseDigest('2.4.0') };
    const { planDigest, generation, label } = one.frozen;
    const decided = { stream: STREAM, release, planDigest, firstRunId: 'run-1', label, generation, since: 5_000 };
    expect(await registry.streamDesired(STREAM)).toEqual(decided);
    const found = await registry.desired(STREAM, [X, Z]);
    expect(found.get(X)).toEqual({ site: X, ...decided, stage: 'all' });
    expect(found.get(Z)).toEqual({ site: Z, ...decided });
    expect(await registry.desiredStreams()).toEqual([STREAM]);
  });

  it('[A19] a rollout narrowed by `only` decides for its own sites alone, until a later one speaks', async () => {
    await promoted('run-1', '2.4.0', [X, Y]);
    await promoted('run-2', '2.5.0', [X], { only: { id: [X] } });
    const [whole, own] = ['2.4.0 by edge-proxy-2.4.0-1', '2.5.0 by edge-proxy-2.5.0-1'];
    expect(await desired()).toEqual({ [X]: own, [Y]: whole, [Z]: whole });
    // Y was in maintenance, and so in no plan: what was decided meanwhile counts for it too.
    await promoted('run-3', '2.6.0', [X]);
    const last = '2.6.0 by edge-proxy-2.6.0-1';
    expect(await desired()).toEqual({ [X]: last, [Y]: last, [Z]: last });
  });

  it.each(['aborted', 'reverted', 'terminated'] as const)(
    '%s: what sites confirmed and were not told to undo, they keep',
    async (outcome) => {
      await promoted('run-1', '2.4.0', [X, Y, Z]);
      const next = await Rollout.begin(registry, 'run-2', '2.5.0', [X, Y, Z]);
      for (const site of [X, Y, Z]) await next.command(site);
      for (const site of [X, Y]) await next.settle(next.answer(site, 'confirmed'));
      await next.command(Y, 'revert');
      await next.command(Z, 'revert');
      await next.seal(outcome);
      const before = '2.4.0 by edge-proxy-2.4.0-1';
      expect(await desired()).toEqual({ [X]: '2.5.0 by edge-proxy-2.5.0-1', [Y]: before, [Z]: before });
      expect((await registry.streamDesired(STREAM))?.release.version).toBe('2.4.0');
    },
  );

  it('[A19] follows what comes after sealing: a late confirmation is kept, a late local revert is not', async () => {
    await promoted('run-1', '2.4.0', [X, Y]);
    const next = await Rollout.begin(registry, 'run-2', '2.5.0', [X, Y]);
    for (const site of [X, Y]) await next.command(site);
    await next.settle(next.answer(X, 'confirmed'));
    await next.seal('terminated');
    const journal = new Journal(Y);
    journal.ended(next.answer(Y, 'confirmed'));
    await registry.recordSiteEvents(report(Y), journal.events, 6_000);
    const [before, kept] = ['2.4.0 by edge-proxy-2.4.0-1', '2.5.0 by edge-proxy-2.5.0-1'];
    expect(await desired([X, Y])).toEqual({ [X]: kept, [Y]: kept });
    journal.wentBack(next.id(Y), 'check', 7_000);
    await registry.recordSiteEvents(report(Y, { sequence: 2 }), journal.events, 7_000);
    expect(await desired([X, Y])).toEqual({ [X]: kept, [Y]: before });
    await next.command(X, 'revert');
    expect(await desired([X, Y])).toEqual({ [X]: before, [Y]: before });
  });

  it('a promoted rollout is desired also where a site went back by itself', async () => {
    const one = await Rollout.begin(registry, 'run-1', '2.4.0', [X]);
    await one.command(X);
    await one.settle(one.answer(X, 'reverted', 'converge', { cause: 'check' }));
    await one.seal('promoted');
    expect(await desired([X])).toEqual({ [X]: '2.4.0 by edge-proxy-2.4.0-1' });
  });

  it.each(['promoted', 'aborted'] as const)('a catch-up batch that ends %s decides nothing', async (outcome) => {
    const one = await promoted('run-1', '2.4.0', [X, Y]);
    const batch = await Rollout.begin(registry, 'run-2', '2.4.0', [Y, Z], { of: 'run-1' });
    await batch.command(Y);
    await batch.settle(batch.answer(Y, 'confirmed'));
    await batch.seal(outcome);
    const label = `2.4.0 by ${one.label}`;
    expect(await desired()).toEqual({ [X]: label, [Y]: label, [Z]: label });
    expect((await registry.desired(STREAM, [Y])).get(Y)).toMatchObject({ firstRunId: 'run-1', generation: 1 });
  });

  it('refused and halted change nothing', async () => {
    await promoted('run-1', '2.4.0', [X]);
    const refused = await Rollout.begin(registry, 'run-2', '2.5.0', [X]);
    await refused.seal('refused');
    const halted = await Rollout.begin(registry, 'run-3', '2.6.0', [X]);
    await halted.command(X);
    await halted.settle(halted.answer(X, 'confirmed'));
    await registry.handOver('run-3', 'halted', 6_000);
    expect(await desired([X])).toEqual({ [X]: '2.4.0 by edge-proxy-2.4.0-1' });
  });

  it('[B36] an older rollout that is sealed late does not take over', async () => {
    const older = await Rollout.begin(registry, 'run-1', '2.4.0', [X, Y]);
    await older.command(X);
    await older.settle(older.answer(X, 'confirmed'));
    await promoted('run-2', '2.5.0', [X, Y]);
    await older.seal('promoted');
    const newer = '2.5.0 by edge-proxy-2.5.0-1';
    expect(await desired()).toEqual({ [X]: newer, [Y]: newer, [Z]: newer });
  });
});

describe('a promoted rollout that was sealed and goes on after all', () => {
  const goesOn = (run: string) => registry.adoptRun(run, 0, `${run}b`);
  const V = {
    one: '2.4.0 by edge-proxy-2.4.0-1',
    two: '2.5.0 by edge-proxy-2.5.0-1',
    three: '2.6.0 by edge-proxy-2.6.0-1',
  };

  it('[A19] leaves what the last one before it had decided, also for sites that no plan has named', async () => {
    await promoted('run-1', '2.3.0', [X, Y]);
    await promoted('run-2', '2.4.0', [X, Y]);
    await promoted('run-3', '2.5.0', [X, Y]);
    const whole = await registry.streamDesired(STREAM);
    await goesOn('run-3');
    expect(await desired()).toEqual({ [X]: V.one, [Y]: V.one, [Z]: V.one });
    expect(await registry.streamDesired(STREAM)).toMatchObject({ firstRunId: 'run-2', since: 5_000 });
    await registry.handOver('run-3', 'promoted', 5_000);
    expect(await desired()).toEqual({ [X]: V.two, [Y]: V.two, [Z]: V.two });
    expect(await registry.streamDesired(STREAM)).toEqual(whole);
  });

  it('[A19] leaves what narrowed and aborted ones before and after it had decided, and no batch', async () => {
    await promoted('run-1', '2.4.0', [X, Y, Z]);
    const aborted = await Rollout.begin(registry, 'run-2', '2.5.0', [X, Y]);
    for (const site of [X, Y]) {
      await aborted.command(site);
      await aborted.settle(aborted.answer(site, 'confirmed'));
    }
    await aborted.seal('aborted');
    await promoted('run-3', '2.6.0', [Y], { only: { id: [Y] } });
    const before = await desired();
    expect(before).toEqual({ [X]: V.two, [Y]: V.three, [Z]: V.one });
    await promoted('run-4', '2.7.0', [X, Y, Z]);
    await promoted('run-5', '2.7.0', [X], { of: 'run-4' });
    await promoted('run-6', '2.8.0', [Z], { only: { id: [Z] } });
    await goesOn('run-4');
    expect(await desired()).toEqual({ ...before, [Z]: '2.8.0 by edge-proxy-2.8.0-1' });
    // What the aborted one brought is taken back after all: the one before it shows, as it did then.
    await aborted.command(X, 'revert');
    expect((await desired())[X]).toBe(V.one);
  });

  it('leaves what a later one has decided', async () => {
    await promoted('run-1', '2.4.0', [X, Y]);
    await promoted('run-2', '2.5.0', [X, Y]);
    await promoted('run-3', '2.6.0', [X]);
    await goesOn('run-2');
    expect(await desired()).toEqual({ [X]: V.three, [Y]: V.three, [Z]: V.three });
  });

  it('narrowed: leaves what the last one before it had decided for its own sites', async () => {
    await promoted('run-1', '2.4.0', [X, Y]);
    await promoted('run-2', '2.5.0', [X], { only: { id: [X] } });
    await goesOn('run-2');
    expect((await registry.desired(STREAM, [X])).get(X)).toMatchObject({ firstRunId: 'run-1', stage: 'all' });
    expect(await desired()).toEqual({ [X]: V.one, [Y]: V.one, [Z]: V.one });
  });

  it('[A19] brings back what sites owed of the one before it, and not what they have', async () => {
    const one = await Rollout.begin(registry, 'run-1', '2.4.0', [X, Y]);
    for (const site of [X, Y]) await one.command(site);
    await one.settle(one.answer(X, 'confirmed'));
    await one.dispose(Y, 'owed');
    await one.seal('promoted');
    const owed = await registry.debts();
    expect(owed.map(({ site, firstRunId }) => `${site} ${firstRunId}`)).toEqual([`${Y} run-1`]);
    await promoted('run-2', '2.5.0', [X, Y]);
    expect(await registry.debts()).toEqual([]);
    await goesOn('run-2');
    expect(await registry.debts()).toEqual(owed);
  });
});

describe('what a site reports that the registry does not know', () => {
  it('[A19] O3: becomes what it should run, and no later rollout gets a generation at or below it', async () => {
    await promoted('run-1', '2.4.0', [X, Y]);
    const known = await registry.knownGeneration(STREAM);
    expect(known).toBe(2);
    await registry.recordReport(reported(X, 9, { version: '2.6.0' }), 6_000);
    expect(await registry.knownGeneration(STREAM)).toBe(2);
    await registry.adoptLive(X, STREAM, { version: '2.6.0', digest: releaseDigest('2.6.0') }, 9, 6_000);
    expect((await registry.desired(STREAM, [X])).get(X)).toMatchObject({
      release: { version: '2.6.0', digest: releaseDigest('2.6.0') },
      generation: 9,
      since: 6_000,
    });
    expect((await registry.desired(STREAM, [Y])).get(Y)).toMatchObject({ generation: 1 });
    const next = await Rollout.begin(registry, 'run-2', '2.7.0', [X]);
    expect(next.frozen.generation).toBe(10);
    await next.seal('promoted');
    // Generations 3 to 9 were of at most four rollouts: whatever their labels were, this one is another.
    expect(await desired([X])).toEqual({ [X]: '2.7.0 by edge-proxy-2.7.0-5' });
  });

  it('O3: never lowers anything, whatever comes and however often', async () => {
    await registry.adoptLive(X, STREAM, { version: '2.6.0', digest: releaseDigest('2.6.0') }, 9, 6_000);
    for (const generation of [9, 8, 0, -1, 1.5, Number.NaN, 2 ** 60])
      await registry.adoptLive(X, STREAM, { version: '2.0.0', digest: releaseDigest('2.0.0') }, generation, 7_000);
    expect((await registry.desired(STREAM, [X])).get(X)).toMatchObject({ release: { version: '2.6.0' }, since: 6_000 });
    expect((await Rollout.begin(registry, 'run-2', '2.7.0', [X])).frozen.generation).toBe(10);
    await registry.adoptLive(X, STREAM, { version: '2.8.0', digest: releaseDigest('2.8.0') }, 15, 8_000);
    expect((await registry.desired(STREAM, [X])).get(X)).toMatchObject({
      release: { version: '2.8.0' },
      generation: 15,
    });
  });

  it('O3: ends converges that it has gone beyond, and no undo', async () => {
    const one = await Rollout.begin(registry, 'run-1', '2.4.0', [X, Y]);
    await one.dispose(X, 'owed');
    await one.command(Y, 'revert');
    for (const site of [X, Y])
      await registry.adoptLive(site, STREAM, { version: '2.6.0', digest: releaseDigest('2.6.0') }, 9, 6_000);
    expect((await registry.debts()).map(({ verb, site }) => `${verb} ${site}`)).toEqual([`revert ${Y}`]);
  });
});

describe('rollouts that are not sealed', () => {
  it('are told with the sites of their plans, and a batch with what it belongs to', async () => {
    const one = await Rollout.begin(registry, 'run-1', '2.4.0', [X, Y]);
    await one.seal('promoted');
    await Rollout.begin(registry, 'run-2', '2.4.0', [Y], { of: 'run-1' });
    // Frozen, and no status yet: nobody would find it by `rollouts`.
    await registry.freeze(
      (await registry.frozenPlan(one.frozen.planDigest))!,
      { firstRunId: 'run-3', workflowId: 'w3' },
      9,
    );
    expect(await registry.runningPlans(STREAM)).toEqual([
      { label: 'edge-proxy-2.4.0-3', firstRunId: 'run-3', workflowId: 'w3', sites: [X, Y] },
      { label: 'edge-proxy-2.4.0-2', firstRunId: 'run-2', workflowId: 'w-run-2', sites: [Y], of: 'run-1' },
    ]);
    expect(await registry.runningPlans('psk')).toEqual([]);
  });
});

describe('runs of a rollout', () => {
  const seen = (continuation: number, runId: string) => registry.recordRun('run-1', continuation, runId);

  it('[A42] answer with the run that was seen first, after a reset with none, and then with the one that a person adopts', async () => {
    expect(await seen(0, 'run-1')).toBe('run-1');
    expect(await seen(0, 'reset')).toBe('run-1');
    expect(await seen(1, 'next')).toBe('next');
    await registry.disownRuns('run-1', 0);
    expect(['run-1', 'reset']).not.toContain(await seen(0, 'reset'));
    expect(await registry.adoptRun('run-1', 0, 'reset')).toBe(true);
    expect(await seen(0, 'run-1')).toBe('reset');
    expect(await seen(0, 'reset')).toBe('reset');
    expect(await seen(1, 'other')).toBe('next');
    expect(await registry.adoptRun('run-1', 2, 'before-it-was-seen')).toBe(true);
    expect(await seen(2, 'other')).toBe('before-it-was-seen');
    await registry.disownRuns('run-1', 3);
    expect(await seen(3, 'late')).not.toBe('late');
  });

  it('are not taken from one that was adopted by another that has not found out that it was reset', async () => {
    await registry.disownRuns('run-1', 0);
    expect(await registry.adoptRun('run-1', 0, 'second')).toBe(true);
    expect(await registry.adoptRun('run-1', 0, 'third')).toBe(false);
    expect(await seen(0, 'third')).toBe('second');
    expect(await registry.adoptRun('run-1', 0, 'second')).toBe(true);
    await registry.disownRuns('run-1', 0);
    expect(await registry.adoptRun('run-1', 0, 'third')).toBe(true);
    expect(await seen(0, 'third')).toBe('third');
  });
});
