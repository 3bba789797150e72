/** A person at the site holds it: the real agent, its socket and its disk; no network anywhere. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import type { Clock } from '../../site/clock.js';
import { callAgent } from '../../site/local/client.js';
import { socketPath } from '../../site/local/protocol.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
let wall: number;
let elapsed: number;
let bootId: string;
const clock: Clock = { now: () => wall, elapsed: () => elapsed + performance.now(), bootId: () => bootId };
const HOUR = 3_600_000;
const kari = { by: 'kari', reason: 'work on the mast' };

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  [wall, elapsed, bootId] = [Date.now(), 0, 'boot-1'];
});
afterEach(() => site.clear());

const page = (): string => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const release = (n: number, change: Record<string, unknown> = {}, text = `healthy ${n}`) =>
  site.publish(directoryRelease(site, `${n}.0.0`, change), { 'files/page': text });
const kinds = (agent: Agent): string[] => agent.history(500).map((event) => event.kind);

describe('a held site', () => {
  it('answers a converge with HELD, and nothing is switched; unheld, the next try goes through', async () => {
    const agent = await site.start();
    const one = release(1);
    agent.hold(kari);
    const refused = await carryOut(agent, site, site.command(one));
    expect(refused).toMatchObject({
      ...{ result: 'rejected', changed: false },
      reason: { code: 'HELD', detail: 'held at the site by kari until it is lifted: work on the mast' },
    });
    expect(page()).toBe('healthy original');
    // The same id is answered the same for ever.
    agent.unhold({ by: 'kari', reason: 'done' });
    expect(await carryOut(agent, site, site.command(one))).toEqual(refused);
    expect(await carryOut(agent, site, site.command(one, { try: 2 }))).toMatchObject({ result: 'confirmed' });
    expect(page()).toBe('healthy 1');
    const told = agent.history(500).filter(({ kind }) => kind === 'held' || kind === 'unheld');
    expect(told.map(({ kind, detail }) => [kind, detail])).toEqual([
      ['held', kari],
      ['unheld', { cause: 'person', by: 'kari', reason: 'done' }],
    ]);
  });

  it('of one stream lets the others through', async () => {
    const agent = await site.start();
    agent.hold({ ...kari, stream: 'relay' });
    expect((await agent.report()).holds).toMatchObject([{ stream: 'relay', ...kari }]);
    expect(await carryOut(agent, site, site.command(release(1)))).toMatchObject({ result: 'confirmed' });
  });

  it('is undone all the same, by command and by a person', async () => {
    const agent = await site.start();
    const [one, two] = [release(1), release(2)];
    await carryOut(agent, site, site.command(one));
    await carryOut(agent, site, site.command(two, { generation: 3 }));
    agent.hold(kari);
    const revert = await carryOut(agent, site, site.command(two, { verb: 'revert', generation: 4 }));
    expect(revert).toMatchObject({ result: 'reverted', changed: true });
    expect(page()).toBe('healthy 1');
    agent.revert('edge-proxy', kari);
    await until(() => page() === 'healthy original');
  });

  it('does not keep a release that is being watched from undoing itself', async () => {
    const agent = await site.start();
    const bad = release(1, {
      checks: [{ name: 'ok', exec: ['grep', '-q', 'healthy', site.path('flag')], every: '50ms', failures: 2 }],
      alreadySick: 'proceed',
      confirm: { within: '5s', healthyFor: '5s' },
    });
    site.write('flag', 'healthy');
    await agent.door.accept(site.sign(site.command(bad)));
    await until(() => kinds(agent).includes('watching'));
    agent.hold(kari);
    rmSync(site.path('flag'));
    const result = await agent.door.observe(site.command(bad).id, AbortSignal.timeout(10_000), () => undefined);
    expect(resultOf(result)).toMatchObject({ result: 'reverted', cause: 'check' });
    expect(page()).toBe('healthy original');
  });

  it('held after the command was accepted, and before its switch, switches nothing', async () => {
    const holder: { agent?: Agent } = {};
    const agent = await site.start({
      onStep: (step) => {
        if (step === 'undo-captured') holder.agent?.hold(kari);
      },
    });
    holder.agent = agent;
    const result = await carryOut(agent, site, site.command(release(1)));
    expect(result).toMatchObject({ result: 'rejected', reason: { code: 'HELD' } });
    expect(kinds(agent)).not.toContain('switching');
    expect(page()).toBe('healthy original');
  });
});

describe('the end of a hold', () => {
  const held = async (agent: Agent) => ((await agent.report()).holds ?? []).length > 0;
  const restart = async (agent: Agent): Promise<Agent> => {
    await agent.stop();
    return site.start({ clock });
  };

  it('comes with elapsed time, not with a wall clock that is set; a restart and a reboot keep it', async () => {
    let agent = await site.start({ clock });
    agent.hold({ ...kari, lasts: 8 * HOUR });
    wall += 400 * 24 * HOUR;
    expect(await held(agent)).toBe(true);
    elapsed += 3 * HOUR;
    wall -= 400 * 24 * HOUR;
    agent = await restart(agent);
    expect((await agent.report()).holds?.[0]?.endsIn).toBeLessThanOrEqual(5 * HOUR);
    // A reboot with a clock that has lost its battery: nothing is added.
    [bootId, elapsed, wall] = ['boot-2', 0, 1_000];
    agent = await restart(agent);
    expect((await agent.report()).holds?.[0]?.endsIn).toBeGreaterThan(4.9 * HOUR);
    // The clock is set right within that boot: still nothing.
    wall = Date.now();
    elapsed += 4 * HOUR;
    expect(await carryOut(agent, site, site.command(release(1)))).toMatchObject({ reason: { code: 'HELD' } });
    elapsed += 1.1 * HOUR;
    expect(await held(agent)).toBe(false);
    await until(() => kinds(agent).includes('unheld'));
    expect(agent.history(500).find(({ kind }) => kind === 'unheld')?.detail).toMatchObject({
      cause: 'time',
      by: 'kari',
    });
    expect(await carryOut(agent, site, site.command(release(1), { try: 2 }))).toMatchObject({ result: 'confirmed' });
  });
});

describe('safe mode', () => {
  const strand = async (agent: Agent) => {
    const change = {
      driver: { type: 'directory', files: './files', target: site.path('live', 'conf'), reload: ['/no/such/program'] },
    };
    const result = await carryOut(agent, site, site.command(release(1, change)));
    expect(result).toMatchObject({ result: 'safe-mode' });
  };

  it('[A47] is left by a person only: converges are refused over restarts and after a commanded undo', async () => {
    let agent = await site.start();
    await strand(agent);
    await agent.stop();
    agent = await site.start();
    const two = release(2);
    const refused = await carryOut(agent, site, site.command(two, { generation: 3, allowed: true }));
    expect(refused).toMatchObject({ result: 'rejected', reason: { code: 'SAFE_MODE' } });
    expect((await agent.report()).streams['edge-proxy']).toMatchObject({
      state: 'safe-mode',
      safeMode: { reason: { code: 'REVERT_FAILED' } },
    });
    expect(agent.unhold({ by: 'kari', reason: 'looked at it' })).toMatchObject({ safeModeLeft: [] });
    const again = await carryOut(agent, site, site.command(two, { generation: 3, try: 2 }));
    expect(again).toMatchObject({ result: 'rejected', reason: { code: 'SAFE_MODE' } });
    expect(agent.unhold({ stream: 'edge-proxy', by: 'kari', reason: 'looked at it' })).toMatchObject({
      safeModeLeft: ['edge-proxy'],
    });
    expect(kinds(agent)).toContain('safe-mode-left');
    expect(await carryOut(agent, site, site.command(two, { generation: 3, try: 3 }))).toMatchObject({
      result: 'confirmed',
    });
  });

  it('[A47] is not left by an undo from afar that succeeds, and is by a person’s own', async () => {
    const flag = site.path('broken');
    const change = {
      driver: {
        ...{ type: 'directory', files: './files', target: site.path('live', 'conf') },
        reload: ['sh', '-c', `[ ! -e ${flag} ]`],
      },
    };
    const one = release(1, change);
    const agent = await site.start();
    await carryOut(agent, site, site.command(one));
    const two = release(2, change);
    site.write('broken', '');
    expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject({ result: 'safe-mode' });
    rmSync(flag);
    const undone = await carryOut(agent, site, site.command(two, { verb: 'revert', generation: 4 }));
    expect(undone).toMatchObject({ result: 'reverted', changed: true, live: { version: '1.0.0' } });
    expect((await agent.report()).streams['edge-proxy']).toMatchObject({ state: 'reverted', safeMode: {} });
    const three = release(3, change);
    const refused = await carryOut(agent, site, site.command(three, { generation: 5 }));
    expect(refused).toMatchObject({ result: 'rejected', reason: { code: 'SAFE_MODE' } });
    agent.revert('edge-proxy', kari);
    await until(() => page() === 'healthy original');
    await until(() => kinds(agent).at(-1) === 'reverted');
    expect((await agent.report()).streams['edge-proxy']?.safeMode).toBeUndefined();
  });
});

describe('over the local socket', () => {
  it('holds, unholds and tells, and is open to the agent’s own user alone', async () => {
    const agent = await site.start();
    await agent.serveLocal();
    expect(statSync(socketPath(site.data)).mode & 0o077).toBe(0);
    const { holds } = await callAgent(site.data, 'hold', { ...kari, stream: 'edge-proxy', lasts: 60_000 });
    expect(holds).toMatchObject([{ stream: 'edge-proxy', ...kari }]);
    expect(holds[0]?.endsIn).toBeGreaterThan(50_000);
    expect((await callAgent(site.data, 'status', {})).holds).toMatchObject([{ by: 'kari' }]);
    const long = { by: 'kari', reason: 'x'.repeat(2_001) };
    await expect(callAgent(site.data, 'hold', long)).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await expect(callAgent(site.data, 'hold', { by: '', reason: 'x' })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    const answer = await callAgent(site.data, 'unhold', { stream: 'edge-proxy', by: 'ola', reason: 'done' });
    expect(answer).toMatchObject({ holds: [], safeModeLeft: [] });
    expect(answer.lifted).toHaveLength(1);
  });
});
