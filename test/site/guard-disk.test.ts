/** A start whose disk cannot be written: what was left half done is undone all the same. */
import Database from 'libsql';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
let bootId = 'boot-1';
const clock = { now: Date.now, elapsed: () => performance.now(), bootId: () => bootId };
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

beforeEach(async () => {
  bootId = 'boot-1';
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  const agent = await site.start({ clock });
  // Long past its deadline at the next start, whatever counts as a restart.
  const change = { confirm: { within: '2s', healthyFor: '1s' } };
  const one = site.publish(directoryRelease(site, '1.0.0', change), { 'files/page': 'healthy 1' });
  await agent.door.accept(site.sign(site.command(one)));
  await until(() => agent.history(50).some((event) => event.kind === 'watching'));
  await agent.stop();
});
afterEach(() => site.clear());

/** As a full disk does, SQLite refuses whatever is journaled, for so long: the agent alone has its database then. */
function refuseEvents(ms: number): void {
  const db = new Database(join(site.data, 'agent.db'));
  const until = (Date.now() + ms) / 1000;
  const now = "(julianday('now') - 2440587.5) * 86400.0";
  db.exec(`CREATE TRIGGER full BEFORE INSERT ON events WHEN ${now} < ${until}
    BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END`);
  db.close();
}

it('[A32] H3: the guard undoes, though neither its start nor the undo can be journaled', async () => {
  refuseEvents(6_000);
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  expect(page()).toBe('healthy 1');
  const agent = await site.open({ clock });
  const starting = agent.start().catch((error: unknown) => error);
  await until(() => page() === 'healthy original');
  expect(agent.history(50).at(-1)).toMatchObject({ kind: 'watching' });
  // Told once it can be.
  expect(await starting).toBeUndefined();
  expect(agent.history(50).at(-1)).toMatchObject({ kind: 'reverted' });
});

it('a process id that cannot be noted keeps no agent from its guard', async () => {
  rmSync(join(site.data, 'agent.pid'));
  mkdirSync(join(site.data, 'agent.pid'));
  bootId = 'boot-2';
  await site.start({ clock });
  await until(() => page() === 'healthy original');
});

it('[A32] what was watched over a restart is not confirmed if something else is live by then', async () => {
  const agent = await site.start({ clock: { ...clock, elapsed: () => 0 } });
  expect(page()).toBe('healthy 1');
  await agent.stop();
  // As an undo leaves it that could not be written down: the books go on watching 1.0.0.
  rmSync(site.path('live', 'conf'));
  mkdirSync(site.path('live', 'conf'));
  site.write('live/conf/page', 'healthy, and something else');
  const again = await site.start({
    clock: {
      ...clock,
      elapsed: (() => {
        const from = performance.now();
        return () => performance.now() - from;
      })(),
    },
  });
  const ended = await until(() =>
    again.history(50).findLast(({ kind }) => kind === 'confirmed' || kind === 'reverted' || kind === 'safe-mode'),
  );
  expect(ended).toMatchObject({ detail: { cause: 'boot', reason: { code: 'NOT_LIVE' } } });
});
