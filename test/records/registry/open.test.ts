import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Libsql from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STEPS } from '../../../records/registry/migrations.js';
import { openRegistry } from '../../../records/registry/open.js';
import { key, report } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();

describe('opening the registry', () => {
  it('keeps what was written, and the schema that was applied', async () => {
    const first = await underTest.open();
    await first.appendEvidence(key('r1', '1'), [{ kind: 'plan', data: {} }], 1);
    await first.close();
    const second = await underTest.open();
    expect(await second.evidence('r1')).toHaveLength(1);
    const { sql } = await underTest.place();
    expect(await sql('select version, name from foothold_schema order by version')).toEqual(
      STEPS.map(({ name }, index) => ({ version: index + 1, name })),
    );
  });

  it('refuses a schema that is newer than the program, by name', async () => {
    await (await underTest.open()).close();
    const { sql } = await underTest.place();
    await sql(`insert into foothold_schema (version, name, applied_at) values (99, 'from the future', 1)`);
    await expect(underTest.open()).rejects.toMatchObject({
      name: 'MistakeError',
      code: 'REGISTRY_NEWER',
      message: expect.stringContaining('version 99 ("from the future")') as string,
    });
  });

  it('refuses a database with other tables, and leaves it as it was', async () => {
    const { sql } = await underTest.place();
    await sql('create table state (stream text)');
    await expect(underTest.open()).rejects.toMatchObject({
      code: 'REGISTRY_INVALID',
      message: expect.stringContaining('other tables (state)') as string,
    });
    await expect(sql('select * from foothold_schema')).rejects.toThrow('foothold_schema');
  });

  it('orders names by their bytes, whatever the language of the database', async () => {
    const registry = await underTest.openEmpty();
    const names = ['b-1', 'B1', 'b1', 'Z', 'a', '_x', 'ø', 'z'];
    for (const site of names) await registry.recordReport(report(site), 1);
    const byBytes = names.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    expect([...(await registry.reports()).keys()]).toEqual(byBytes);
  });

  it('takes a hundred calls at once in the order they were made', async () => {
    const registry = await underTest.open();
    const calls = [...Array(100).keys()].map((turn) =>
      registry.appendEvidence(key('r1', String(turn)), [{ kind: 'gate', data: { turn } }], 1),
    );
    await Promise.all(calls);
    expect((await registry.evidence('r1')).map((entry) => entry.data['turn'])).toEqual([...Array(100).keys()]);
  });
});

describe('what the database cannot hold', () => {
  it('is refused before it gets there: a NUL would be cut off in silence', async () => {
    const registry = await underTest.openEmpty();
    await expect(registry.allow('s', 'd', undefined, 'kari\0', 'why', 1)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    // A boolean would end the whole process.
    await expect(registry.recordRun('r1', true as unknown as number, 'r1')).rejects.toThrow('no boolean');
  });
});

describe('an address', () => {
  it.each([
    ['mysql://user:secret@db', 'REGISTRY_INVALID', 'got mysql:'],
    ['registry.db', 'REGISTRY_INVALID', 'sqlite:PATH'],
    ['sqlite:', 'REGISTRY_INVALID', 'sqlite:PATH'],
  ])('answers %s clearly, and never prints a password', async (url, code, text) => {
    const error: unknown = await openRegistry(url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'MistakeError', code, message: expect.stringContaining(text) as string });
    expect(String(error)).not.toContain('secret');
  });
});

describe.runIf(underTest.database === 'SQLite')('a file', () => {
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'foothold-registry-'));
    file = join(directory, 'registry.db');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('is written ahead of itself, so that a reader never waits for a writer', async () => {
    await underTest.open();
    const { sql } = await underTest.place();
    expect(await sql('pragma journal_mode')).toEqual([{ journal_mode: 'wal' }]);
  });

  it('that is no registry is refused, and left as it was', async () => {
    const text = 'a text file that someone named in foothold.yaml, longer than a header of a database. '.repeat(20);
    writeFileSync(file, text);
    await expect(openRegistry(`sqlite:${file}`)).rejects.toMatchObject({ code: 'REGISTRY_INVALID' });
    expect(readFileSync(file, 'utf8')).toBe(text);
    mkdirSync(join(directory, 'folder'));
    await expect(openRegistry(`sqlite:${directory}/folder`)).rejects.toMatchObject({ code: 'REGISTRY_INVALID' });
    await expect(openRegistry(`sqlite:${directory}/none/registry.db`)).rejects.toThrow('create it');
  });

  it('that another process writes is waited for, then said to be busy', async () => {
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
});
