/** The commands of docs/operating/registry.md, run as they stand there, on both databases. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startPostgres, type PostgresServer } from '../../infra/dev/postgres.js';
import { findProgram } from '../../infra/programs/find.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import { Rollout } from '../records/registry/centre.js';
import { STREAM } from '../records/registry/facts.js';
import { ask, withDatabase } from '../records/registry/postgres-database.js';

const PAGE = readFileSync(resolve(import.meta.dirname, '../../docs/operating/registry.md'), 'utf8');
const execute = promisify(execFile);

let directory: string;
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'foothold-backup-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** The block of the page with this name, without the indentation of its list. */
function block(name: string): string {
  const found = new RegExp(`^( *)\`\`\`sh ${name}\\n(.*?)^\\1\`\`\``, 'ms').exec(PAGE);
  if (found === null) throw new Error(`the page has no block ${name}`);
  return (found[2] ?? '').replaceAll(new RegExp(`^${found[1] ?? ''}`, 'gm'), '');
}

async function run(name: string, env: Record<string, string> = {}): Promise<void> {
  await execute('sh', ['-e', '-c', block(name)], { cwd: directory, env: { ...process.env, ...env } });
}

async function isThere(program: string, path = process.env['PATH']): Promise<boolean> {
  return execute(program, ['--version'], { env: { ...process.env, PATH: path } }).then(
    () => true,
    () => false,
  );
}

/** Two rollouts, a backup made while the registry is open, and a third one that it does not hold. */
async function live(registry: Registry, backup: () => Promise<void>): Promise<void> {
  for (const [run, version] of [
    ['run-1', '2.4.0'],
    ['run-2', '2.5.0'],
  ] as const)
    await (await Rollout.begin(registry, run, version, ['osl-01'])).seal('promoted');
  await backup();
  await (await Rollout.begin(registry, 'run-3', '2.6.0', ['osl-01'])).seal('promoted');
}

async function expectEarlierPoint(registry: Registry): Promise<void> {
  expect((await registry.rollouts()).map(({ firstRunId }) => firstRunId)).toEqual(['run-2', 'run-1']);
  expect((await registry.streamDesired(STREAM))?.release.version).toBe('2.5.0');
  const next = await Rollout.begin(registry, 'run-4', '2.6.0', ['osl-01']);
  // Neither the generations nor the label of the rollout that is lost.
  expect(next.frozen.generation).toBeGreaterThan(6);
  expect(next.frozen.attempt).toBeGreaterThan(1);
}

describe('O3: backup and restore, as they are documented', () => {
  it('of SQLite', async (test) => {
    if (!(await isThere('sqlite3'))) return test.skip('sqlite3 is not on this machine');
    const url = `sqlite:${join(directory, 'registry.db')}`;
    const registry = await openRegistry(url);
    await registry.lockForWorker('worker-1');
    await live(registry, () => run('sqlite-backup'));
    await registry.close();
    await run('sqlite-restore');
    await run('sqlite-room');
    expect(existsSync(join(directory, 'before-restore/registry.db'))).toBe(true);
    expect(readdirSync(directory).filter((name) => /-(wal|shm)$/.test(name))).toEqual([]);
    const restored = await openRegistry(url);
    await restored.lockForWorker('worker-1');
    await expectEarlierPoint(restored);
    await restored.close();
  });

  it('of PostgreSQL', async (test) => {
    const beside = dirname(realpathSync((await findProgram('postgres')).path));
    const client = dirname((await findProgram('pg_dump')).path);
    const PATH = [beside, client, process.env['PATH']].join(delimiter);
    for (const program of ['pg_dump', 'pg_restore', 'createdb', 'psql'])
      if (!(await isThere(program, PATH))) return test.skip(`${program} is not on this machine`);
    const server: PostgresServer = await startPostgres({ directory, durable: false });
    try {
      await ask(server.url, 'create database foothold');
      const url = withDatabase(server.url, 'foothold');
      const registry = await openRegistry(url);
      await live(registry, () => run('postgres-backup', { PATH, REGISTRY: url }));
      await registry.close();
      const RESTORED = withDatabase(server.url, 'foothold_restored');
      await run('postgres-restore', { PATH, SERVER: server.url, RESTORED });
      await run('postgres-room', { PATH, RESTORED });
      const restored = await openRegistry(RESTORED);
      await expectEarlierPoint(restored);
      await restored.close();
    } finally {
      await server.close();
    }
  });
});
