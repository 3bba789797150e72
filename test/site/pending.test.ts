/**
 * A change that waits (for a depot that never answers, for an echo, in its `before`) with a confirmed release live beside it:
 * the real agent goes on watching that release, and a person at the site is heard at once.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Command } from '../../policies/model/command.js';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
let silent: Server;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const kari = { by: 'kari', reason: 'sparks' };

beforeEach(async () => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.write('weather', 'healthy');
  // Connections are taken, and nothing is ever said.
  silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
});
afterEach(async () => {
  await site.clear();
  silent.close();
});

const silentDepot = () => `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
const storm = () => writeFileSync(site.path('weather'), 'storm');
const weather = () => ({
  ...{ name: 'weather', exec: ['grep', '-q', 'healthy', site.path('weather')] },
  ...{ every: '30ms', failures: 2 },
});
const release = (version: string, change: Record<string, unknown> = {}) =>
  site.publish(directoryRelease(site, version, { checks: [weather()], watchFor: '1h', ...change }), {
    'files/page': `healthy ${version}`,
  });
const always = [{ name: 'up', exec: ['true'], every: '30ms' }];
const stateOf = async (agent: Agent) => (await agent.report()).streams['edge-proxy']?.state;
const settled = async (agent: Agent, command: Command) =>
  resultOf(await agent.door.observe(command.id, AbortSignal.timeout(10_000), () => undefined));
const kinds = (agent: Agent) => agent.history(100).map(({ kind }) => kind);

async function reached(agent: Agent, state: string): Promise<void> {
  for (let tries = 0; (await stateOf(agent)) !== state; tries += 1) {
    if (tries > 500) throw new Error(`expected ${state}, is ${await stateOf(agent)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** 1.0.0 confirmed and live; 2.0.0 accepted, with a depot that never answers. */
async function fetching(change: Record<string, unknown> = {}): Promise<{ agent: Agent; command: Command }> {
  const first = await site.start();
  expect(await carryOut(first, site, site.command(release('1.0.0')))).toMatchObject({ result: 'confirmed' });
  await first.stop();
  const agent = await site.start({ depot: silentDepot() });
  const command = site.command(release('2.0.0', change), { generation: 2 });
  await agent.door.accept(site.sign(command));
  await reached(agent, 'accepted');
  return { agent, command };
}

/** 1.0.0 confirmed and live; 2.0.0 staged, waiting for an echo that never comes. */
async function waiting(): Promise<{ agent: Agent; command: Command }> {
  const agent = await site.start({ uplink: [`${silentDepot()}echo`] });
  expect(await carryOut(agent, site, site.command(release('1.0.0')))).toMatchObject({ result: 'confirmed' });
  const confirm = { within: '5s', healthyFor: '100ms', uplink: 'required' };
  const command = site.command(release('2.0.0', { confirm }), { generation: 2 });
  await agent.door.accept(site.sign(command));
  await reached(agent, 'staged');
  return { agent, command };
}

const WAITS = [
  ['is being fetched from a depot that never answers', fetching],
  ['is staged and waits for an echo', waiting],
] as const;

