/** An undo that failed is made again by the site, ever later: what it needed may be back before a person is there. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { timeToUndoAgain, UNDO_AGAIN_AFTER } from '../../policies/site/decide-undo-again.js';
import type { Agent } from '../../site/agent.js';
import type { Clock } from '../../site/clock.js';
import type { StreamRow } from '../../site/store/rows.js';
import { carryOut, directoryRelease, inside, TestSite, until } from './test-site.js';

let site: TestSite;
let elapsed: number;
const clock: Clock = { now: Date.now, elapsed: () => elapsed + performance.now(), bootId: () => 'boot-1' };
const kari = { by: 'kari', reason: 'work on the mast' };

beforeEach(() => {
  elapsed = 0;
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const broken = () => site.path('broken');
const reloads = () => (existsSync(site.path('reloads')) ? readFileSync(site.path('reloads'), 'utf8').length : 0);
const events = (agent: Agent, kind: string) => agent.history(500).filter((event) => event.kind === kind);
const reported = async (agent: Agent) => (await agent.report()).streams['edge-proxy'];

/** Its reload fails as long as the file `broken` is there. */
const release = (n: number) =>
  site.publish(directoryRelease(site, `${n}.0.0`, { driver: driver() }), { 'files/page': `healthy ${n}` });
const driver = () => ({
  ...{ type: 'directory', files: './files', target: site.path('live', 'conf') },
  reload: ['sh', '-c', `printf r >> ${site.path('reloads')}; [ ! -e ${broken()} ]`],
});

/** 1.0.0 confirmed; 2.0.0 could not be reloaded, and neither could 1.0.0 after it. */
async function stranded() {
  const agent = await site.start({ clock });
  expect(await carryOut(agent, site, site.command(release(1)))).toMatchObject({ result: 'confirmed' });
  const two = site.command(release(2), { generation: 2 });
  site.write('broken', '');
  expect(await carryOut(agent, site, two)).toMatchObject({ result: 'safe-mode', reason: { code: 'REVERT_FAILED' } });
  return { agent, two };
}

describe('an undo that failed', () => {
  it('[A32] is made again after a minute, and the site stays in safe mode', async () => {
    const { agent, two } = await stranded();
    const tried = reloads();
    expect((await reported(agent))?.safeMode?.undoAgainIn).toBeGreaterThan(50_000);
    rmSync(broken());
    elapsed += UNDO_AGAIN_AFTER[0];
    await until(() => events(agent, 'reverted').length === 1);
    // A directory whose link is right already has to be loaded all the same.
    expect([page(), reloads()]).toEqual(['healthy 1', tried + 1]);
    expect(events(agent, 'reverted')[0]).toMatchObject({ detail: { cause: 'switch' } });
    expect(events(agent, 'reverted')[0]).not.toHaveProperty('result');
    expect(await reported(agent)).toMatchObject({ state: 'reverted', live: { version: '1.0.0' }, safeMode: {} });
    expect((await reported(agent))?.safeMode).not.toHaveProperty('undoAgainIn');
    const settled = await agent.door.observe(two.id, AbortSignal.timeout(5_000), () => undefined);
    expect(settled).toMatchObject({ result: { result: 'safe-mode' } });
    const three = await carryOut(agent, site, site.command(release(3), { generation: 3 }));
    expect(three).toMatchObject({ result: 'rejected', reason: { code: 'SAFE_MODE' } });
  });

  it('is made again ever later, and in the end no more', async () => {
    const { agent } = await stranded();
    for (const [tries, pause] of UNDO_AGAIN_AFTER.entries()) {
      elapsed += pause - 10_000;
      expect((await reported(agent))?.safeMode?.undoAgainIn).toBeLessThanOrEqual(10_000);
      expect(events(agent, 'safe-mode')).toHaveLength(tries + 1);
      elapsed += 10_000;
      await until(() => events(agent, 'safe-mode').length === tries + 2);
    }
    expect((await reported(agent))?.safeMode).not.toHaveProperty('undoAgainIn');
    rmSync(broken());
    elapsed += 100 * UNDO_AGAIN_AFTER[4];
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(events(agent, 'reverted')).toEqual([]);
    // A person still can.
    agent.revert('edge-proxy', kari);
    await until(() => events(agent, 'reverted').length === 1);
    expect((await reported(agent))?.safeMode).toBeUndefined();
  }, 30_000);

  it('is due at the same time after a restart', async () => {
    const { agent } = await stranded();
    elapsed += UNDO_AGAIN_AFTER[0] - 30_000;
    await agent.stop();
    const again = await site.start({ clock });
    expect((await reported(again))?.safeMode?.undoAgainIn).toBeLessThanOrEqual(30_000);
    rmSync(broken());
    elapsed += 30_000;
    await until(() => events(again, 'reverted').length === 1);
  });

  it('is made again also after a command that had waited for it was refused', async () => {
    const agent = await site.start({ clock });
    expect(await carryOut(agent, site, site.command(release(1)))).toMatchObject({ result: 'confirmed' });
    site.write('broken', '');
    await agent.door.accept(site.sign(site.command(release(2), { generation: 2 })));
    await until(() => events(agent, 'reverting').length === 1);
    const three = await carryOut(agent, site, site.command(release(3), { generation: 3 }));
    expect(three).toMatchObject({ result: 'rejected', reason: { code: 'SAFE_MODE' } });
    expect(await reported(agent)).toMatchObject({
      state: 'rejected',
      safeMode: { undoAgainIn: expect.any(Number) as number },
    });
    rmSync(broken());
    elapsed += UNDO_AGAIN_AFTER[0];
    await until(() => events(agent, 'reverted').length === 1);
    expect(page()).toBe('healthy 1');
    expect(await reported(agent)).toMatchObject({ state: 'reverted', live: { version: '1.0.0' }, safeMode: {} });
  });

  it('is left alone once a person has let the stream out of safe mode, and gives way to a command', async () => {
    const { agent, two } = await stranded();
    rmSync(broken());
    const undone = await carryOut(agent, site, site.command(release(2), { verb: 'revert', generation: 3 }));
    expect(undone).toMatchObject({ result: 'reverted', changed: true });
    expect(two.digest).toBe(release(2).digest);

    site.write('broken', '');
    agent.unhold({ ...kari, stream: 'edge-proxy' });
    const four = site.command(release(4), { generation: 4 });
    expect(await carryOut(agent, site, four)).toMatchObject({ result: 'safe-mode' });
    agent.unhold({ ...kari, stream: 'edge-proxy' });
    rmSync(broken());
    elapsed += UNDO_AGAIN_AFTER[0] + 1_000;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(events(agent, 'reverted')).toHaveLength(1);
  });

  it('has nothing to be made again with: a first release', async () => {
    rmSync(site.path('live'), { recursive: true });
    const agent = await site.start({ clock });
    const first = site.publish({ ...directoryRelease(site, '1.0.0'), first: true }, { 'files/page': 'sick' });
    expect(await carryOut(agent, site, site.command(first))).toMatchObject({ reason: { code: 'NOTHING_VERIFIED' } });
    expect((await reported(agent))?.safeMode).not.toHaveProperty('undoAgainIn');
  });
});

