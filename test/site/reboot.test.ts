/**
 * What has passed at a site before a reboot is not forgotten, whatever its wall clock comes up with (design §5 rule 5): the real
 * agent on a machine whose power is cut, and that has no battery.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Command } from '../../policies/model/command.js';
import { UNDO_AGAIN_AFTER } from '../../policies/site/decide-undo-again.js';
import type { Agent } from '../../site/agent.js';
import type { Clock } from '../../site/clock.js';
import { carryOut, directoryRelease, inside, quiet, resultOf, TestSite, until } from './test-site.js';

const [SECOND, MINUTE, DAY] = [1_000, 60_000, 86_400_000];
const MARKS_EVERY_MS = 20;
let site: TestSite;
let off: number;
let elapsed: number;
let boot: number;
const clock: Clock = {
  now: () => Math.round(Date.now() + off),
  elapsed: () => performance.now() + elapsed,
  bootId: () => `boot-${boot}`,
};
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.write('weather', 'healthy');
  [off, elapsed, boot] = [0, 0, 1];
});
afterEach(() => site.clear());

const start = (change = {}) => site.start({ clock, marksEveryMs: MARKS_EVERY_MS, ...change });
const stateOf = async (agent: Agent) => (await agent.report()).streams['edge-proxy']?.state;
const settled = async (agent: Agent, { id }: Command) =>
  resultOf(await agent.door.observe(id, AbortSignal.timeout(10_000), () => undefined));

/** Another boot: nothing has elapsed in it, and its wall clock shows the first hour of 1970. */
function rebootIn1970(): void {
  boot += 1;
  elapsed = -performance.now();
  off = 4_000 - Date.now();
}

/** The data directory as it is while the agent runs: nothing of its end is in it. */
async function powerCut(agent: Agent): Promise<void> {
  await pause(10 * MARKS_EVERY_MS);
  cpSync(site.data, site.path('cut'), { recursive: true, verbatimSymlinks: true });
  await agent.stop();
  rmSync(site.data, { recursive: true });
  cpSync(site.path('cut'), site.data, { recursive: true, verbatimSymlinks: true });
  rmSync(site.path('cut'), { recursive: true });
  rebootIn1970();
}

const weather = () => ({
  ...{ name: 'weather', exec: ['grep', '-q', 'healthy', site.path('weather')] },
  ...{ every: '30ms', failures: 2 },
});
const publish = (version: string, change: Record<string, unknown>) =>
  site.publish(directoryRelease(site, version, change), { 'files/page': `healthy ${version}` });

describe('a trial that had used most of its time', () => {
  /** Neither healthy nor sick before its deadline, in ten minutes; eight of them have passed. */
  async function watching(): Promise<{ agent: Agent; command: Command }> {
    const agent = await start();
    const checks = [{ name: 'never', exec: ['false'], every: '50ms', failures: 100_000 }];
    const confirm = { within: '10m', healthyFor: '0s' };
    const command = site.command(publish('1.0.0', { checks, alreadySick: 'proceed', confirm }));
    await agent.door.accept(site.sign(command));
    await until(() => agent.history(50).some(({ kind }) => kind === 'watching'));
    elapsed += 8 * MINUTE;
    return { agent, command };
  }
  async function endsAfterTheRest(agent: Agent, command: Command): Promise<void> {
    elapsed += 1.5 * MINUTE;
    await pause(300);
    expect([await stateOf(agent), page()]).toEqual(['watching', 'healthy 1.0.0']);
    elapsed += MINUTE / 2;
    const result = await settled(agent, command);
    expect(result).toMatchObject({ result: 'reverted', cause: 'deadline', reason: { code: 'DEADLINE_PASSED' } });
    expect(page()).toBe('healthy original');
  }

  it('[B17] [A32] C5: a power cut, and a clock in 1970: is undone after the rest of it', async () => {
    const { agent, command } = await watching();
    const switchedAt = Date.now();
    await powerCut(agent);
    const again = await start();
    expect(await stateOf(again)).toBe('watching');
    await endsAfterTheRest(again, command);
    // The mark is not the switch: what is told of it stays what it was.
    const told = (await settled(again, command)).switchedAt ?? 0;
    expect(Math.abs(told - switchedAt)).toBeLessThan(10 * SECOND);
  });

  it('[B17] C5: an orderly reboot costs it nothing, however seldom its mark is moved', async () => {
    const { agent, command } = await watching();
    await agent.stop();
    rebootIn1970();
    await endsAfterTheRest(await start({ marksEveryMs: DAY }), command);
  });

  it('[B17] C1: a clock that is set ten days ahead later in that boot moves nothing; the reboot counts as one restart', async () => {
    const { agent, command } = await watching();
    await powerCut(agent);
    const again = await start();
    off = 10 * DAY;
    await again.stop();
    const third = await start();
    expect(await stateOf(third)).toBe('watching');
    await endsAfterTheRest(third, command);
  });

  it('[A23] is undone at the third start after two reboots, before its time is over', async () => {
    const { agent, command } = await watching();
    await powerCut(agent);
    await powerCut(await start());
    await powerCut(await start());
    expect(await settled(await start(), command)).toMatchObject({ result: 'reverted', reason: { code: 'RESTARTS' } });
  });
});

