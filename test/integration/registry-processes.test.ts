/** The registry between real processes: none loses a transaction, and none that dies leaves a trace. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Libsql from 'libsql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { judgeChain, judgeSiteEvents } from '../../policies/signing/chain.js';
import { openRegistry } from '../../records/registry/open.js';
import type { FrozenRollout } from '../../records/registry/registry.js';
import { compileRegistry } from '../records/registry/compiled.js';

let compiled: ReturnType<typeof compileRegistry>;
let directory: string;
let url: string;
const started: ChildProcess[] = [];

beforeAll(() => {
  compiled = compileRegistry();
}, 60_000);
afterAll(() => compiled.remove());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-registry-'));
  url = `sqlite:${join(directory, 'registry.db')}`;
});
afterEach(async () => {
  await Promise.all(started.splice(0).map(end));
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
  const child = spawn(process.execPath, [file, job, url, name, String(count)], {
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

// A machine that is busy with other tests runs these many times slower.
const PATIENCE = 60_000;

describe('several processes on one registry', { timeout: PATIENCE }, () => {
  it('[A42] lose none of 2 × 800 transactions, and write one unbroken chain', async () => {
    const writers = ['a', 'b'].map((name) => start('append-together', name, 400));
    await until(() => writers.every((writer) => writer.lines.includes('ready')));
    writeFileSync(join(directory, 'registry.db.go'), '');
    expect(await Promise.all(writers.map((writer) => writer.done))).toEqual([0, 0]);
    const registry = await openRegistry(url);
    const entries = await registry.evidence('run-1');
    expect(entries).toHaveLength(1_600);
    expect(judgeChain(entries, await registry.evidenceHead('run-1'))).toEqual({ ok: true });
    expect(await registry.siteRows('run-1')).toHaveLength(800);
    // They did run at the same time: the chain changes hands.
    const hands = entries.map((entry) => entry.activityId.replace(/^s-/, '').charAt(0));
    const changes = hands.filter((hand, index) => index > 0 && hand !== hands[index - 1]).length;
    expect(changes).toBeGreaterThan(10);
    await registry.close();
  });

  it('that open a new registry and freeze at once get one label each, and the same run the same', async () => {
    const writers = ['a', 'b', 'c'].map((name) => start('freeze', name));
    expect(await Promise.all(writers.map((writer) => writer.done))).toEqual([0, 0, 0]);
    const answers = writers.map(({ lines }) => JSON.parse(lines[0] ?? '{}') as Record<'own' | 'same', FrozenRollout>);
    const same = new Set(answers.map((answer) => JSON.stringify(answer.same)));
    expect(same.size).toBe(1);
    const all = [...answers.map((answer) => answer.own), ...answers.slice(0, 1).map((answer) => answer.same)];
    expect(all.map((frozen) => frozen.attempt).sort()).toEqual([1, 2, 3, 4]);
    expect(all.map((frozen) => frozen.generation).sort()).toEqual([1, 3, 5, 7]);
  });
});

describe('kill -9', { timeout: PATIENCE }, () => {
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
    const path = url.replace('sqlite:', '');
    const plain = new Libsql(path);
    expect(plain.prepare('pragma integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
    plain.close();

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
  it('keeps out a second worker and names the first, lets others write, and dies with its process', async () => {
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
