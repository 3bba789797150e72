/** The database cannot be read for a moment, or a page of one table has rotted: what that may end, and what it may not. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { signPrefetch } from '../../policies/signing/dsse.js';
import type { Agent } from '../../site/agent.js';
import type { AgentOptions } from '../../site/options.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
/** Each of these ends a process that has no test around it. */
let unhandled: string[];
const take = (error: unknown) => void unhandled.push(String(error));

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  unhandled = [];
  process.on('unhandledRejection', take);
});
afterEach(async () => {
  process.off('unhandledRejection', take);
  await site.clear();
});

const livePage = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Readable {
  read: (work: () => unknown) => unknown;
  trouble: { broken: (error: unknown) => void };
}

/** As a bad sector has it: every read fails, and then none does. */
async function unreadableFor(agent: Agent, ms: number): Promise<void> {
  const { store } = (agent as unknown as { context: { store: Readable } }).context;
  const { read } = store;
  store.read = () => {
    const error = Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' });
    store.trouble.broken(error);
    throw error;
  };
  await sleep(ms);
  store.read = read;
}

describe('a database that cannot be read for a moment', () => {
  it.each<[string, Partial<AgentOptions>]>([
    ['looks for drift', { driftEveryMs: 30 }],
    ['looks when a scrub is due', { scrubEveryMs: 30 }],
  ])('H4: the agent goes on that just %s, and says so', async (_, options) => {
    const agent = await site.start(options);
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    await unreadableFor(agent, 300);
    await sleep(100);
    expect(unhandled).toEqual([]);
    const { streams, storage } = await agent.drift({});
    expect(storage?.fault).toMatchObject({ code: 'STORAGE_FAULT' });
    expect(streams['edge-proxy']).toMatchObject({ state: 'confirmed', drift: { total: 0 } });
    const before = streams['edge-proxy']?.drift?.at ?? Infinity;
    await sleep(20);
    expect((await agent.drift({})).streams['edge-proxy']?.drift?.at).toBeGreaterThan(before);
  });
});

it('H4: the agent goes on that just looks for something to fetch ahead, and fetches it later', async () => {
  const agent = await site.start({ prefetchRetryMs: 20 });
  const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
  const { store } = (agent as unknown as { context: { store: { prefetches: () => unknown } } }).context;
  const { prefetches } = store;
  let asked = 0;
  store.prefetches = () => {
    asked += 1;
    throw new Error('disk I/O error');
  };
  expect(await agent.door.prefetch?.(signPrefetch(site.wish(one), site.privatePem))).toBeUndefined();
  await until(() => asked > 0);
  store.prefetches = prefetches;
  (agent as unknown as { prefetcher: { wake: () => void } }).prefetcher.wake();
  await vi.waitFor(async () =>
    expect((await agent.report()).streams['edge-proxy']?.prefetched).toMatchObject({ whole: true }),
  );
  expect(unhandled).toEqual([]);
});

/** Of the first page of a table. */
function rot(table: string): void {
  const path = join(site.data, 'agent.db');
  const db = new Database(path);
  const find = db.prepare('SELECT rootpage FROM sqlite_master WHERE name = ?');
  const { rootpage } = find.get([table]) as { rootpage: number };
  const { page_size: size } = db.prepare('PRAGMA page_size').get() as { page_size: number };
  db.close();
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(64, 0x5a), 0, 64, (rootpage - 1) * size);
  closeSync(file);
}

/** Stopped while it watches 2.0.0; 1.0.0 is what it goes back to. */
async function stoppedOnTrial(): Promise<ReturnType<TestSite['command']>> {
  const agent = await site.start();
  const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
  expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
  const slow = directoryRelease(site, '2.0.0', { confirm: { within: '1m', healthyFor: '30s' } });
  const two = site.publish(slow, { 'files/page': 'healthy 2' });
  await agent.door.accept(site.sign(site.command(two, { generation: 2 })));
  await until(() => agent.history(1).some(({ kind }) => kind === 'watching'));
  await agent.stop();
  return site.command(two, { verb: 'revert', generation: 3 });
}

describe('a page that has rotted', () => {
  it.each(['prefetches', 'drifts', 'outbox'])(
    'H5: of the table %s, which nothing is guarded by: the site watches on, reports the fault, and goes back when told to',
    async (table) => {
      const revert = await stoppedOnTrial();
      rot(table);
      const agent = await site.start();
      await until(() => agent.history(50).filter(({ kind }) => kind === 'started').length > 1);
      expect((await agent.report()).streams['edge-proxy']).toMatchObject({ state: 'watching' });
      expect(agent.door.outbox?.waiting('performance', 0, 10)).toEqual(expect.any(Array));
      expect(await carryOut(agent, site, revert)).toMatchObject({ result: 'reverted' });
      expect(livePage()).toBe('healthy 1');
      expect((await agent.status()).storage?.fault).toMatchObject({ code: 'STORAGE_FAULT' });
      expect(unhandled).toEqual([]);
    },
  );

  it('H5: of the table releases: it is said by name at the start, and what is live stays', async () => {
    await stoppedOnTrial();
    rot('releases');
    await expect(site.start()).rejects.toMatchObject({ code: 'STORE_BROKEN' });
    expect([livePage(), unhandled]).toEqual(['healthy 2', []]);
  });
});
