/** The registry between real processes: none loses a transaction, and none that dies leaves a trace. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { judgeChain, judgeSiteEvents } from '../../policies/signing/chain.js';
import { STEPS } from '../../records/registry/migrations.js';
import { openRegistry } from '../../records/registry/open.js';
import type { FrozenRollout } from '../../records/registry/registry.js';
import { compileRegistry } from '../records/registry/compiled.js';
import { SQLITE, type Place } from '../records/registry/on-each-database.js';
import { PostgresDatabase } from '../records/registry/postgres-database.js';

const postgres = new PostgresDatabase();
let compiled: ReturnType<typeof compileRegistry>;
let serverDirectory: string;
let directory: string;
let go: string;
let place: Place;
let url: string;
const started: ChildProcess[] = [];

beforeAll(async () => {
  compiled = compileRegistry();
  serverDirectory = mkdtempSync(join(tmpdir(), 'foothold-postgres-'));
  await postgres.start({ directory: serverDirectory });
}, 60_000);
afterAll(async () => {
  compiled.remove();
  await postgres.stop();
  rmSync(serverDirectory, { recursive: true, force: true });
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-registry-'));
  go = join(directory, 'go');
});
afterEach(async () => {
  await Promise.all(started.splice(0).map(end));
  await place.remove();
  rmSync(directory, { recursive: true, force: true });
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

function start(job: string, name: string, count = 0): { child: ChildProcess; lines: string[]; done: Promise<number> } {
  const file = compiled.path('test/records/registry/writer.js');
  const child = spawn(process.execPath, [file, job, url, name, String(count), go], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const done = once(child, 'close').then(([code]) => code as number);
  return { child, lines, done };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((wait) => setTimeout(wait, 5));
}

/** All of them at once, once all of them are there. */
async function letGo(processes: { lines: string[] }[]): Promise<void> {
  await until(() => processes.every(({ lines }) => lines.includes('ready')));
  writeFileSync(go, '');
}

// A machine that is busy with other tests runs these many times slower.
const PATIENCE = 60_000;

describe.each([SQLITE, postgres])('several processes on one registry on $name', { timeout: PATIENCE }, (database) => {
  beforeEach(async () => void ({ url } = place = await database.newPlace()));

  it('[A42] [§4 measured] lose no transaction, and write one unbroken chain', async () => {
    // A server answers over a network: it gets fewer, so that the test takes no longer.
    const [count, names] = database.name === 'SQLite' ? [400, ['a', 'b']] : [60, ['a', 'b', 'c', 'd']];
    const writers = names.map((name) => start('append-together', name, count));
    await letGo(writers);
    expect(await Promise.all(writers.map((writer) => writer.done))).toEqual(names.map(() => 0));
    const registry = await openRegistry(url);
    const entries = await registry.evidence('run-1');
    expect(entries).toHaveLength(names.length * count * 2);
    expect(judgeChain(entries, await registry.evidenceHead('run-1'))).toEqual({ ok: true });
    expect(await registry.siteRows('run-1')).toHaveLength(names.length * count);
    // They did run at the same time: the chain changes hands.
    const hands = entries.map((entry) => entry.activityId.replace(/^s-/, '').charAt(0));
    const changes = hands.filter((hand, index) => index > 0 && hand !== hands[index - 1]).length;
    expect(changes).toBeGreaterThan(10);
    await registry.close();
  });

  it('that open a new registry and freeze at once get one label each, and the same run the same', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const writers = names.map((name) => start('freeze', name));
    await letGo(writers);
    expect(await Promise.all(writers.map((writer) => writer.done))).toEqual(names.map(() => 0));
    const answers = writers.map(({ lines }) => JSON.parse(lines[1] ?? '{}') as Record<'own' | 'same', FrozenRollout>);
    const same = new Set(answers.map((answer) => JSON.stringify(answer.same)));
    expect(same.size).toBe(1);
    const all = [...answers.map((answer) => answer.own), ...answers.slice(0, 1).map((answer) => answer.same)];
    const ascending = (one: number, other: number) => one - other;
    expect(all.map((frozen) => frozen.attempt).sort(ascending)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(all.map((frozen) => frozen.generation).sort(ascending)).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17]);
    expect(await place.sql('select count(*) as steps from foothold_schema')).toEqual([{ steps: STEPS.length }]);
  });
});

