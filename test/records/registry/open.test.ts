import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Libsql from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRegistry } from '../../../records/registry/open.js';
import { key } from './facts.js';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-registry-'));
  file = join(directory, 'registry.db');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function sql(statement: string): unknown[] {
  const database = new Libsql(file);
  try {
    return database.prepare(statement).all();
  } finally {
    database.close();
  }
}

describe('opening the registry', () => {
  it('keeps what was written, and the schema that was applied', async () => {
    const first = await openRegistry(`sqlite:${file}`);
    await first.appendEvidence(key('r1', '1'), [{ kind: 'plan', data: {} }], 1);
    await first.close();
    const second = await openRegistry(`sqlite:${file}`);
    expect(await second.evidence('r1')).toHaveLength(1);
    await second.close();
    expect(sql('select version, name from foothold_schema')).toEqual([{ version: 1, name: 'first tables' }]);
    expect(sql('pragma journal_mode')).toEqual([{ journal_mode: 'wal' }]);
  });

  it('refuses a schema that is newer than the program, by name', async () => {
    await (await openRegistry(`sqlite:${file}`)).close();
    sql(`insert into foothold_schema values (2, 'debts', 1)`);
    await expect(openRegistry(`sqlite:${file}`)).rejects.toMatchObject({
      name: 'MistakeError',
      code: 'REGISTRY_NEWER',
      message: expect.stringContaining('version 2 ("debts")') as string,
    });
  });

  it('refuses what is no registry, and leaves it as it was', async () => {
    writeFileSync(
      file,
      'a text file that someone named in foothold.yaml, longer than a header of a database. '.repeat(20),
    );
    await expect(openRegistry(`sqlite:${file}`)).rejects.toMatchObject({ code: 'REGISTRY_INVALID' });
    rmSync(file);
    sql('create table state (stream text)');
    await expect(openRegistry(`sqlite:${file}`)).rejects.toThrow('other tables (state)');
    expect(sql('select name from sqlite_master')).toEqual([{ name: 'state' }]);
    mkdirSync(join(directory, 'folder'));
    await expect(openRegistry(`sqlite:${directory}/folder`)).rejects.toMatchObject({ code: 'REGISTRY_INVALID' });
    await expect(openRegistry(`sqlite:${directory}/none/registry.db`)).rejects.toThrow('create it');
  });

  it.each([
    ['postgres://user:secret@db/foothold', 'NOT_AVAILABLE', 'PostgreSQL registry is not available yet'],
    ['postgresql://db/foothold', 'NOT_AVAILABLE', 'not available yet'],
    ['mysql://user:secret@db', 'REGISTRY_INVALID', 'got mysql:'],
    ['registry.db', 'REGISTRY_INVALID', 'sqlite:PATH'],
    ['sqlite:', 'REGISTRY_INVALID', 'sqlite:PATH'],
  ])('answers %s clearly, and never prints a password', async (url, code, text) => {
    const error: unknown = await openRegistry(url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'MistakeError', code, message: expect.stringContaining(text) as string });
    expect(String(error)).not.toContain('secret');
  });

  it('waits for another process, then says that the registry is busy', async () => {
    const registry = await openRegistry(`sqlite:${file}`, { patience: 300 });
    const other = new Libsql(file);
    other.exec('begin immediate');
    const write = (now: number) => registry.appendEvidence(key('r1', '1'), [{ kind: 'plan', data: {} }], now);
    await expect(write(1)).rejects.toMatchObject({ name: 'WorldError', code: 'REGISTRY_BROKEN' });
    // Readers are not in anyone's way.
    expect(await registry.evidence('r1')).toEqual([]);
    setTimeout(() => other.exec('rollback'), 150);
    await write(2);
    expect(await registry.evidence('r1')).toHaveLength(1);
    other.close();
    await registry.close();
  });

  it('takes a hundred calls at once in the order they were made', async () => {
    const registry = await openRegistry(`sqlite:${file}`);
    const calls = [...Array(100).keys()].map((turn) =>
      registry.appendEvidence(key('r1', String(turn)), [{ kind: 'gate', data: { turn } }], 1),
    );
    await Promise.all(calls);
    expect((await registry.evidence('r1')).map((entry) => entry.data['turn'])).toEqual([...Array(100).keys()]);
    await registry.close();
  });
});

describe('what the database cannot hold', () => {
  it('is refused before it gets there: a NUL would be cut off in silence', async () => {
    const registry = await openRegistry('sqlite::memory:');
    await expect(registry.allow('s', 'd', undefined, 'kari\0', 'why', 1)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    // A boolean would end the whole process.
    await expect(registry.recordRun('r1', true as unknown as number, 'r1')).rejects.toThrow('no boolean');
    await registry.close();
  });
});
