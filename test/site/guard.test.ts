import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callAgent } from '../../site/local/client.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
let bootId = 'boot-1';
let elapsed = 0;
let wall = 0;
const clock = { now: () => Date.now() + wall, elapsed: () => performance.now() + elapsed, bootId: () => bootId };
/** Another boot: its elapsed clock has just begun, and the wall has moved by `ms`. */
const reboot = (ms: number) => {
  bootId += '+';
  elapsed = -performance.now();
  wall += ms;
};
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

beforeEach(() => {
  bootId = 'boot-1';
  elapsed = wall = 0;
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

/** Leaves the site watching a release that stays healthy, with the agent stopped. */
async function stoppedWhileWatching(healthyFor = '30s') {
  const agent = await site.start({ clock });
  const one = site.publish(directoryRelease(site, '1.0.0', { confirm: { within: '1m', healthyFor } }), {
    'files/page': 'healthy 1',
  });
  const command = site.command(one);
  await agent.door.accept(site.sign(command));
  await until(() => agent.history(50).some((event) => event.kind === 'watching'));
  await agent.stop();
  return command;
}
const settled = async (agent: Awaited<ReturnType<TestSite['open']>>, id: string) =>
  resultOf(await agent.door.observe(id, AbortSignal.timeout(10_000), () => undefined));

describe('the guard', () => {
  it('[A23] resumes a watch twice, and undoes at the third restart', async () => {
    const command = await stoppedWhileWatching();
    for (let restart = 1; restart <= 2; restart++) {
      const agent = await site.start({ clock });
      expect((await agent.report()).streams['edge-proxy']?.state).toBe('watching');
      expect(page()).toBe('healthy 1');
      await agent.stop();
    }
    const third = await site.start({ clock });
    expect(page()).toBe('healthy original');
    expect(await settled(third, command.id)).toMatchObject({
      result: 'reverted',
      cause: 'boot',
      reason: { code: 'RESTARTS' },
    });
  });

  it('[A23] counts a reboot as a restart: goes on watching, and undoes at the third of either kind', async () => {
    const command = await stoppedWhileWatching();
    for (const again of [() => reboot(1_000), () => undefined]) {
      again();
      const agent = await site.start({ clock });
      expect((await agent.report()).streams['edge-proxy']?.state).toBe('watching');
      await agent.stop();
    }
    reboot(1_000);
    const third = await site.start({ clock });
    expect(page()).toBe('healthy original');
    expect(await settled(third, command.id)).toMatchObject({ result: 'reverted', reason: { code: 'RESTARTS' } });
  });

  it.each([
    ['a day off', 86_400_000, 'healthy original', { result: 'reverted', reason: { code: 'DEADLINE_PASSED' } }],
    ['a clock that came back in the past', -86_400_000, 'healthy 1', { result: 'confirmed' }],
  ])('[B17] [A32] keeps the deadline across a reboot: %s', async (_, off, live, result) => {
    const command = await stoppedWhileWatching('300ms');
    reboot(off);
    const agent = await site.start({ clock });
    expect(page()).toBe(live);
    expect(await settled(agent, command.id)).toMatchObject(result);
    expect(page()).toBe(live);
  });

  it('[A32] keeps the deadline across a restart, by elapsed time', async () => {
    const command = await stoppedWhileWatching();
    elapsed = 61_000;
    const agent = await site.start({ clock });
    expect(page()).toBe('healthy original');
    expect(await settled(agent, command.id)).toMatchObject({ cause: 'deadline', reason: { code: 'DEADLINE_PASSED' } });
  });

  it('[A32] with the last-known-good gone from disk makes it anew from its blobs', async () => {
    const command = await stoppedWhileWatching();
    for (const name of readdirSync(`${site.data}/releases/edge-proxy`)) {
      if (name.startsWith('adopted-')) rmSync(`${site.data}/releases/edge-proxy/${name}`, { recursive: true });
    }
    reboot(120_000);
    const agent = await site.start({ clock });
    expect(await settled(agent, command.id)).toMatchObject({ result: 'reverted' });
    expect(page()).toBe('healthy original');
  });

  it('[B94] [A32] leaves safe-mode, not a loop, when nothing verified is left on disk', async () => {
    const command = await stoppedWhileWatching();
    rmSync(`${site.data}/blobs`, { recursive: true });
    rmSync(`${site.data}/releases/edge-proxy`, { recursive: true });
    reboot(120_000);
    const agent = await site.start({ clock });
    expect(await settled(agent, command.id)).toMatchObject({ result: 'safe-mode', reason: { code: 'REVERT_FAILED' } });
    await agent.stop();
    const again = await site.start({ clock });
    expect((await again.report()).streams['edge-proxy']?.state).toBe('safe-mode');
  });
});

describe('the local socket', () => {
  it('answers status, adopts, undoes, and says clearly when no agent runs', async () => {
    await expect(callAgent(site.data, 'status', {})).rejects.toMatchObject({ code: 'AGENT_NOT_RUNNING' });
    const agent = await site.start();
    await agent.serveLocal();
    expect(await callAgent(site.data, 'status', {})).toMatchObject({ site: 'osl-01', streams: {}, unacknowledged: 1 });
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const adopted = await callAgent(site.data, 'adopt', { stream: 'edge-proxy', like: { version: '1.0.0' } });
    expect(adopted.version).toMatch(/^0\.0\.0-adopted\+[0-9a-f]{12}$/);
    expect(page()).toBe('healthy original');
    await expect(
      callAgent(site.data, 'adopt', { stream: 'edge-proxy', like: { version: '1.0.0' } }),
    ).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await expect(
      callAgent(site.data, 'revert', { stream: 'edge-proxy', by: 'kari', reason: 'x' }),
    ).rejects.toMatchObject({
      code: 'LKG_MISSING',
    });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    await callAgent(site.data, 'revert', { stream: 'edge-proxy', by: 'kari', reason: 'sparks' });
    await until(() => page() === 'healthy original');
  });
});

describe('a restart late in the watch', () => {
  it('[A32] leaves too little time: the deadline undoes, and says so', async () => {
    const command = await stoppedWhileWatching();
    elapsed += 58_500;
    const agent = await site.start({ clock });
    expect((await agent.report()).streams['edge-proxy']?.state).toBe('watching');
    const result = await settled(agent, command.id);
    expect(result).toMatchObject({ result: 'reverted', cause: 'deadline', reason: { code: 'DEADLINE_PASSED' } });
    expect(result.reason?.detail).toMatch(/not healthy for 30000 ms.*the agent was restarted meanwhile \(1\)/);
    expect(page()).toBe('healthy original');
  });
});
