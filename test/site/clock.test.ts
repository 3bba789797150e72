/** Rows C1 to C3, C5 and C7 of docs/faults.md: the real agent while the wall clock of its machine is set. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import type { Clock } from '../../site/clock.js';
import type { Command } from '../../policies/model/command.js';
import { carryOut, directoryRelease, TestSite, type Published } from './test-site.js';

const [SECOND, HOUR, DAY] = [1_000, 3_600_000, 86_400_000];
let site: TestSite;
let off: number;
let boot: { id: string; elapsed: number };
const clock: Clock = {
  now: () => Math.round(Date.now() + off),
  elapsed: () => performance.now() - boot.elapsed,
  bootId: () => boot.id,
};
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const liveOf = async (agent: Agent) => (await agent.report()).streams['edge-proxy']?.live?.version;
/** The wall clock of the site shows `ms` now. */
const setTo = (ms: number) => (off = ms - Date.now());

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  off = 0;
  boot = { id: 'boot-1', elapsed: 0 };
});
afterEach(() => site.clear());

const healthy = (version: string, change: Record<string, unknown> = {}) =>
  site.publish(directoryRelease(site, version, change), { 'files/page': `healthy ${version}` });

const WITHIN_MS = 300;
/** Neither healthy nor sick before its deadline. */
const undecided = (version: string) =>
  healthy(version, {
    checks: [{ name: 'never', exec: ['false'], every: '50ms', failures: 1_000 }],
    ...{ alreadySick: 'proceed', confirm: { within: `${WITHIN_MS}ms`, healthyFor: '0s' } },
  });

/** Signed by a centre whose clock shows the time of this machine. */
const command = (of: Published, generation: number, change: Partial<Command> = {}) =>
  site.command(of, { generation, ...change });

const steps: [string, step: () => void][] = [
  ['back by ten days', () => (off -= 10 * DAY)],
  ['forward by ten days', () => (off += 10 * DAY)],
  ['to 1970', () => setTo(5_000)],
  ['to the last second that 32 bits hold', () => setTo(Date.parse('2038-01-19T03:14:07.800Z'))],
];

describe('a trial during which the wall clock is set', () => {
  it.each(steps)('C1, C2 [B17] %s: ends at its deadline', async (_, step) => {
    let watchingAt = 0;
    const agent = await site.start({
      clock,
      onStep: (at) => {
        if (at !== 'watching') return;
        watchingAt = performance.now();
        step();
      },
    });
    const result = await carryOut(agent, site, command(undecided('1.0.0'), 1));
    const took = performance.now() - watchingAt;
    expect(result).toMatchObject({ result: 'reverted', cause: 'deadline', reason: { code: 'DEADLINE_PASSED' } });
    expect(took).toBeGreaterThanOrEqual(WITHIN_MS - 50);
    expect(took).toBeLessThan(WITHIN_MS + 2 * SECOND);
    expect(page()).toBe('healthy original');
  });

  it.each(steps)('C1 %s: is confirmed if it is healthy', async (_, step) => {
    const agent = await site.start({ clock, onStep: (at) => void (at === 'watching' && step()) });
    const result = await carryOut(agent, site, command(healthy('1.0.0'), 1));
    expect(result).toMatchObject({ result: 'confirmed' });
    expect(page()).toBe('healthy 1.0.0');
  });
});