describe.each([SQLITE, postgres])('kill -9 on $name', { timeout: PATIENCE }, (database) => {
  beforeEach(async () => void ({ url } = place = await database.newPlace()));

  it('[A43] of a writing process, again and again, loses nothing that was committed and breaks nothing', async () => {
    const rounds = 4;
    const committed: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const writer = start('append', `r${round}`, 10_000);
      await until(() => writer.lines.length > 4 + round * 3);
      writer.child.kill('SIGKILL');
      await writer.done;
      committed.push(...writer.lines.map((line) => `r${round} ${line}`));
    }
    if (database.name === 'SQLite')
      expect(await place.sql('pragma integrity_check')).toEqual([{ integrity_check: 'ok' }]);

    const registry = await openRegistry(url);
    const entries = await registry.evidence('run-1');
    expect(judgeChain(entries, await registry.evidenceHead('run-1'))).toEqual({ ok: true });
    const appended = new Set(entries.map((entry) => entry.activityId));
    const settledRows = new Map((await registry.siteRows('run-1')).map((row) => [row.site, row.outcome]));
    for (const line of committed) {
      const [name, what, turn] = line.split(' ');
      if (what === 'append') expect(appended, line).toContain(`${name}-${turn}`);
      else expect(settledRows.get(`${name}-${turn}`), line).toBe('confirmed');
    }
    // A result is there with its evidence, its report and its journal, or not at all.
    const known = await registry.reports();
    const results = entries.filter((entry) => entry.kind === 'result').map((entry) => String(entry.data['site']));
    expect(results.toSorted()).toEqual([...settledRows.keys()].toSorted());
    expect([...known.keys()].toSorted()).toEqual([...settledRows.keys()].toSorted());
    for (const site of settledRows.keys()) {
      const journal = await registry.siteEvents(site, 10);
      expect(journal).toHaveLength(2);
      expect(judgeSiteEvents(journal)).toEqual({ ok: true });
    }
    expect(committed.length).toBeGreaterThan(rounds * 5);
    await registry.close();
  });
});

describe("the worker's lock", { timeout: PATIENCE }, () => {
  it('lets several in on PostgreSQL, says who they are, and forgets those that left', async () => {
    ({ url } = place = await postgres.newPlace());
    const workers = ['worker-1', 'worker-2'].map((name) => start('work', name));
    await until(() => workers.every((worker) => worker.lines.includes('working')));
    const here = async () => (await place.sql('select owner from worker order by owner')) as { owner: string }[];
    expect(await here()).toEqual([{ owner: 'worker-1' }, { owner: 'worker-2' }]);
    await letGo(workers);
    expect(await Promise.all(workers.map((worker) => worker.done))).toEqual([0, 0]);
    expect(await here()).toEqual([]);

    const killed = start('lock', 'worker-1');
    await until(() => killed.lines.includes('locked'));
    await end(killed.child);
    const registry = await openRegistry(url);
    await registry.lockForWorker('worker-1');
    expect(await here()).toEqual([{ owner: 'worker-1' }]);
    await registry.close();
  });

  it('on SQLite keeps out a second worker and names the first, lets others write, and dies with its process', async () => {
    ({ url } = place = await SQLITE.newPlace());
    const holder = start('lock', 'worker-1 pid 77');
    await until(() => holder.lines.includes('locked'));
    const registry = await openRegistry(url);
    await expect(registry.lockForWorker('worker-2')).rejects.toMatchObject({
      name: 'WorldError',
      code: 'REGISTRY_LOCKED',
      message: expect.stringContaining('worker-1 pid 77') as string,
    });
    await registry.importDocument({ kind: 'fleet', name: 'fleet', digest: 'd', body: {} }, 1);

    await end(holder.child);
    await registry.lockForWorker('worker-2');
    await registry.lockForWorker('worker-2');
    const third = await openRegistry(url);
    await expect(third.lockForWorker('worker-3')).rejects.toThrow('worker-2');
    await registry.close();
    await third.lockForWorker('worker-3');
    await third.close();
  });
});
