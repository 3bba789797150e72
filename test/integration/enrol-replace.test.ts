/** A site's life with real processes: enrolled, commanded, its control key rotated, replaced, and the old agent refused. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { FaultStage, until } from './fault-stage.js';

const SITE = 'osl-01';
let stage: FaultStage;
let agent: RunningProcess;

const said = async (argv: string[]): Promise<Record<string, unknown>> => {
  const ran = await stage.foothold([...argv, '--json']);
  expect([ran.code, ran.stderr]).toEqual([0, '']);
  return JSON.parse(ran.stdout) as Record<string, unknown>;
};
const rolled = async (version: string) => stage.sealed(await stage.begin({ version }));
const identity = async () => (await stage.registry.identities([SITE])).get(SITE);

beforeAll(async () => {
  stage = await FaultStage.open({ sites: [SITE], settleWithin: '30s' });
  await stage.startDepot();
  await stage.startWorker();
});
afterAll(() => stage.close());

describe('one site, from its enrolment to its replacement', () => {
  test('enrolled offline over the configuration that is there, bound by its first report, and commanded', async () => {
    const token = join(stage.root, 'first.token');
    await said(['fleet', 'enrol', SITE, '-o', token]);
    expect(await said(['agent', 'enrol', token, '--config', stage.agentConfig(SITE)])).toMatchObject({ epoch: 1 });
    agent = await stage.startSite(SITE);
    const { enrolment } = await stage.statusOf(SITE);
    await until(async () => (await identity())?.instance === enrolment?.instance, 'the token is bound');
    expect((await rolled('1.0.0')).outcome).toBe('promoted');
  });

  test('[B26] the control key is rotated under it: the site learns with the commands, and obeys the new key alone', async () => {
    await said(['keys', 'rotate-control', 'begin']);
    expect((await stage.foothold(['keys', 'rotate-control', 'switch'])).code).toBe(2);
    expect((await rolled('1.1.0')).outcome).toBe('promoted');
    await said(['keys', 'rotate-control', 'switch']);
    expect((await rolled('1.2.0')).outcome).toBe('promoted');
    await said(['keys', 'rotate-control', 'finish']);
    expect((await rolled('1.3.0')).outcome).toBe('promoted');
    const status = await said(['keys', 'status']);
    expect(status).toMatchObject({ rotation: null, sites: { knows: [SITE], behind: [], foreign: [] } });
    expect((await stage.statusOf(SITE)).keyset).toMatchObject({ version: 3 });
  });

  test('[A34] replaced: the old agent refuses, and what it reports is noted and believed in nothing', async () => {
    await said(['fleet', 'replace', SITE, '--reason', 'new box', '-o', join(stage.root, 'second.token')]);
    const label = await stage.begin({ version: '2.0.0' });
    await until(async () => (await stage.rollout(label))?.state === 'waiting', 'it waits for its one site');
    expect(stage.loads(SITE)).not.toContain('2.0.0');
    const anomalies = await stage.registry.siteAnomalies(SITE, 20);
    expect(anomalies.map(({ detail }) => (detail['reason'] as { code: string } | undefined)?.code)).toContain(
      'WRONG_EPOCH',
    );
    expect(await stage.registry.reports([SITE])).toEqual(new Map());
    await stage.foothold(['abort', 'relay', '--reason', 'the old agent is still there']);
    expect((await stage.sealed(label)).outcome).toBe('aborted');
  });

  test('the new agent, with an empty data directory and the next epoch, is bound and commanded', async () => {
    await agent.stop();
    stage.renewSite(SITE);
    const enrol = ['agent', 'enrol', join(stage.root, 'second.token'), '--config', stage.agentConfig(SITE)];
    expect(await said(enrol)).toMatchObject({ epoch: 2, how: 'first' });
    agent = await stage.startSite(SITE);
    await until(async () => (await identity())?.instance !== undefined, 'the second token is bound');
    await until(async () => (await stage.registry.reports([SITE])).get(SITE)?.report.epoch === 2, 'it reported');
    const label = await stage.begin({ version: '2.1.0' });
    // What the old agent refused is still owed: it is carried to the new one first, within a sweep or two.
    const status = await stage.sealed(label, 200_000).catch(async (error: unknown) => {
      console.error(JSON.stringify(await stage.rollout(label)), JSON.stringify(await stage.registry.debts()));
      throw error;
    });
    expect(status.outcome).toBe('promoted');
    expect(await stage.registry.debts({ site: SITE })).toEqual([]);
    expect((await stage.verified('relay-2.1.0-1')).ok).toBe(true);
  }, 300_000);
});
