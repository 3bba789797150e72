/** Temporal away for the whole life of a change, and gone for good with its database: what a site does then, and what is told later. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../infra/temporal/settings.js';
import type { RunningProcess } from '../../infra/dev/process.js';
import { FaultStage, until } from './fault-stage.js';
import { accountOf, comesTo, LinkedSite } from './link-stage.js';

const SITES = ['s1', 's2'];
/** Not the one that a server makes by itself. */
const NAMESPACE = 'grid';

let stage: FaultStage;
let worker: RunningProcess;
const sites = new Map<string, LinkedSite>();

async function makeNamespace(): Promise<void> {
  const made = await stage.temporalCli(['operator', 'namespace', 'create', '--namespace', NAMESPACE]);
  expect(made.code, made.stderr).toBe(0);
  const attributes = Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--name', name, '--type', type]);
  const create = ['operator', 'search-attribute', 'create', '--namespace', NAMESPACE, ...attributes];
  await until(async () => (await stage.temporalCli(create)).code === 0, 'its search attributes are there');
}

beforeAll(async () => {
  stage = await FaultStage.open({ sites: SITES, settleWithin: '180s' });
  stage.env['TEMPORAL_NAMESPACE'] = NAMESPACE;
  await makeNamespace();
  await stage.startDepot();
  worker = await stage.startWorker();
  for (const name of SITES) sites.set(name, await LinkedSite.start(stage, name));
  await until(async () => (await stage.registry.reports(SITES)).size === SITES.length, 'every site has reported');
});
afterAll(async () => {
  await Promise.all([...sites.values()].map((site) => site.stop()));
  await stage.close();
});

const s1 = () => sites.get('s1') as LinkedSite;

/** s1 has taken the command in and can fetch nothing; then Temporal is killed, and only then does the depot answer. */
async function acceptedBeforeTheEnd(version: string): Promise<string> {
  s1().depot.cut();
  const label = await stage.begin({ version, healthyFor: '12s' });
  await until(async () => (await stage.statusOf('s1')).streams['relay']?.state === 'accepted', 's1 has the command');
  await stage.temporal.crash();
  expect(stage.loads('s1')).not.toContain(version);
  s1().depot.restore();
  await comesTo(stage, 's1', 'watching', version);
  return label;
}

async function nothingHeard(label: string): Promise<void> {
  const { firstRunId = '', outcome } = (await stage.rollout(label)) ?? {};
  expect(outcome).toBeUndefined();
  expect((await stage.registry.siteRows(firstRunId)).map((row) => row.outcome)).not.toContain('confirmed');
  expect((await accountOf(stage, label, 's1')).counted).toBe(0);
}

describe('O2: Temporal is away from before the switch until after the end', () => {
  it('[A17] [A12] a good change is confirmed over a restart of the agent, and counted once when Temporal is back', async () => {
    const label = await acceptedBeforeTheEnd('1.0.0');
    await s1().restart();
    await comesTo(stage, 's1', 'confirmed', '1.0.0');
    expect((await s1().linkIs('down')).cause).toMatch(/cannot be reached|did not answer/);
    await nothingHeard(label);
    await stage.temporal.restart();
    expect(await stage.sealed(label, 120_000)).toMatchObject({ outcome: 'promoted' });
    const account = await accountOf(stage, label, 's1');
    expect(account).toMatchObject({ outcome: 'confirmed', counted: 1 });
    expect(account.journal).toEqual({ accepted: 1, switching: 1, confirmed: 1, reverted: 0 });
    expect(stage.loads('s1').filter((loaded) => loaded === '1.0.0')).toEqual(['1.0.0']);
    expect(await stage.verified(label)).toMatchObject({ ok: true });
  });

  it('[A32] a bad one is undone by its check over a restart of the agent, and the rollout goes back on it alone', async () => {
    const label = await acceptedBeforeTheEnd('1.1.0');
    await s1().process.crash();
    stage.makeIll('s1', '1.1.0');
    await s1().restart();
    await comesTo(stage, 's1', 'reverted', '1.0.0');
    await nothingHeard(label);
    await stage.temporal.restart();
    const sealed = await stage.sealed(label, 120_000);
    expect(sealed).toMatchObject({
      outcome: 'reverted',
      reason: { code: 'BUDGET_FAILED' },
      stages: [{ failed: 1 }, {}],
    });
    const account = await accountOf(stage, label, 's1');
    expect(account).toMatchObject({ outcome: 'reverted', cause: 'check', counted: 1 });
    expect(account.journal).toEqual({ accepted: 1, switching: 1, confirmed: 0, reverted: 1 });
    expect(stage.loads('s2')).not.toContain('1.1.0');
    expect(await stage.verified(label)).toMatchObject({ ok: true });
  });
});

describe('O3: the database of Temporal is gone, and another is in its place', () => {
  let label = '';
  let pid = 0;

  it('[A12] a site whose rollout is lost with it confirms alone, and says that there is no such namespace', async () => {
    label = await stage.begin({ version: '1.2.0', healthyFor: '12s' });
    await comesTo(stage, 's1', 'watching', '1.2.0');
    pid = s1().process.pid;
    await Promise.all([worker.crash(), stage.temporal.crash()]);
    const directory = join(stage.root, 't');
    for (const file of readdirSync(directory)) if (file.startsWith('temporal.db')) rmSync(join(directory, file));
    await stage.temporal.restart();
    // By its next echo: the worker itself notices after a minute.
    const named = await until(
      async () => {
        const { link } = await stage.statusOf('s1');
        return link?.state === 'down' && /namespace.* not found/i.test(link.cause ?? '') && link;
      },
      'the cause is named',
      40_000,
    );
    expect(named.failures).toBeGreaterThan(0);
    await comesTo(stage, 's1', 'confirmed', '1.2.0');
    expect([s1().process.running(), s1().process.pid]).toEqual([true, pid]);
  });

  it('[A13] it finds the new one by itself, tells it once what the old one never heard, and takes its commands', async () => {
    await makeNamespace();
    for (const site of sites.values()) await site.linkIs('up');
    worker = await stage.startWorker();
    await until(async () => (await accountOf(stage, label, 's1')).counted > 0, 'what became of s1 is told');
    const given = await stage.endOf(['abort', label, '--lost', '--reason', 'the disk of Temporal is gone']);
    expect(given).toMatchObject({ code: 0, said: expect.stringContaining('as terminated') as string });
    const next = await stage.begin({ version: '1.3.0' });
    expect(await stage.sealed(next, 120_000)).toMatchObject({ outcome: 'promoted' });
    expect(SITES.map((site) => stage.livePage(site))).toEqual(['healthy 1.3.0\n', 'healthy 1.3.0\n']);
    expect([s1().process.running(), s1().process.pid]).toEqual([true, pid]);
    expect(await accountOf(stage, label, 's1')).toMatchObject({ outcome: 'confirmed', counted: 1 });
    expect(await accountOf(stage, next, 's1')).toMatchObject({ outcome: 'confirmed', counted: 1 });
    for (const one of [label, next]) expect(await stage.verified(one)).toMatchObject({ ok: true });
  });
});