/** The books as three power cuts leave them, each in the middle of the undo. */
async function cutShort(row: StreamRow | undefined): Promise<void> {
  const agent = await site.open({ clock });
  const undo = {
    cause: 'check',
    reason: { code: 'CHECK_FAILED', detail: 'it was sick' },
    begunAt: Date.now(),
  } as const;
  const { store } = inside(agent);
  if (!row?.trial) throw new Error('nothing was on trial');
  const cut: StreamRow = { ...row, state: 'reverting', trial: { undo, ...row.trial, undoAttempts: 3 } };
  store.transact(() => store.putStream(cut));
  await agent.stop();
}

async function watched(): Promise<StreamRow> {
  const agent = await site.start({ clock });
  expect(await carryOut(agent, site, site.command(release(1)))).toMatchObject({ result: 'confirmed' });
  const two = site.publish(
    { ...directoryRelease(site, '2.0.0', { driver: driver() }), confirm: { within: '60s', healthyFor: '50s' } },
    { 'files/page': 'healthy 2' },
  );
  await agent.door.accept(site.sign(site.command(two, { generation: 2 })));
  await until(() => events(agent, 'watching').length === 2);
  const row = inside(agent).store.stream('edge-proxy');
  await agent.stop();
  return row;
}

describe('an undo that was interrupted three times', () => {
  it('is made again after a minute', async () => {
    await cutShort(await watched());
    const agent = await site.start({ clock });
    expect([page(), await reported(agent)]).toMatchObject(['healthy 2', { state: 'safe-mode' }]);
    expect((await reported(agent))?.safeMode?.undoAgainIn).toBeGreaterThan(50_000);
    elapsed += UNDO_AGAIN_AFTER[0];
    await until(() => events(agent, 'reverted').length === 1);
    expect(page()).toBe('healthy 1');
    expect(await reported(agent)).toMatchObject({ state: 'reverted', safeMode: { reason: { code: 'REVERT_FAILED' } } });
  });

  it('is made again no more often than any other, though each of these is interrupted three times as well', async () => {
    let cut: StreamRow | undefined = await watched();
    site.write('broken', '');
    for (const pause of UNDO_AGAIN_AFTER) {
      await cutShort(cut);
      cut = undefined;
      const onStep = (step: string) => {
        if (step === 'reverting') cut = inside(agent).store.stream('edge-proxy');
      };
      const agent: Agent = await site.start({ clock, onStep });
      elapsed += pause;
      await until(() => cut);
      await agent.stop();
    }
    await cutShort(cut);
    const agent = await site.start({ clock });
    expect(await reported(agent)).toMatchObject({ state: 'safe-mode' });
    expect((await reported(agent))?.safeMode).not.toHaveProperty('undoAgainIn');
  }, 60_000);
});

describe('the time to it', () => {
  const at = { now: 1_000_000, elapsed: 50_000, bootId: 'a' };
  it.each([
    ['nothing stranded', undefined, at, undefined],
    ['at once', { at, tries: 0 }, at, 60_000],
    ['half of it over', { at, tries: 0 }, { ...at, elapsed: 80_000 }, 30_000],
    ['over', { at, tries: 1 }, { ...at, elapsed: 50_000 + 400_000 }, 0],
    ['a wall clock set forward', { at, tries: 1 }, { ...at, now: 9_000_000 }, 300_000],
    ['a reboot', { at, tries: 1 }, { now: 1_100_000, elapsed: 10_000, bootId: 'b' }, 200_000],
    ['after the last', { at, tries: 5 }, { ...at, elapsed: 10 ** 9 }, undefined],
  ])('%s', (_what, stranded, now, left) => {
    expect(timeToUndoAgain(stranded, now)).toBe(left);
  });
});
