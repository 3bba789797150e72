/** After the confirmation required checks go on for `watchFor`, and still undo (design §5 rule 7). */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
let elapsed = 0;
let wall = 0;
const clock = { now: () => Date.now() + wall, elapsed: () => performance.now() + elapsed, bootId: () => 'boot' };
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const state = async (agent: Agent) => (await agent.report()).streams['edge-proxy']?.state;

beforeEach(() => {
  [elapsed, wall] = [0, 0];
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.write('weather', 'healthy');
});
afterEach(() => site.clear());

const quarantined = async (agent: Agent) => (await agent.report()).quarantined.map(({ version }) => version).sort();
const calm = () => writeFileSync(site.path('weather'), 'healthy');
/** What is live is this, and all of its checks are healthy. */
async function seenHealthy(agent: Agent, version: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const { live, checks = [] } = (await agent.report()).streams['edge-proxy'] ?? {};
    if (live?.version === version && checks.length > 0 && checks.every(({ healthy }) => healthy)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${version} was not seen healthy`);
}
const storm = () => writeFileSync(site.path('weather'), 'storm');
const check = (need = 'required') => ({
  ...{ name: 'weather', exec: ['grep', '-q', 'healthy', site.path('weather')] },
  ...{ every: '30ms', failures: 2, need },
});
const release = (version: string, change: Record<string, unknown> = {}) =>
  site.publish(directoryRelease(site, version, { checks: [check()], watchFor: '1h', ...change }), {
    'files/page': `healthy ${version}`,
  });

async function confirmed(agent: Agent, version: string, generation = 1, change: Record<string, unknown> = {}) {
  const command = site.command(release(version, change), { generation });
  expect(await carryOut(agent, site, command)).toMatchObject({ result: 'confirmed' });
  return command;
}
const reverted = (agent: Agent) => until(() => agent.history(50).findLast(({ kind }) => kind === 'reverted'));

describe('a confirmed release', () => {
  it('[A32] [A58] is undone when a required check fails within watchFor, told once, with its result final', async () => {
    const agent = await site.start({ clock });
    const command = await confirmed(agent, '1.0.0');
    storm();
    const event = await reverted(agent);
    expect(page()).toBe('healthy original');
    expect(event).toMatchObject({
      commandId: command.id,
      detail: { cause: 'check', reason: { code: 'CHECK_FAILED' } },
      result: { commandId: command.id, result: 'reverted', cause: 'check', changed: false },
    });
    expect(event.detail['reason']).toMatchObject({
      detail: expect.stringContaining('after it was confirmed') as string,
    });
    const settled = await agent.door.observe(command.id, AbortSignal.timeout(5_000), () => undefined);
    expect(resultOf(settled)).toMatchObject({ result: 'confirmed' });
    expect((await agent.report()).quarantined).toMatchObject([{ version: '1.0.0', code: 'CHECK_FAILED' }]);
    expect(agent.history(50).filter(({ kind }) => kind === 'reverted')).toHaveLength(1);
  });

  it('is watched on after a restart of the agent, and left alone once watchFor is over', async () => {
    const first = await site.start({ clock });
    await confirmed(first, '1.0.0');
    await first.stop();
    elapsed += 3_599_000;
    const second = await site.start({ clock });
    storm();
    await reverted(second);
    expect(page()).toBe('healthy original');
    await second.stop();
    writeFileSync(site.path('weather'), 'healthy');

    const third = await site.start({ clock });
    await confirmed(third, '2.0.0', 2);
    await third.stop();
    elapsed += 3_601_000;
    const fourth = await site.start({ clock });
    storm();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([await state(fourth), page()]).toEqual(['confirmed', 'healthy 2.0.0']);
  });

  it('is watched on beside wanted checks, which undo nothing', async () => {
    const agent = await site.start({ clock });
    const always = { name: 'up', exec: ['true'], every: '30ms' };
    await confirmed(agent, '1.0.0', 1, { checks: [always, check('wanted')] });
    storm();
    const sick = async () => (await agent.report()).streams['edge-proxy']?.checks.find((one) => one.name === 'weather');
    for (let tries = 0; (await sick())?.healthy !== false && tries < 100; tries += 1)
      await new Promise((r) => setTimeout(r, 20));
    expect([(await sick())?.healthy, page()]).toEqual([false, 'healthy 1.0.0']);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await state(agent)).toBe('confirmed');
  });

  it('gives way to the next command at once; what that is undone to is watched on', async () => {
    const agent = await site.start({ clock });
    await confirmed(agent, '1.0.0');
    await confirmed(agent, '2.0.0', 2);
    const bad = release('3.0.0', {
      checks: [check(), { name: 'never', exec: ['false'], every: '30ms', failures: 1 }],
      alreadySick: 'proceed',
    });
    expect(await carryOut(agent, site, site.command(bad, { generation: 3 }))).toMatchObject({ result: 'reverted' });
    expect(page()).toBe('healthy 2.0.0');
    await seenHealthy(agent, '2.0.0');
    storm();
    await until(() => page() === 'healthy 1.0.0');
    calm();
    await seenHealthy(agent, '1.0.0');
    storm();
    await until(() => page() === 'healthy original');
    expect(await quarantined(agent)).toEqual(['1.0.0', '2.0.0', '3.0.0']);
  });

  it('[A32] tells once that a required check cannot be judged any more, and that it can again; it undoes nothing', async () => {
    const agent = await site.start({ clock });
    const exec = ['sh', '-c', `[ ! -e ${site.path('hangs')} ] || sleep 5`];
    const checks = [{ name: 'weather', exec, every: '30ms', timeout: '60ms', failures: 2 }];
    await confirmed(agent, '1.0.0', 1, { checks });
    const told = () => agent.history(100).filter(({ kind }) => kind === 'health');
    expect(told()).toEqual([]);
    site.write('hangs', '');
    await until(() => told().length === 1);
    expect(told()).toMatchObject([
      { stream: 'edge-proxy', detail: { check: 'weather', need: 'required', healthy: false, inconclusive: true } },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect([told().length, page(), await state(agent)]).toEqual([1, 'healthy 1.0.0', 'confirmed']);
    // Told at most once a minute: one that flaps would fill the journal.
    rmSync(site.path('hangs'));
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(told()).toHaveLength(1);
    wall += 60_000;
    await until(() => told().length === 2);
    expect(told()[1]?.detail).toMatchObject({ check: 'weather', healthy: true });
    expect(told()[1]?.detail).not.toHaveProperty('inconclusive');
  });

  it('can be undone by a person, and stops with the agent', async () => {
    const agent = await site.start({ clock });
    await confirmed(agent, '1.0.0');
    agent.revert('edge-proxy', { by: 'kari', reason: 'sparks' });
    expect(await reverted(agent)).toMatchObject({ detail: { cause: 'person', by: 'kari' } });
    await confirmed(agent, '2.0.0', 2);
    await agent.stop();
  });
});

describe('what an undo went back to', () => {
  const failed = (agent: Agent) =>
    agent.history(100).filter(({ kind, detail }) => kind === 'health' && detail['wentBackTo'] !== undefined);

  it('[A32] is not undone in its turn for the same outage: that is told, over a restart too', async () => {
    const first = await site.start({ clock });
    await confirmed(first, '1.0.0');
    await confirmed(first, '2.0.0', 2);
    await confirmed(first, '3.0.0', 3);
    storm();
    await until(() => failed(first).length === 1);
    expect(failed(first)).toMatchObject([
      { stream: 'edge-proxy', detail: { check: 'weather', need: 'required', healthy: false, wentBackTo: '2.0.0' } },
    ]);
    await new Promise((resolve) => setTimeout(resolve, 400));
    await first.stop();
    const agent = await site.start({ clock });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect([page(), await quarantined(agent), failed(agent).length]).toEqual(['healthy 2.0.0', ['3.0.0'], 1]);
    // Well again, it is watched as any other: what fails it then is news.
    calm();
    await until(() => failed(agent).length === 2);
    expect(failed(agent)[1]).toMatchObject({ detail: { check: 'weather', healthy: true, wentBackTo: '2.0.0' } });
    storm();
    await until(() => page() === 'healthy 1.0.0');
    expect(await quarantined(agent)).toEqual(['2.0.0', '3.0.0']);
  });

  it('is not undone either where a command or a person had asked for the undo', async () => {
    const agent = await site.start({ clock });
    await confirmed(agent, '1.0.0');
    await confirmed(agent, '2.0.0', 2);
    const three = await confirmed(agent, '3.0.0', 3, { watchFor: '0s' });
    storm();
    const revert = site.command(
      { stream: 'edge-proxy', version: '3.0.0', digest: three.digest },
      { verb: 'revert', generation: 4 },
    );
    expect(await carryOut(agent, site, revert)).toMatchObject({ result: 'reverted', changed: true });
    await until(() => failed(agent).length === 1);
    agent.revert('edge-proxy', { by: 'kari', reason: 'sparks' });
    await until(() => failed(agent).length === 2);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([page(), await quarantined(agent)]).toEqual(['healthy 1.0.0', ['2.0.0']]);
  });
});