describe('[A32] what was confirmed, beside a change that', () => {
  it.each(WAITS)('%s is undone when its check fails, and the change is rejected', async (_where, prepare) => {
    const { agent, command } = await prepare();
    storm();
    await until(() => page() === 'healthy original');
    expect(await settled(agent, command)).toMatchObject({
      ...{ result: 'rejected', changed: false, live: { version: '1.0.0' } },
      reason: { code: 'ALREADY_SICK', detail: expect.stringContaining('1.0.0 was live') as string },
    });
    await reached(agent, 'reverted');
    expect(kinds(agent).slice(-3)).toEqual(['rejected', 'reverting', 'reverted']);
    expect((await agent.report()).quarantined).toMatchObject([{ version: '1.0.0', code: 'CHECK_FAILED' }]);
    // Nothing is remembered of the change: its release is taken at the next try.
    writeFileSync(site.path('weather'), 'healthy');
    await agent.stop();
    const again = await site.start();
    const more = site.command(release('3.0.0'), { generation: 3 });
    expect(await carryOut(again, site, more)).toMatchObject({ result: 'confirmed', live: { version: '3.0.0' } });
  });

  it('runs its `before` is undone: `before` is killed, and `after` puts back what it did', async () => {
    const agent = await site.start();
    expect(await carryOut(agent, site, site.command(release('1.0.0')))).toMatchObject({ result: 'confirmed' });
    const before = { exec: ['sh', '-c', `touch ${site.path('drained')}; sleep 60`], timeout: '2m' };
    const after = { exec: ['rm', '-f', site.path('drained')], timeout: '5s' };
    const command = site.command(release('2.0.0', { before, after }), { generation: 2 });
    await agent.door.accept(site.sign(command));
    await until(() => existsSync(site.path('drained')));
    storm();
    expect(await settled(agent, command)).toMatchObject({ result: 'rejected', reason: { code: 'ALREADY_SICK' } });
    await until(() => page() === 'healthy original');
    expect(existsSync(site.path('drained'))).toBe(false);
  });

  it('is switched at last is no longer watched for itself: the new release decides', async () => {
    const { agent, command } = await waiting();
    await agent.stop();
    const again = await site.start({ uplink: [] });
    // Without declared endpoints it is rejected; the next one needs none, and looks at other things.
    expect(await settled(again, command)).toMatchObject({ reason: { code: 'UPLINK_UNDECLARED' } });
    const slow = ['sh', '-c', `touch ${site.path('began')}; sleep 0.4`];
    const next = site.command(release('3.0.0', { checks: always, after: { exec: slow, timeout: '5s' } }), {
      generation: 3,
    });
    await again.door.accept(site.sign(next));
    await until(() => existsSync(site.path('began')));
    storm();
    expect(await settled(again, next)).toMatchObject({ result: 'confirmed', live: { version: '3.0.0' } });
    expect(page()).toBe('healthy 3.0.0');
  });
});

describe('a person at the site, beside a change that', () => {
  it.each(WAITS)('%s undoes what is live, once', async (_where, prepare) => {
    const { agent, command } = await prepare();
    agent.revert('edge-proxy', kari);
    expect(await settled(agent, command)).toMatchObject({
      ...{ result: 'rejected', changed: false },
      reason: { code: 'PERSON', detail: 'sparks' },
    });
    await until(() => page() === 'healthy original');
    await reached(agent, 'reverted');
    expect(agent.history(100).filter(({ kind }) => kind === 'reverted')).toMatchObject([
      { detail: { cause: 'person', by: 'kari' } },
    ]);
  });

  it.each(WAITS)('%s ends that change with a hold, and what is live stays', async (_where, prepare) => {
    const { agent, command } = await prepare();
    agent.hold({ ...kari, stream: 'another' });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(['accepted', 'staged']).toContain(await stateOf(agent));
    agent.hold(kari);
    expect(await settled(agent, command)).toMatchObject({ result: 'rejected', reason: { code: 'HELD' } });
    expect(page()).toBe('healthy 1.0.0');
  });

  it('is all there ever was is told how to stop it', async () => {
    const agent = await site.start({ depot: silentDepot() });
    await agent.door.accept(site.sign(site.command(release('1.0.0'))));
    await reached(agent, 'accepted');
    expect(() => agent.revert('edge-proxy', kari)).toThrow(/nothing to go back to.*foothold agent hold edge-proxy/);
  });

  it('waits does not go back one further than was asked, if the check undoes it first', async () => {
    const agent = await site.start();
    expect(await carryOut(agent, site, site.command(release('1.0.0')))).toMatchObject({ result: 'confirmed' });
    const two = site.command(release('2.0.0'), { generation: 2 });
    expect(await carryOut(agent, site, two)).toMatchObject({ result: 'confirmed' });
    const before = { exec: ['sh', '-c', `touch ${site.path('begun')}; sleep 60`], timeout: '2m' };
    const after = { exec: ['sh', '-c', `touch ${site.path('ending')}; sleep 0.5`], timeout: '5s' };
    const three = site.command(release('3.0.0', { before, after }), { generation: 3 });
    await agent.door.accept(site.sign(three));
    await until(() => existsSync(site.path('begun')));
    storm();
    // The check has given its verdict; what `before` did is being put back before anything is undone.
    await until(() => existsSync(site.path('ending')));
    writeFileSync(site.path('weather'), 'healthy');
    agent.revert('edge-proxy', kari);
    await until(() => page() === 'healthy 1.0.0');
    await reached(agent, 'reverted');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(page()).toBe('healthy 1.0.0');
    expect(agent.history(100).filter(({ kind }) => kind === 'reverted')).toHaveLength(1);
  });
});