describe('a command that had waited for most of its time', () => {
  /** Staged, and waiting for an echo that never comes; given an hour, of which 48 minutes have passed. */
  it.each([
    ['a power cut', async (agent: Agent) => powerCut(agent)],
    ['an orderly reboot', async (agent: Agent) => agent.stop().then(rebootIn1970)],
  ])('[B17] C5: %s, and a clock in 1970: is refused after the rest of it', async (_how, reboot) => {
    const uplink = { uplink: ['http://127.0.0.1:1/echo'] };
    const agent = await start(uplink);
    const confirm = { within: '5s', healthyFor: '100ms', uplink: 'required' };
    const issuedAt = Date.now();
    const command = site.command(publish('1.0.0', { confirm }), { issuedAt, switchBy: issuedAt + 60 * MINUTE });
    await agent.door.accept(site.sign(command));
    await until(() => agent.history(50).some(({ kind }) => kind === 'staged'));
    elapsed += 48 * MINUTE;
    await reboot(agent);
    const again = await start(uplink);
    elapsed += 11 * MINUTE;
    await pause(2_500);
    expect(await stateOf(again)).toBe('staged');
    elapsed += MINUTE;
    expect(await settled(again, command)).toMatchObject({ result: 'rejected', reason: { code: 'SWITCH_BY_PASSED' } });
    expect(page()).toBe('healthy original');
  });
});

describe('what is confirmed, and had been watched for most of its time', () => {
  const undone = (agent: Agent) => agent.history(50).some(({ kind }) => kind === 'reverted');
  async function confirmed(): Promise<Agent> {
    const agent = await start();
    const command = site.command(publish('1.0.0', { checks: [weather()], watchFor: '1h' }));
    expect(await carryOut(agent, site, command)).toMatchObject({ result: 'confirmed' });
    return agent;
  }
  async function storm(): Promise<void> {
    await pause(200);
    writeFileSync(site.path('weather'), 'storm');
    await pause(400);
  }

  it.each([
    ['is left alone after the rest of it', 13 * MINUTE, false],
    ['is undone before that', 10 * MINUTE, true],
  ])('[B17] C5: a power cut, and a clock in 1970: %s', async (_what, more, isUndone) => {
    const agent = await confirmed();
    elapsed += 48 * MINUTE;
    await powerCut(agent);
    const again = await start();
    elapsed += more;
    await storm();
    expect([undone(again), page()]).toEqual([isUndone, isUndone ? 'healthy original' : 'healthy 1.0.0']);
  });

  it('[B17] C1: a clock that is set ten days ahead later in that boot ends no watch', async () => {
    const agent = await confirmed();
    elapsed += 48 * MINUTE;
    await powerCut(agent);
    const again = await start();
    off = 10 * DAY;
    await again.stop();
    const third = await start();
    elapsed += 10 * MINUTE;
    await storm();
    expect(undone(third)).toBe(true);
  });

  it('[B17] C5: is not watched anew at each reboot once its time is over', async () => {
    const agent = await confirmed();
    elapsed += 61 * MINUTE;
    await powerCut(agent);
    const again = await start();
    await storm();
    expect([undone(again), page()]).toEqual([false, 'healthy 1.0.0']);
  });
});

it('[B17] C5: an undo that is to be made again is due after the rest of its pause', async () => {
  const agent = await start();
  const reload = ['sh', '-c', `[ ! -e ${site.path('broken')} ]`];
  const driver = { type: 'directory', files: './files', target: site.path('live', 'conf'), reload };
  expect(await carryOut(agent, site, site.command(publish('1.0.0', { driver })))).toMatchObject({
    result: 'confirmed',
  });
  site.write('broken', '');
  const two = site.command(publish('2.0.0', { driver }), { generation: 2 });
  expect(await carryOut(agent, site, two)).toMatchObject({ result: 'safe-mode' });
  const pauseMs = UNDO_AGAIN_AFTER[0];
  elapsed += 0.8 * pauseMs;
  await powerCut(agent);
  const again = await start();
  const left = (await again.report()).streams['edge-proxy']?.safeMode?.undoAgainIn ?? 0;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(0.2 * pauseMs);
});

it('C5: a disk that takes no mark disturbs nothing, and is told of once', async () => {
  const told: string[] = [];
  const warn = (_detail: object, message: string) => void told.push(message);
  const agent = await site.open({ clock, marksEveryMs: MARKS_EVERY_MS, log: { ...quiet, warn } });
  await agent.start();
  const command = site.command(publish('1.0.0', { checks: [weather()], watchFor: '1h' }));
  const { store } = inside(agent);
  store.transactSpare = () => {
    throw new Error('no write is taken');
  };
  expect(await carryOut(agent, site, command)).toMatchObject({ result: 'confirmed' });
  elapsed += 30 * MINUTE;
  await pause(10 * MARKS_EVERY_MS);
  writeFileSync(site.path('weather'), 'storm');
  await until(() => page() === 'healthy original');
  await agent.stop();
  expect(told.filter((message) => message.includes('could not be kept'))).toHaveLength(1);
});
