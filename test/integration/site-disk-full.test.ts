/** Fault H3 on a real small file system: a disk that is full at any moment never keeps a site from going back. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signPrefetch } from '../../policies/signing/dsse.js';
import { judgeSiteEvents } from '../../policies/signing/chain.js';
import type { Agent } from '../../site/agent.js';
import type { SiteContext, Step } from '../../site/context.js';
import { closeDatabase, openDatabase } from '../../site/store/database.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from '../site/test-site.js';
import { SmallDisk, whyNoDisks } from './small-disk.js';

const why = whyNoDisks();
const MB = 1024 * 1024;
let disk: SmallDisk;
let site: TestSite;
/** Somebody takes whatever becomes free; undefined: not yet. */
let hungry: boolean | undefined;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

beforeEach(() => {
  if (why !== undefined) return;
  hungry = undefined;
  disk = SmallDisk.tmpfs(24);
  site = new TestSite(disk.path);
  site.write('live/conf/page', 'healthy original');
});
afterEach(async () => {
  if (why !== undefined) return;
  await site.clear();
  disk.clear();
});

/** A reload that writes, as programs do: without the reserve it would fail, in the undo as well. */
const release = (version: string, change: Record<string, unknown> = {}) =>
  directoryRelease(site, version, {
    driver: {
      type: 'directory',
      files: './files',
      target: site.path('live', 'conf'),
      reload: ['sh', '-c', `head -c 100000 /dev/zero > ${site.path('live', 'state')}`],
    },
    ...change,
  });

/** Never healthy, and never sick enough before its deadline. */
const never = {
  checks: [{ name: 'never', exec: ['false'], every: '100ms', failures: 1000 }],
  alreadySick: 'proceed',
  confirm: { within: '2s', healthyFor: '100ms' },
};

/** With release 1.0.0 confirmed; calls `at` at every step of what comes after. */
async function confirmed(at: (step: Step) => void): Promise<Agent> {
  let ready = false;
  const agent = await site.start({ onStep: (step) => ready && at(step), diskEveryMs: 200 });
  const one = site.publish(release('1.0.0'), { 'files/page': 'healthy 1' });
  expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
  ready = true;
  return agent;
}

