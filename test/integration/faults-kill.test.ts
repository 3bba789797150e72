/** `kill -9` in mid-rollout, of each part and of all at once: the rollout goes on, and nothing is done twice. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { FaultStage, until } from './fault-stage.js';

const SITES = ['s1', 's2', 's3'];

let stage: FaultStage;
let worker: RunningProcess;
const sites = new Map<string, RunningProcess>();

beforeAll(async () => {
  stage = await FaultStage.open({ sites: SITES });
  await stage.startDepot();
  worker = await stage.startWorker();
  for (const site of SITES) sites.set(site, await stage.startSite(site));
  await until(async () => (await stage.registry.reports(SITES)).size === SITES.length, 'every site has reported');
});
afterAll(async () => {
  await stage.close();
});

/** `site` has switched to the version and watches it. */
function watching(site: string, version: string): Promise<true> {
  return until(async () => {
    const stream = (await stage.statusOf(site)).streams['relay'];
    return stream?.state === 'watching' && stream.live?.version === version;
  }, `${site} watches ${version}`);
}

async function killSite(site: string): Promise<void> {
  await sites.get(site)?.crash();
}
async function restartSite(site: string): Promise<void> {
  sites.set(site, await stage.startSite(site));
}

/** Promoted; every site was commanded once, switched once, confirmed once; and the evidence says so unbroken. */
async function expectDoneOnce(label: string, version: string): Promise<void> {
  expect(await stage.sealed(label)).toMatchObject({ outcome: 'promoted', owedReverts: [] });
  const { firstRunId } = (await stage.rollout(label)) ?? { firstRunId: '' };
  const rows = await stage.registry.siteRows(firstRunId);
  expect(rows.map(({ site, outcome, commandId }) => [site, outcome, commandId])).toEqual(
    SITES.map((site) => [site, 'confirmed', `${firstRunId}/${site}/relay/converge/1`]),
  );
  for (const site of SITES) {
    const own = (await stage.journalOf(site)).filter(({ commandId }) => commandId?.startsWith(`${firstRunId}/`));
    const count = (kind: string) => own.filter((event) => event.kind === kind).length;
    expect([site, count('accepted'), count('switching'), count('confirmed')]).toEqual([site, 1, 1, 1]);
    expect(stage.loads(site).filter((loaded) => loaded === version)).toEqual([version]);
    expect(stage.livePage(site)).toBe(`healthy ${version}\n`);
  }
  const verified = await stage.verified(label);
  expect(verified).toMatchObject({ ok: true, kinds: { plan: 1, sealed: 1 } });
}

describe('kill -9 in mid-rollout', () => {
  it('[A12] [A43] of the control worker: started again it goes on, and nobody is commanded twice', async () => {
    const label = await stage.begin({ version: '1.0.0', healthyFor: '3s' });
    await watching('s2', '1.0.0');
    await worker.crash();
    worker = await stage.startWorker();
    await expectDoneOnce(label, '1.0.0');
  });

  it('[A13] [A43] of a site that watches: it goes on watching, confirms once, and the rollout learns it', async () => {
    const label = await stage.begin({ version: '1.1.0', healthyFor: '3s' });
    await watching('s2', '1.1.0');
    await killSite('s2');
    await restartSite('s2');
    await expectDoneOnce(label, '1.1.0');
  });

  it('[A12] [A43] of Temporal: sites confirm meanwhile, and all go on when it is back', async () => {
    const label = await stage.begin({ version: '1.2.0', healthyFor: '3s' });
    await watching('s3', '1.2.0');
    await stage.temporal.crash();
    await until(async () => (await stage.statusOf('s3')).streams['relay']?.state === 'confirmed', 's3 confirms alone');
    expect((await stage.rollout(label))?.outcome).toBeUndefined();
    await stage.temporal.restart();
    await expectDoneOnce(label, '1.2.0');
  });

  it('[A18] [A43] of everything at once, as by a power cut: it ends as if nothing had been', async () => {
    const label = await stage.begin({ version: '1.3.0', healthyFor: '4s' });
    await watching('s2', '1.3.0');
    await Promise.all([worker.crash(), stage.temporal.crash(), ...SITES.map(killSite)]);
    await Promise.all(SITES.map(restartSite));
    await stage.temporal.restart();
    worker = await stage.startWorker();
    await expectDoneOnce(label, '1.3.0');
  });

  it('[A6] [A32] of a site that watches a release which breaks it, and the centre gone: it undoes it, and says so later', async () => {
    const label = await stage.begin({ version: '1.4.0', healthyFor: '20s' });
    await watching('s1', '1.4.0');
    await Promise.all([worker.crash(), stage.temporal.crash(), killSite('s1')]);
    stage.makeIll('s1', '1.4.0');
    await restartSite('s1');
    await until(async () => (await stage.statusOf('s1')).streams['relay']?.state === 'reverted', 's1 undoes it alone');
    expect(stage.livePage('s1')).toBe('healthy 1.3.0\n');
    await stage.temporal.restart();
    worker = await stage.startWorker();
    const sealed = await stage.sealed(label);
    expect(sealed).toMatchObject({ outcome: 'reverted', reason: { code: 'BUDGET_FAILED' } });
    const rows = await stage.registry.siteRows(sealed.firstRunId);
    expect(rows).toMatchObject([{ site: 's1', outcome: 'reverted', cause: 'check', reason: { code: 'CHECK_FAILED' } }]);
    expect(stage.loads('s2')).not.toContain('1.4.0');
    expect(await stage.verified(label)).toMatchObject({ ok: true });
  });
});
