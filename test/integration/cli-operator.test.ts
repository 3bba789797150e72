/** The operator's verbs on real parts: a plan begun as it was looked at, going back, what is owed, all answers with Temporal down. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { strategyFile } from './fault-files.js';
import { FaultStage, until } from './fault-stage.js';

const SITES = ['s1', 's2'];
/** How long the centre waits for a site that is away. */
const SETTLE = '8s';

let stage: FaultStage;
let s2: RunningProcess;

beforeAll(async () => {
  stage = await FaultStage.open({ sites: SITES, settleWithin: SETTLE });
  await stage.startDepot();
  await stage.startWorker();
  await stage.startSite('s1');
  s2 = await stage.startSite('s2');
  stage.write('strategies/held.yaml', strategyFile('held', 'stages: [{ name: all, waves: [0, 100%] }]'));
  await stage.publish({ version: '1.0.0' });
  await stage.publish({ version: '2.0.0' });
  await until(async () => (await stage.registry.reports(SITES)).size === SITES.length, 'every site has reported');
});
afterAll(async () => {
  await stage.close();
});

async function said(...argv: string[]): Promise<{ code: number | null; document: Record<string, unknown> }> {
  const { code, stdout, stderr } = await stage.foothold([...argv, '--json'], 90_000);
  try {
    return { code, document: JSON.parse(stdout) as Record<string, unknown> };
  } catch {
    throw new Error(`expected one document from ${argv.join(' ')}, got: ${stdout}${stderr}`);
  }
}

describe('going forward and back', () => {
  it('[A55] start --plan begins exactly what was planned', async () => {
    expect((await stage.foothold(['plan', 'relay@1.0.0', 'steps', '-o', 'plan.json'])).code).toBe(0);
    const { code, document } = await said('start', '--plan', 'plan.json', '--watch');
    expect([code, document]).toMatchObject([0, { rollout: { label: 'relay-1.0.0-1', outcome: 'promoted' } }]);
    const second = await said('start', 'relay@2.0.0', 'steps', '--watch');
    expect([second.code, second.document]).toMatchObject([0, { rollout: { outcome: 'promoted' } }]);
  });

  it('start --supersede takes the place of a rollout that waits, which undoes nothing', async () => {
    expect((await said('start', 'relay@1.0.0', 'held')).code).toBe(0);
    await until(async () => (await stage.rollout('relay-1.0.0-2'))?.state === 'waiting', 'it waits');
    const { code, document } = await said('start', 'relay@2.0.0', 'steps', '--supersede', 'relay-1.0.0-2', '--watch');
    expect([code, document]).toMatchObject([0, { rollout: { label: 'relay-2.0.0-2', outcome: 'promoted' } }]);
    expect(await stage.sealed('relay-1.0.0-2')).toMatchObject({ outcome: 'aborted', reason: { code: 'SUPERSEDED' } });
    expect(stage.livePage('s1')).toBe('healthy 2.0.0\n');
  });

  it('rollback goes to the release promoted before, and a site that is away is owed it', async () => {
    await s2.crash();
    const { code, document } = await said('rollback', 'relay', '--reason', 'customers report errors', '--watch');
    expect([code, document]).toMatchObject([
      0,
      { rollout: { release: { version: '1.0.0' }, strategy: 'rollback', outcome: 'promoted' } },
    ]);
    expect(stage.livePage('s1')).toBe('healthy 1.0.0\n');
    expect(stage.livePage('s2')).toBe('healthy 2.0.0\n');
  });
});

describe('[A43] with Temporal down', () => {
  beforeAll(() => stage.temporal.crash());

  it('status, watch and explain tell of a rollout', async () => {
    const label = 'relay-1.0.0-3';
    const status = await stage.foothold(['status', label]);
    expect([status.code, status.stdout]).toEqual([
      0,
      expect.stringMatching(/^PROMOTED · 1 of 2 sites confirmed, 0 failed, 1 owed/),
    ]);
    const watch = await stage.foothold(['watch', label]);
    expect([watch.code, watch.stdout]).toEqual([0, expect.stringContaining('PROMOTED')]);
    const explain = await stage.foothold(['explain', label]);
    expect([explain.code, explain.stdout]).toEqual([
      0,
      expect.stringMatching(/site s2 is owed[^]*who can: whoever runs the site’s link/),
    ]);
    expect((await stage.foothold(['explain', label, 's2'])).stdout).toMatch(/^s2 in relay-1\.0\.0-3: owed/);
  });

  it('owed, fleet status and site show tell who differs from what, and whose it is', async () => {
    const owed = await said('owed');
    expect(owed).toMatchObject({
      code: 0,
      document: { debts: [{ site: 's2', verb: 'converge', ownerName: 'catchUp' }] },
    });
    const fleet = await said('fleet', 'status');
    expect(fleet).toMatchObject({ code: 0, document: { totals: [{ stream: 'relay', sites: 2, same: 1, owed: 1 }] } });
    const site = await said('site', 'show', 's2');
    expect(site).toMatchObject({
      code: 0,
      document: { desired: [{ release: { version: '1.0.0' } }], debts: [{ site: 's2' }] },
    });
  });

  it('history and evidence tell what happened, and the document proves itself', async () => {
    const history = await stage.foothold(['history', 'relay', '--limit', '200']);
    expect([history.code, history.stdout]).toEqual([0, expect.stringContaining('sealed: promoted')]);
    expect((await stage.foothold(['evidence', 'export', 'relay-1.0.0-3', '-o', 'evidence.json'])).code).toBe(0);
    expect(await said('evidence', 'verify', 'evidence.json')).toMatchObject({ code: 0, document: { ok: true } });
  });

  it('freeze is in force at once; retry cannot be heard, and says so', async () => {
    expect(await said('freeze', '--until', '1h', '--reason', 'storm')).toMatchObject({
      code: 0,
      document: { sites: 2 },
    });
    expect(await said('freeze', '--list')).toMatchObject({ document: { inForce: [{ reason: 'storm' }] } });
    expect(await said('retry', 'relay-1.0.0-3', '--reason', 'x')).toMatchObject({ code: 3 });
  });
});

describe('after the storm', () => {
  beforeAll(() => stage.temporal.restart());

  it('a site that returns is not switched while frozen, and gets what it is owed once the freeze is lifted', async () => {
    s2 = await stage.startSite('s2');
    await until(
      async () => (await said('retry', 'relay-1.0.0-3', '--reason', 'it is back')).code === 0,
      'retry is heard',
    );
    // Longer than catch-up takes below, once nothing holds it.
    await sleep(10_000);
    expect(stage.livePage('s2')).toBe('healthy 2.0.0\n');
    expect((await said('unfreeze', '--reason', 'over')).code).toBe(0);
    const retried = await said('retry', 'relay-1.0.0-3', 's2', '--reason', 'not frozen any more');
    expect(retried).toMatchObject({ code: 0, document: { sites: ['s2'] } });
    await until(() => stage.livePage('s2') === 'healthy 1.0.0\n', 's2 runs what it was owed', 120_000);
    await until(async () => (await stage.registry.debts()).length === 0, 'nothing is owed');
    expect((await stage.foothold(['owed'])).stdout).toBe('NOTHING OWED\n');
  });
});