async function soundAfterwards(agent: Agent): Promise<void> {
  hungry = false;
  disk.empty();
  await until(() => reserveWhole(agent), 5_000);
  const good = site.publish(release('9.0.0'), { 'files/page': 'healthy 9' });
  const result = await carryOut(agent, site, site.command(good, { generation: 90 }));
  expect(result.reason).toBeUndefined();
  expect(result.result).toBe('confirmed');
  expect(judgeSiteEvents(agent.door.unacknowledged(10_000))).toEqual({ ok: true });
  await agent.stop();
  const db = openDatabase(site.data);
  expect(db.pragma('integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  closeDatabase(db);
}

const inside = (agent: Agent) => (agent as unknown as { context: SiteContext }).context;
const reserveWhole = (agent: Agent) => inside(agent).storage.reserve.whole;

const forward: Step[] = ['accepted', 'fetched', 'staged', 'undo-captured', 'switching', 'activated', 'watching'];
const back: Step[] = ['reverting', 'reverted-one', 'reverted-all'];

describe.skipIf(why !== undefined)(`a disk that is full${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  const moments = [...forward, ...back].flatMap((step) => [0, 4096, 16_384, 65_536].map((leave) => ({ step, leave })));
  it.each(moments)(
    'from $step on, with $leave bytes left: the bad release is not live, and that is told',
    async ({ step, leave }) => {
      const agent = await confirmed((at) => {
        if (at === step) hungry ??= true;
        if (hungry) disk.fill(leave);
      });
      const bad = site.publish(release('2.0.0'), { 'files/page': 'broken' });
      const result = await carryOut(agent, site, site.command(bad, { generation: 3 }));
      expect(page()).toBe('healthy 1');
      expect(result.result).toBe(
        ['accepted', 'fetched', 'staged', 'undo-captured'].includes(step) ? 'rejected' : 'reverted',
      );
      if (result.result === 'rejected') expect(result.reason?.code).toBe('DISK_FULL');
      await soundAfterwards(agent);
    },
  );

  it('refuses a release for which there is no room beside the undo, before anything is switched', async () => {
    const agent = await confirmed(() => undefined);
    disk.fill(2 * MB);
    const large = site.publish(release('2.0.0'), { 'files/page': 'healthy 2' });
    disk.empty();
    const big = site.publish(release('3.0.0'), { 'files/page': 'healthy 3', 'files/big': 'x'.repeat(2 * MB) });
    disk.fill(3 * MB);
    const result = await carryOut(agent, site, site.command(big, { generation: 3 }));
    expect(result).toMatchObject({ result: 'rejected', changed: false, reason: { code: 'DISK_FULL' } });
    expect(agent.history(100).filter((event) => event.kind === 'switching')).toHaveLength(1);
    expect(await carryOut(agent, site, site.command(large, { generation: 5 }))).toMatchObject({ result: 'confirmed' });
    await soundAfterwards(agent);
  });

  it('takes and carries out a revert command, and a person’s undo', async () => {
    const agent = await confirmed(() => undefined);
    const two = site.publish(release('2.0.0'), { 'files/page': 'healthy 2' });
    expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject({ result: 'confirmed' });
    disk.fill();
    const back = await carryOut(agent, site, site.command(two, { verb: 'revert', generation: 4 }));
    expect(back).toMatchObject({ result: 'reverted', changed: true });
    expect(page()).toBe('healthy 1');
    disk.fill();
    agent.revert('edge-proxy', { by: 'kari', reason: 'sparks' });
    await until(() => page() === 'healthy original');
    await soundAfterwards(agent);
  });

  it('at a boot: the guard goes back before the start returns', async () => {
    let [bootId, off] = ['boot-1', 0];
    const clock = { now: () => Date.now() + off, elapsed: () => performance.now(), bootId: () => bootId };
    const agent = await site.start({ clock });
    const one = site.publish(release('1.0.0'), { 'files/page': 'healthy 1' });
    await carryOut(agent, site, site.command(one));
    const slow = site.publish(release('2.0.0', { confirm: { within: '1m', healthyFor: '30s' } }), {
      'files/page': 'healthy 2',
    });
    const command = site.command(slow, { generation: 3 });
    await agent.door.accept(site.sign(command));
    await until(() => agent.history(50).filter((event) => event.kind === 'watching').length === 2);
    await agent.stop();
    disk.fill();
    [bootId, off] = ['boot-2', 120_000];
    const again = await site.start({ clock, diskEveryMs: 200 });
    expect(page()).toBe('healthy 1');
    expect(resultOf(await again.door.observe(command.id, AbortSignal.timeout(5_000), () => undefined))).toMatchObject({
      result: 'reverted',
      reason: { code: 'DEADLINE_PASSED' },
    });
    off = 0;
    await soundAfterwards(again);
  });

  it('the last-known-good directory gone as well: made anew in the room of the reserve', async () => {
    const agent = await confirmed((at) => at === 'watching' && disk.fill());
    const { store, holdings, verified } = inside(agent);
    const bad = site.publish(release('2.0.0', never), {
      'files/page': 'healthy 2',
    });
    const command = site.command(bad, { generation: 3 });
    await agent.door.accept(site.sign(command));
    await until(() => store.stream('edge-proxy').state === 'watching');
    const [lkg] = store.confirmed('edge-proxy');
    const [component = ''] = Object.keys(lkg?.trees ?? {});
    writeFileSync(`${holdings.directory(lkg?.root ?? '', component)}/page`, 'rotten 1');
    verified.clear();
    disk.fill();
    expect(resultOf(await agent.door.observe(command.id, AbortSignal.timeout(15_000), () => undefined))).toMatchObject({
      result: 'reverted',
    });
    expect(page()).toBe('healthy 1');
    await soundAfterwards(agent);
  });

  it.each([0, 1, 2, 3, 5, 8])(
    'the database cannot take the page number %i from now: back all the same, told once it can',
    async (n) => {
      const agent = await confirmed(() => undefined);
      const { db } = inside(agent).store as unknown as { db: ReturnType<typeof openDatabase> };
      const bad = site.publish(release('2.0.0', never), {
        'files/page': 'healthy 2',
      });
      const command = site.command(bad, { generation: 3 });
      await agent.door.accept(site.sign(command));
      await until(() => inside(agent).store.stream('edge-proxy').state === 'watching');
      const [{ page_count: pages }] = db.pragma('page_count') as [{ page_count: number }];
      db.pragma(`max_page_count = ${pages + n}`);
      while (n < 8) {
        try {
          inside(agent).store.transactSpare(() =>
            inside(agent).store.putTree(`filler-${Math.random()}`, [{ type: 'link', path: 'x'.repeat(3_000), to: '' }]),
          );
        } catch {
          break;
        }
      }
      await until(() => page() === 'healthy 1', 10_000);
      db.pragma('max_page_count = 1000000');
      expect(
        resultOf(await agent.door.observe(command.id, AbortSignal.timeout(15_000), () => undefined)),
      ).toMatchObject({
        result: 'reverted',
        cause: 'deadline',
      });
      await soundAfterwards(agent);
    },
  );
});

describe.skipIf(why !== undefined)('files that were fetched ahead', () => {
  const large = (letter: string) => ({ 'files/page': 'healthy 2', 'files/large': letter.repeat(3 * MB) });
  const isWhole = async (agent: Agent) => (await agent.door.report()).streams['edge-proxy']?.prefetched?.whole;

  async function fetched(): Promise<Agent> {
    const agent = await confirmed(() => undefined);
    const two = site.publish(release('2.0.0'), large('x'));
    await agent.door.prefetch?.(signPrefetch(site.wish(two, { generation: 3 }), site.privatePem));
    await until(() => agent.history(100).some(({ kind }) => kind === 'prefetched'));
    expect(await isWhole(agent)).toBe(true);
    return agent;
  }
  const here = () => existsSync(site.path('data', 'prefetched', 'edge-proxy'));

  it('give way to the reserve first of all', async () => {
    const agent = await fetched();
    rmSync(inside(agent).storage.reserve.path);
    disk.fill(2 * MB);
    await until(() => reserveWhole(agent) && !here(), 5_000);
    expect(await isWhole(agent)).toBe(false);
    await soundAfterwards(agent);
  });

  it('give way to the release of another stream, and not to their own', async () => {
    const agent = await fetched();
    const psk = site.publish(
      { ...release('1.0.0'), stream: 'psk' },
      { 'files/page': 'healthy psk', 'files/more': 'y'.repeat(MB) },
    );
    disk.fill(2 * MB);
    expect(await carryOut(agent, site, site.command(psk))).toMatchObject({ result: 'confirmed' });
    expect(here()).toBe(false);
    await soundAfterwards(agent);
  });

  it('are enough for their own converge where nothing could be fetched any more', async () => {
    const agent = await fetched();
    const two = site.publish(release('2.0.0'), large('x'));
    rmSync(site.path('depot'), { recursive: true });
    // For the rendered copy and its undo, and not for a second copy of what is here: that would ask for 7.4 million.
    disk.fill(7_200_000);
    expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject({ result: 'confirmed' });
    await soundAfterwards(agent);
  });

  it('give way to the journal, where the database can take no more', async () => {
    const agent = await fetched();
    disk.fill();
    const { store } = inside(agent);
    for (let n = 0; here() && n < 2_000; n++) {
      store.transact(() => store.putTree(`filler-${n}`, [{ type: 'link', path: 'x'.repeat(3_000), to: '' }]));
    }
    expect(here()).toBe(false);
    expect(reserveWhole(agent)).toBe(true);
    await soundAfterwards(agent);
  });

  it('are not fetched where there is no room for them and for their converge', async () => {
    const agent = await confirmed(() => undefined);
    const two = site.publish(release('2.0.0'), large('x'));
    disk.fill(5 * MB);
    await agent.door.prefetch?.(signPrefetch(site.wish(two, { generation: 3 }), site.privatePem));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await isWhole(agent)).toBe(false);
    expect(disk.free()).toBeGreaterThan(4 * MB);
    await soundAfterwards(agent);
  });
});