describe('C3: a wall clock that is set forward over every expiry', () => {
  it('takes nothing from what is live, and trust from no key: what is new waits for a clock, an undo does not', async () => {
    let agent = await site.start({ clock });
    const [one, two] = [healthy('1.0.0', { watchFor: '1h' }), healthy('2.0.0')];
    expect(await carryOut(agent, site, command(one, 1))).toMatchObject({ result: 'confirmed' });
    off = 30 * 365 * DAY;
    for (const again of [false, true]) {
      if (again) {
        await agent.stop();
        agent = await site.start({ clock });
      }
      expect(await liveOf(agent)).toBe('1.0.0');
      const refused = await carryOut(agent, site, command(two, again ? 4 : 3));
      expect(refused).toMatchObject({ result: 'rejected', changed: false, reason: { code: 'SWITCH_BY_PASSED' } });
      expect(page()).toBe('healthy 1.0.0');
    }
    expect((await agent.report()).quarantined).toEqual([]);
    const undone = await carryOut(agent, site, command(one, 5, { verb: 'revert' }));
    expect(undone).toMatchObject({ result: 'reverted', changed: true });
    expect(page()).toBe('healthy original');
    off = 0;
    expect(await carryOut(agent, site, command(two, 7))).toMatchObject({ result: 'confirmed' });
  });
});

describe('C5: a machine without a battery, that comes up in 1970', () => {
  it('goes on with what is confirmed, and takes no command older than the newest it has heard of', async () => {
    const before = await site.start({ clock });
    const [one, two] = [healthy('1.0.0'), healthy('2.0.0')];
    expect(await carryOut(before, site, command(one, 1))).toMatchObject({ result: 'confirmed' });
    await before.stop();
    boot = { id: 'boot-2', elapsed: performance.now() };
    setTo(4_000);
    const agent = await site.start({ clock });
    expect(await liveOf(agent)).toBe('1.0.0');
    expect(page()).toBe('healthy 1.0.0');
    const issuedAt = Date.now() - 2 * HOUR;
    const late = await carryOut(agent, site, command(two, 3, { issuedAt, switchBy: issuedAt + HOUR }));
    expect(late).toMatchObject({ result: 'rejected', reason: { code: 'SWITCH_BY_PASSED' } });
    expect(await carryOut(agent, site, command(two, 5))).toMatchObject({ result: 'confirmed' });
  });

  it('says when the centre was last in contact as its clock showed it last, not as one that was ahead did', async () => {
    const agent = await site.start({ clock });
    agent.door.contacted(Date.now() + 10 * DAY);
    const now = Date.now();
    agent.door.contacted(now);
    expect((await agent.status()).lastContact).toBe(now);
    await agent.stop();
    expect((await (await site.start({ clock })).status()).lastContact).toBe(now);
  });
});

describe('C7: instants at which clocks have been wrong', () => {
  const zone = process.env['TZ'];
  afterEach(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });

  const nothing = () => undefined;
  const instants: [string, at: string, step: () => void][] = [
    ['a leap second: the last one of the year is there twice', '2026-12-31T23:59:59.900Z', () => (off -= SECOND)],
    ['Oslo sets its clocks forward', '2027-03-28T00:59:59.900Z', nothing],
    ['Oslo sets its clocks back', '2026-10-25T00:59:59.900Z', nothing],
    ['seconds need more than 31 bits', '2038-01-19T03:14:07.900Z', nothing],
  ];
  it.each(instants)('%s', async (_, at, step) => {
    process.env['TZ'] = 'Europe/Oslo';
    setTo(Date.parse(at));
    const agent = await site.start({ clock, onStep: (name) => void (name === 'confirming' && step()) });
    const issue = (of: Published, generation: number, change: Partial<Command> = {}) =>
      command(of, generation, { issuedAt: clock.now(), switchBy: clock.now() + 20 * SECOND, ...change });
    const one = healthy('1.0.0');
    const confirmed = await carryOut(agent, site, issue(one, 1));
    expect(confirmed).toMatchObject({ result: 'confirmed' });
    expect(Math.abs(confirmed.at - Date.parse(at))).toBeLessThan(5 * SECOND);
    expect(await carryOut(agent, site, issue(undecided('2.0.0'), 3))).toMatchObject({ cause: 'deadline' });
    await agent.stop();
    const next = await site.start({ clock });
    expect(next.history(100).find(({ kind }) => kind === 'confirmed')?.result?.at).toBe(confirmed.at);
    expect((await next.report()).at).toBeGreaterThanOrEqual(Date.parse(at) - SECOND);
    expect(page()).toBe('healthy 1.0.0');
  });
});
