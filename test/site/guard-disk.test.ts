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

/** As a full disk does, SQLite refuses whatever is journaled. */
function refuseEvents(): void {
  const db = new Database(join(site.data, 'agent.db'));
  db.exec("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END");
  db.close();
}

function heal(): void {
  const db = new Database(join(site.data, 'agent.db'));
  db.exec('DROP TRIGGER full');
  db.close();
}

it('[A32] H3: the guard undoes, though neither its start nor the undo can be journaled', async () => {
  refuseEvents();
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  expect(page()).toBe('healthy 1');
  const agent = await site.open({ clock });
  const starting = agent.start().catch((error: unknown) => error);
  await until(() => page() === 'healthy original');
  heal();
  // Told once it can be; and what could not be written at first is not hidden.
  expect(String(await starting)).toContain('disk is full');
  expect(agent.history(50).at(-1)).toMatchObject({ kind: 'reverted' });
});

it('a process id that cannot be noted keeps no agent from its guard', async () => {
  rmSync(join(site.data, 'agent.pid'));
  mkdirSync(join(site.data, 'agent.pid'));
  bootId = 'boot-2';
  await site.start({ clock });
  await until(() => page() === 'healthy original');
});
