/** Books that name a release which is no longer live: an undo that a disk did not let be written down, or somebody's hand. */
import { existsSync, lstatSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
const conf = () => site.path('live', 'conf');
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const reported = async (agent: Agent) => (await agent.report()).streams['edge-proxy'];

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const release = (version: string, change: Record<string, unknown> = {}) =>
  site.publish(directoryRelease(site, version, change), { 'files/page': `healthy ${version}` });
const confirm = async (agent: Agent, version: string, generation: number) =>
  expect(await carryOut(agent, site, site.command(release(version), { generation }))).toMatchObject({
    result: 'confirmed',
  });

function pointTo(path: string): void {
  rmSync(conf());
  symlinkSync(path, conf());
}

/** 1.0.0 and then 2.0.0 confirmed, and the link as the undo of 2.0.0 leaves it. */
async function undoneBehindTheBooks(): Promise<void> {
  const agent = await site.start();
  await confirm(agent, '1.0.0', 1);
  const before = readlinkSync(conf());
  await confirm(agent, '2.0.0', 2);
  await agent.stop();
  pointTo(before);
}

describe('at a start', () => {
  it('[A32] an undo that is not in the books is told, and they go on from what is live', async () => {
    await undoneBehindTheBooks();
    const agent = await site.start();
    const told = await until(() => agent.history(50).findLast(({ kind }) => kind === 'reverted'));
    expect(told).toMatchObject({
      detail: { cause: 'boot', reason: { code: 'NOT_LIVE' }, undone: { version: '2.0.0' } },
    });
    expect(page()).toBe('healthy 1.0.0');
    expect(await reported(agent)).toMatchObject({ state: 'reverted', live: { version: '1.0.0' } });
    expect((await agent.report()).quarantined).toMatchObject([{ version: '2.0.0', code: 'NOT_LIVE' }]);
    await confirm(agent, '3.0.0', 3);
  });

  it('the same beside a change that waits: that one ends, and is offered again', async () => {
    const first = await site.start();
    await confirm(first, '1.0.0', 1);
    const before = readlinkSync(conf());
    await confirm(first, '2.0.0', 2);
    await first.stop();
    const away = await site.start({ depot: 'http://127.0.0.1:1/' });
    const three = site.command(release('3.0.0'), { generation: 3 });
    await away.door.accept(site.sign(three));
    await away.stop();
    pointTo(before);
    const agent = await site.start();
    const settled = resultOf(await agent.door.observe(three.id, AbortSignal.timeout(5_000), () => undefined));
    expect(settled).toMatchObject({ result: 'rejected', reason: { code: 'ALREADY_SICK' } });
    await until(() => agent.history(50).some(({ kind }) => kind === 'reverted'));
    expect(await reported(agent)).toMatchObject({ state: 'reverted', live: { version: '1.0.0' } });
  });

  it('what somebody else put there is drift, and undoes nothing', async () => {
    const first = await site.start();
    await confirm(first, '1.0.0', 1);
    await confirm(first, '2.0.0', 2);
    await first.stop();
    site.write('own/page', 'healthy by hand');
    pointTo(site.path('own'));
    const agent = await site.start();
    await agent.drift({});
    expect(await reported(agent)).toMatchObject({
      state: 'confirmed',
      live: { version: '2.0.0' },
      drift: { total: 2 },
    });
    expect(agent.history(50).filter(({ kind }) => kind === 'reverted')).toEqual([]);
    expect(lstatSync(conf()).isSymbolicLink()).toBe(true);
  });
});

describe('at a start with a target missing that was not there before the release', () => {
  /** 2.0.0 with a second component whose target is new with it. */
  const withNew = () => {
    const { driver, ...rest } = directoryRelease(site, '2.0.0');
    const extra = { type: 'directory', files: './extra', target: site.path('run', 'extra') };
    const components = [
      { name: 'conf', driver },
      { name: 'extra', driver: extra },
    ];
    return site.publish({ ...rest, components }, { 'files/page': 'healthy 2.0.0', 'extra/x': 'x' });
  };
  const confirmedWithNew = async (): Promise<string> => {
    const first = await site.start();
    await confirm(first, '1.0.0', 1);
    const before = readlinkSync(conf());
    const command = site.command(withNew(), { generation: 2 });
    expect(await carryOut(first, site, command)).toMatchObject({ result: 'confirmed', changed: true });
    await first.stop();
    rmSync(site.path('run', 'extra'));
    return before;
  };

  it('[A32] nothing is undone, and no release is blamed: that is drift', async () => {
    await confirmedWithNew();
    const agent = await site.start();
    await agent.drift({});
    expect(await reported(agent)).toMatchObject({ state: 'confirmed', live: { version: '2.0.0' }, drift: {} });
    expect(agent.history(50).filter(({ kind }) => kind === 'reverting')).toEqual([]);
    expect([page(), (await agent.report()).quarantined]).toEqual(['healthy 2.0.0', []]);
  });

  it('the undo is found by another component that had something to go back to', async () => {
    pointTo(await confirmedWithNew());
    const agent = await site.start();
    await until(() => agent.history(50).some(({ kind }) => kind === 'reverted'));
    expect(await reported(agent)).toMatchObject({ state: 'reverted', live: { version: '1.0.0' } });
  });
});

describe('a legacy controller that was changed by hand', () => {
  /** The controller's state is one file; `verify` knows the release by its version. */
  const sh = (text: string) => ['sh', '-c', text];
  const legacy = (version: string, change: Record<string, unknown> = {}, verify?: string) => {
    const state = site.path('controller');
    return site.publish(
      {
        ...{ stream: 'edge-proxy', version, confirm: { within: '5s', healthyFor: '100ms' } },
        driver: {
          ...{ type: 'exec', files: './files' },
          save: sh(`cat ${state} > "$FOOTHOLD_SAVED"`),
          apply: sh(`echo ${version} > ${state}`),
          verify: sh(verify ?? `grep -qx ${version} ${state} && [ ! -e ${site.path('broken')} ]`),
          revert: sh(`cat "$FOOTHOLD_SAVED" > ${state}`),
        },
        checks: [{ name: 'ok', exec: ['true'], every: '50ms' }],
        ...change,
      },
      { 'files/state': version },
    );
  };
  const state = () => readFileSync(site.path('controller'), 'utf8');
  const running = async (version: string, verify?: string): Promise<Agent> => {
    writeFileSync(site.path('controller'), 'original\n');
    const agent = await site.start();
    const result = await carryOut(agent, site, site.command(legacy(version, {}, verify)));
    expect(result).toMatchObject({ result: 'confirmed', changed: true });
    return agent;
  };
  const bad = { checks: [{ name: 'no', exec: ['false'], every: '30ms', failures: 2 }], alreadySick: 'proceed' };

  it('[A32] is gone back to as it was found, which its last release cannot verify', async () => {
    const agent = await running('1.0.0');
    writeFileSync(site.path('controller'), 'by hand\n');
    const two = site.command(legacy('2.0.0', bad), { generation: 2 });
    expect(await carryOut(agent, site, two)).toMatchObject({ result: 'reverted', cause: 'check' });
    expect(state()).toBe('by hand\n');
  });

  it('is not believed to be back on the word of what was saved, where its last release was what ran', async () => {
    const agent = await running('1.0.0');
    // What it is switched to breaks something that the saved file does not hold.
    const after = { exec: ['touch', site.path('broken')], timeout: '5s' };
    const two = site.command(legacy('2.0.0', { ...bad, after }), { generation: 2 });
    const result = await carryOut(agent, site, two);
    expect(state()).toBe('1.0.0\n');
    expect(result).toMatchObject({ result: 'safe-mode', reason: { code: 'REVERT_FAILED' } });
  });

  describe('and is found watched at a start', () => {
    const watched = async (confirm: Record<string, string>, verify?: string): Promise<void> => {
      const agent = await running('1.0.0', verify);
      const two = site.command(legacy('2.0.0', { confirm }, verify), { generation: 2 });
      await agent.door.accept(site.sign(two));
      await until(() => agent.history(50).findLast(({ kind }) => kind === 'watching')?.commandId === two.id);
      await agent.stop();
    };
    const kinds = (agent: Agent) => agent.history(50).flatMap(({ kind, commandId }) => (commandId ? [kind] : []));

    it('[A32] is undone before anything else where it says that the release before is live', async () => {
      await watched({ within: '5m', healthyFor: '4m' });
      writeFileSync(site.path('controller'), '1.0.0\n');
      const agent = await site.start();
      // The guard has ended before the start does: nothing is waited for here.
      expect(kinds(agent).slice(-2)).toEqual(['reverting', 'reverted']);
      expect(agent.history(1)).toMatchObject([{ detail: { cause: 'boot', reason: { code: 'NOT_LIVE' } } }]);
    });

    it('goes on being watched where it denies both: it may just be starting', async () => {
      await watched({ within: '5m', healthyFor: '4m' });
      writeFileSync(site.path('controller'), 'starting\n');
      expect(kinds(await site.start()).at(-1)).toBe('watching');
    });

    it('goes on being watched where it was still starting as it denied, and then affirms any release', async () => {
      const starting = site.path('starting');
      await watched({ within: '5m', healthyFor: '4m' }, `[ ! -e ${starting} ] || { rm ${starting}; exit 1; }`);
      writeFileSync(starting, '');
      expect(kinds(await site.start()).at(-1)).toBe('watching');
      expect(existsSync(starting)).toBe(false);
    });

    it('is not waited for where it hangs: the undo of another stream comes first, and the watch goes on', async () => {
      const hangs = site.path('hangs');
      await watched({ within: '5m', healthyFor: '4m' }, `[ ! -e ${hangs} ] || sleep 25`);
      const late = { stream: 'zone', confirm: { within: '1500ms', healthyFor: '1400ms' } };
      const agent = await site.start();
      const overdue = site.command(release('1.0.0', late));
      await agent.door.accept(site.sign(overdue));
      await until(() =>
        agent.history(50).some(({ kind, commandId }) => kind === 'watching' && commandId === overdue.id),
      );
      await agent.stop();
      writeFileSync(hangs, '');
      await new Promise((resolve) => setTimeout(resolve, 1_600));
      const began = Date.now();
      const again = await site.start();
      expect(Date.now() - began).toBeLessThan(15_000);
      const undone = again.history(50).findLast(({ kind }) => kind === 'reverted');
      expect(undone).toMatchObject({ commandId: overdue.id, detail: { reason: { code: 'DEADLINE_PASSED' } } });
      expect((undone?.at ?? Infinity) - began).toBeLessThan(4_000);
      expect(await reported(again)).toMatchObject({ state: 'watching' });
    });

    it('is not waited for beyond the deadline', async () => {
      const hangs = site.path('hangs');
      await watched({ within: '3s', healthyFor: '2900ms' }, `[ ! -e ${hangs} ] || sleep 25`);
      writeFileSync(hangs, '');
      const began = Date.now();
      const agent = await site.start();
      expect(Date.now() - began).toBeLessThan(4_500);
      await until(() => agent.history(1)[0]?.kind === 'reverting');
    });
  });
});
