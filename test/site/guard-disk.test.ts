/** A start whose disk cannot be written: what was left half done is undone all the same. */
import Database from 'libsql';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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
  const agent = await site.start({ clock });
  // Started, and so heard by the centre; told once it can be.
  expect(page()).toBe('healthy original');
  expect(agent.history(50).at(-1)).toMatchObject({ kind: 'watching' });
  await until(() => agent.history(50).at(-1)?.kind === 'reverted');
});

it('[A32] H3: an undo that cannot be journaled comes between no other stream and its undo', async () => {
  const watching = async (stream: string, within: string) => {
    const agent = await site.start({ clock });
    site.write(`${stream}/page`, `${stream} original`);
    const driver = { type: 'directory', files: './files', target: site.path(stream) };
    const checks = [{ name: 'up', exec: ['true'], every: '50ms' }];
    const after = { exec: ['sh', '-c', `echo ran >> ${site.path('after')}`], timeout: '5s' };
    const release = directoryRelease(site, '1.0.0', {
      stream,
      driver,
      checks,
      after,
      confirm: { within, healthyFor: '1s' },
    });
    const command = site.command(site.publish(release, { 'files/page': `${stream} 1` }));
    await agent.door.accept(site.sign(command));
    await until(() => agent.history(50).some((event) => event.kind === 'watching' && event.stream === stream));
    await agent.stop();
  };
  await watching('relay', '2s');
  const shown = (stream: string) => readFileSync(site.path(stream, 'page'), 'utf8');
  refuseEvents(6_000);
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  expect([page(), shown('relay')]).toEqual(['healthy 1', 'relay 1']);
  const agent = await site.start({ clock });
  expect([page(), shown('relay')]).toEqual(['healthy original', 'relay original']);
  const ends = () => agent.history(50).filter(({ kind }) => kind === 'reverted');
  expect(ends()).toEqual([]);
  await until(() => ends().length === 2);
  // Once for the switch and once for the undo, which is told and not made a second time.
  expect(readFileSync(site.path('after'), 'utf8')).toBe('ran\nran\n');
  expect(new Set(ends().map(({ stream }) => stream))).toEqual(new Set(['edge-proxy', 'relay']));
  expect((await agent.report()).streams).toMatchObject({
    'edge-proxy': { state: 'reverted' },
    relay: { state: 'reverted' },
  });
});

it('[A32] H4: what is on trial is watched while all that is kept is read back after a fault of the disk', async () => {
  writeFileSync(join(site.data, 'storage-fault.json'), JSON.stringify({ code: 'STORAGE_FAULT', detail: 'EIO', at: 1 }));
  // Reading it takes for ever, as gigabytes on a slow disk seem to.
  const endless = join(site.data, 'blobs', 'ff', 'f'.repeat(64));
  mkdirSync(dirname(endless), { recursive: true });
  execFileSync('mkfifo', [endless]);
  const agent = await site.start({ clock: { ...clock, elapsed: () => 0 } });
  site.write('live/conf/page', 'sick');
  await until(() => page() === 'healthy original');
  const kinds = () => agent.history(50).map(({ kind }) => kind);
  expect(kinds()).not.toContain('scrubbed');
  // Whoever reads it comes to its end once somebody has written it.
  writeFileSync(endless, '');
  await until(() => kinds().includes('scrubbed'));
});

it('goes on watching what a restart finds watched, though the restart cannot be counted', async () => {
  const slow = { confirm: { within: '30s', healthyFor: '400ms' } };
  const first = await site.start({ clock });
  await until(() => first.history(50).some(({ kind }) => kind === 'reverted' || kind === 'confirmed'));
  const two = site.publish(directoryRelease(site, '2.0.0', slow), { 'files/page': 'healthy 2' });
  await first.door.accept(site.sign(site.command(two, { generation: 2 })));
  await until(() => first.history(50).filter(({ kind }) => kind === 'watching').length === 2);
  await first.stop();
  const db = new Database(join(site.data, 'agent.db'));
  db.exec(`CREATE TRIGGER stuck BEFORE UPDATE ON streams BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END`);
  db.exec(`CREATE TRIGGER stuck2 BEFORE INSERT ON streams BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END`);
  db.close();
  site.write('live/conf/page', 'sick');
  const again = await site.start({ clock });
  await until(() => page() !== 'sick');
  expect(again.history(50).at(-1)).not.toMatchObject({ kind: 'confirmed' });
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
