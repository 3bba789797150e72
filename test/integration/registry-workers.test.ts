/** Two control workers on one registry: one dies or the database goes away in mid-rollout, and the rollout goes on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { startPostgres, type PostgresServer } from '../../infra/dev/postgres.js';
import { FaultStage, until } from './fault-stage.js';

const SITES = ['s1', 's2', 's3'];
const directory = mkdtempSync(join(tmpdir(), 'foothold-postgres-'));
let postgres: PostgresServer;
let stage: FaultStage;
let workers: RunningProcess[] = [];

beforeAll(async () => {
  postgres = await startPostgres({ directory });
  stage = await FaultStage.open({ sites: SITES, registry: postgres.url });
  await stage.startDepot();
  workers = [await stage.startWorker(), await stage.startWorker()];
  for (const site of SITES) await stage.startSite(site);
  await until(async () => (await stage.registry.reports(SITES)).size === SITES.length, 'every site has reported');
  await until(() => ready() === 2, 'both workers are ready');
});
afterAll(async () => {
  await stage.close();
  await postgres.close();
  rmSync(directory, { recursive: true, force: true });
});

const ready = () => stage.logsOf('worker').split('the control worker is ready').length - 1;

function watching(site: string, version: string): Promise<true> {
  return until(async () => {
    const stream = (await stage.statusOf(site)).streams['relay'];
    return stream?.state === 'watching' && stream.live?.version === version;
  }, `${site} watches ${version}`);
}

async function expectDoneOnce(label: string, version: string): Promise<void> {
  expect(await stage.sealed(label)).toMatchObject({ outcome: 'promoted', owedReverts: [] });
  const { firstRunId } = (await stage.rollout(label)) ?? { firstRunId: '' };
  const rows = await stage.registry.siteRows(firstRunId);
  expect(rows.map(({ site, outcome, commandId }) => [site, outcome, commandId])).toEqual(
    SITES.map((site) => [site, 'confirmed', `${firstRunId}/${site}/relay/converge/1`]),
  );
  for (const site of SITES) expect(stage.loads(site).filter((loaded) => loaded === version)).toEqual([version]);
  expect(await stage.verified(label)).toMatchObject({ ok: true, kinds: { plan: 1, sealed: 1 } });
}

describe('two control workers on one PostgreSQL', () => {
  it('[A12] [A43] kill -9 of one in mid-rollout: it goes on, ends promoted, and nobody is commanded twice', async () => {
    const label = await stage.begin({ version: '1.0.0', healthyFor: '3s' });
    await watching('s2', '1.0.0');
    await workers[0]?.crash();
    await expectDoneOnce(label, '1.0.0');
    expect(workers[1]?.running()).toBe(true);
    workers[0] = await stage.startWorker();
    await until(() => ready() === 3, 'the killed one is back');
  });

  it('[A43] O1: PostgreSQL restarted in mid-rollout, and away for a while: both workers live, and it goes on', async () => {
    const label = await stage.begin({ version: '1.1.0', healthyFor: '3s' });
    await watching('s2', '1.1.0');
    await postgres.stop();
    await until(async () => (await stage.statusOf('s2')).streams['relay']?.state === 'confirmed', 's2 confirms alone');
    await postgres.restart();
    await expectDoneOnce(label, '1.1.0');
    expect(workers.map((worker) => worker.running())).toEqual([true, true]);
    expect(stage.logsOf('worker')).not.toContain(new URL(postgres.url).password);
  });

  it('a command without the database says so, and a worker waits for it', async () => {
    await postgres.stop();
    const late = await stage.startWorker();
    const told = await stage.endOf(['status']);
    expect(told.code).toBe(3);
    expect(told.said).toMatch(/REGISTRY_UNREACHABLE.*postgres:\/\/127\.0\.0\.1:\d+\/postgres/s);
    expect(told.said).not.toContain(new URL(postgres.url).password);
    await until(
      () => stage.logsOf('worker').includes('the registry cannot be reached'),
      'the worker says why it waits',
    );
    await postgres.restart();
    await until(() => ready() === 4, 'it is ready then');
    await late.stop();
    expect((await stage.endOf(['status'])).code).toBe(0);
  });
});
