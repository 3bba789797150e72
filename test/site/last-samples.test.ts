/** What reports and metrics show of checks: only of what is live, and never as if it were sampled still. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StreamReport } from '../../policies/model/report.js';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
let elapsed = 0;
const clock = { now: Date.now, elapsed: () => performance.now() + elapsed, bootId: () => 'boot' };

beforeEach(() => {
  elapsed = 0;
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.write('weather', 'healthy');
});
afterEach(() => site.clear());

const checksOf = async (agent: Agent): Promise<StreamReport['checks']> =>
  (await agent.report()).streams['edge-proxy']?.checks ?? [];
const metricsOf = async (agent: Agent) =>
  (await agent.metricsText()).split('\n').filter((line) => line.startsWith('foothold_check_'));

const weather = { name: 'weather', exec: ['grep', '-q', 'healthy', '{{weather}}'], every: '30ms', failures: 2 };
const release = (version: string, change: Record<string, unknown> = {}) => {
  const checks = [{ ...weather, exec: ['grep', '-q', 'healthy', site.path('weather')] }];
  return site.publish(directoryRelease(site, version, { checks, watchFor: '1h', ...change }), {
    'files/page': `healthy ${version}`,
  });
};
const named = (name: string, result: boolean) => ({
  ...{ name, exec: [String(result)], every: '30ms', failures: 2 },
});
async function bring(agent: Agent, version: string, generation: number, change: Record<string, unknown> = {}) {
  return (await carryOut(agent, site, site.command(release(version, change), { generation }))).result;
}
const reverted = (agent: Agent) => until(() => agent.history(50).findLast(({ kind }) => kind === 'reverted'));

describe('samples of a release', () => {
  it('that is watched are told as they are, with no time', async () => {
    const agent = await site.start({ clock });
    expect(await bring(agent, '1.0.0', 1)).toBe('confirmed');
    const detail = expect.any(String) as string;
    expect(await checksOf(agent)).toEqual([{ name: 'weather', need: 'required', healthy: true, detail }]);
    expect(await metricsOf(agent)).toHaveLength(2);
  });

  it('that was undone on trial are gone with it', async () => {
    const agent = await site.start({ clock });
    const checks = [named('never', false)];
    expect(await bring(agent, '1.0.0', 1, { checks, alreadySick: 'proceed' })).toBe('reverted');
    expect([await checksOf(agent), await metricsOf(agent)]).toEqual([[], []]);
  });

  it('that was undone after its confirmation are gone, and what it went back to has its own', async () => {
    const agent = await site.start({ clock });
    await bring(agent, '1.0.0', 1, { checks: [named('before', true)] });
    const checks = [named('other', true), { ...named('extra', true), need: 'wanted' }];
    const two = release('2.0.0', { checks });
    expect(await carryOut(agent, site, site.command(two, { generation: 2 }))).toMatchObject({ result: 'confirmed' });
    expect((await checksOf(agent)).map(({ name }) => name)).toEqual(['other', 'extra']);
    const undo = site.command(two, { verb: 'revert', generation: 3 });
    expect(await carryOut(agent, site, undo)).toMatchObject({ result: 'reverted', changed: true });
    expect((await checksOf(agent)).filter(({ name }) => name !== 'before')).toEqual([]);
    for (let tries = 0; tries < 100 && (await checksOf(agent)).length === 0; tries++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await checksOf(agent)).toMatchObject([{ name: 'before', healthy: true }]);
  });

  it('whose watch found it sick and had nothing to go back to are gone once it is undone', async () => {
    const agent = await site.start({ clock });
    await bring(agent, '1.0.0', 1);
    writeFileSync(site.path('weather'), 'storm');
    await reverted(agent);
    expect([await checksOf(agent), await metricsOf(agent)]).toEqual([[], []]);
  });

  it('whose watch is over keep the time of the last one in the report, and leave the metrics', async () => {
    const agent = await site.start({ clock });
    const begun = Date.now();
    expect(await bring(agent, '1.0.0', 1, { watchFor: '0s' })).toBe('confirmed');
    const [one, ...others] = await checksOf(agent);
    expect([one, others]).toMatchObject([{ name: 'weather', healthy: true }, []]);
    expect(one?.sampledAt).toBeGreaterThanOrEqual(begun);
    expect(one?.sampledAt).toBeLessThanOrEqual(Date.now());
    expect(await metricsOf(agent)).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(await checksOf(agent)).toEqual([one]);
  });

  it('lose their freshness with the end of watchFor, and nothing that was never sampled is told of then', async () => {
    const agent = await site.start({ clock });
    const slow = { ...named('slow', true), exec: ['sleep', '30'], timeout: '20s', every: '30s', need: 'wanted' };
    const checks = [named('up', true), slow];
    await bring(agent, '1.0.0', 1, { checks });
    expect((await checksOf(agent)).map(({ name, sampledAt }) => [name, sampledAt])).toEqual([
      ['up', undefined],
      ['slow', undefined],
    ]);
    elapsed += 3_601_000;
    expect(await checksOf(agent)).toMatchObject([
      { name: 'up', healthy: true, sampledAt: expect.any(Number) as number },
    ]);
    expect(await metricsOf(agent)).toEqual([]);
  });
});
