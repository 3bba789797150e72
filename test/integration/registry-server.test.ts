/** What only a server can do to the registry: be away, restart, be slow, ask for a password, hold what does not fit. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Kysely } from 'kysely';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../infra/dev/ports.js';
import { startRelay } from '../../infra/dev/relay.js';
import { judgeChain } from '../../policies/signing/chain.js';
import { readAddress } from '../../records/registry/address.js';
import { openRegistry } from '../../records/registry/open.js';
import { openPostgres } from '../../records/registry/postgres.js';
import type { Registry } from '../../records/registry/registry.js';
import type { Db, Tables } from '../../records/registry/tables.js';
import { frozenPlan, key } from '../records/registry/facts.js';
import { useDatabase, registryUnderTest } from '../records/registry/on-each-database.js';
import { ask, PostgresDatabase, withDatabase } from '../records/registry/postgres-database.js';

const directory = mkdtempSync(join(tmpdir(), 'foothold-postgres-'));
const database = new PostgresDatabase();
beforeAll(() => database.start({ directory }));
afterAll(async () => {
  await database.stop();
  rmSync(directory, { recursive: true, force: true });
});
useDatabase(database);
const underTest = registryUnderTest();

const UNREACHABLE = { name: 'WorldError', code: 'REGISTRY_UNREACHABLE' };
const BROKEN = { name: 'WorldError', code: 'REGISTRY_BROKEN' };

function append(registry: Registry, turn: number): Promise<void> {
  return registry.appendEvidence(key('r1', String(turn)), [{ kind: 'gate', data: { turn } }], 1);
}

/** As an activity is tried: again, with the same key, until it is done. */
async function persist(registry: Registry, turn: number, failures: unknown[]): Promise<void> {
  for (;;) {
    try {
      return await append(registry, turn);
    } catch (error) {
      failures.push(error);
      await sleep(50);
    }
  }
}

async function expectOneChain(registry: Registry, length: number): Promise<void> {
  const entries = await registry.evidence('r1');
  expect(entries).toHaveLength(length);
  expect(judgeChain(entries, await registry.evidenceHead('r1'))).toEqual({ ok: true });
}

describe('a server that goes away', () => {
  it.each(['crash', 'stop'] as const)(
    '[A43] O1: by a %s in the middle is waited out: each append is there once',
    async (how) => {
      const registry = await underTest.open();
      // Several clients are open, and lie idle while the server goes: their errors must end nobody.
      await Promise.all([...Array(8).keys()].map(() => registry.evidence('r1')));
      const failures: unknown[] = [];
      const appending = [...Array(60).keys()].map((turn) => persist(registry, turn, failures));
      await sleep(100);
      if (how === 'crash') await database.server.crash();
      await database.server.restart();
      await Promise.all(appending);
      await expectOneChain(registry, 60);
      expect(failures.length).toBeGreaterThan(0);
      for (const failure of failures) expect(failure).toMatchObject(UNREACHABLE);
    },
  );

  it('and comes back finds idle clients replaced', async () => {
    const registry = await underTest.open();
    await append(registry, 1);
    await database.server.restart();
    await sleep(100);
    await append(registry, 2);
    await expectOneChain(registry, 2);
  });

  it('without a word is given up on in time, and used again when it is back', async () => {
    const { url } = await underTest.place();
    await (await underTest.open()).close();
    const relay = await startRelay({ target: new URL(url).host });
    const registry = await openRegistry(Object.assign(new URL(url), { host: relay.address }).href, { patience: 400 });
    try {
      await append(registry, 1);
      relay.cut();
      const began = performance.now();
      await expect(append(registry, 2)).rejects.toMatchObject(UNREACHABLE);
      await expect(registry.evidence('r1')).rejects.toMatchObject(UNREACHABLE);
      expect(performance.now() - began).toBeLessThan(10_000);
      relay.restore();
      await persist(registry, 2, []);
      await expectOneChain(registry, 2);
    } finally {
      relay.restore();
      await registry.close();
      await relay.stop();
    }
  });
});

describe('other users of the database', () => {
  it('that hold the lock of the writers are waited for, then said to be there; readers do not wait', async () => {
    const registry = await underTest.open({ patience: 300 });
    await append(registry, 1);
    const other = new pg.Client((await underTest.place()).url);
    await other.connect();
    await other.query('begin; select pg_advisory_xact_lock(7381240860042554468)');
    const waiting = [...Array(20).keys()].map((turn) => append(registry, turn + 2));
    const answers = Promise.allSettled(waiting);
    expect(await registry.evidence('r1')).toHaveLength(1);
    const refused = (await answers).map((answer) =>
      answer.status === 'rejected' ? (answer.reason as unknown) : answer,
    );
    expect(refused.length).toBe(20);
    for (const reason of refused) expect(reason).toMatchObject(BROKEN);
    expect(String(refused[0])).toContain('pg_stat_activity');
    setTimeout(() => void other.query('rollback'), 100);
    await append(registry, 2);
    await expectOneChain(registry, 2);
    await other.end();
  });

  it('may keep tables of their own beside it, in other schemas', async () => {
    const other = await database.newPlace();
    await other.sql('create table foothold_schema (mine text)');
    await other.sql('create table state (stream text)');
    await append(await underTest.open(), 1);
  });

  it('do not wait for ever for a writer that hangs: the server ends it', async () => {
    await (await underTest.open()).close();
    const address = readAddress((await underTest.place()).url);
    if (address.kind !== 'postgres') throw new Error('expected PostgreSQL');
    const db: Db = new Kysely<Tables>({ dialect: (await openPostgres(address, 300)).dialect });
    const hanging = db.transaction().execute(async (tx) => {
      await tx.insertInto('streams').values({ stream: 'hangs', next_generation: 1 }).execute();
      await sleep(1_500);
    });
    const ended = hanging.catch((error: unknown) => error);
    await sleep(100);
    const registry = await underTest.open();
    const began = performance.now();
    await append(registry, 1);
    expect(performance.now() - began).toBeLessThan(1_300);
    expect(await ended).toMatchObject(UNREACHABLE);
    expect(await (await underTest.place()).sql('select * from streams')).toEqual([]);
    await db.destroy();
  });
});

describe('a database that does not fit', () => {
  it.each([
    ['search_path%3Dnowhere', 'search_path'],
    ['client_min_messages%3Dnonsense', 'client_min_messages'],
  ])('is refused by name: options=-c %s', async (options, said) => {
    await expect(openRegistry(`${database.server.url}?options=-c%20${options}`)).rejects.toThrow(said);
  });

  it('of another encoding is refused: names and reasons would not fit', async () => {
    await ask(
      database.server.url,
      `create database plain encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0`,
    );
    await expect(openRegistry(withDatabase(database.server.url, 'plain'))).rejects.toMatchObject({
      code: 'REGISTRY_INVALID',
      message: expect.stringContaining('got SQL_ASCII') as string,
    });
  });

  it('that takes no writes says so', async () => {
    await (await underTest.open()).close();
    const { url } = await underTest.place();
    const registry = await openRegistry(url.replace('-c%20', '-c%20default_transaction_read_only%3Don%20-c%20'));
    await expect(append(registry, 1)).rejects.toMatchObject({
      ...BROKEN,
      message: expect.stringContaining('name the primary') as string,
    });
    await registry.close();
  });

  it('with a number that JavaScript would round is not read wrongly', async () => {
    const registry = await underTest.open();
    await registry.adoptGeneration('edge-proxy', 1);
    const { sql } = await underTest.place();
    await sql(`update streams set next_generation = 9007199254740993`);
    const run = { firstRunId: 'r1', workflowId: 'w1' };
    await expect(registry.freeze(frozenPlan(), run, 1)).rejects.toMatchObject({
      ...BROKEN,
      message: expect.stringContaining('below 2^53') as string,
    });
    await sql(`update streams set next_generation = 41`);
    expect((await registry.freeze(frozenPlan(), run, 1)).generation).toBe(41);
  });
});

describe('the password', () => {
  const SECRET = 's3cret/w%rd@#?';
  const mine = (): URL =>
    Object.assign(new URL(database.server.url), { username: 'kari', password: encodeURIComponent(SECRET), search: '' });
  beforeAll(async () => {
    await ask(database.server.url, `create role kari login password '${SECRET}' superuser`);
  });
  beforeEach(() => {
    for (const name of ['PGPASSWORD', 'PGUSER', 'PGHOST', 'PGPORT', 'PGDATABASE', 'PGPASSFILE'])
      vi.stubEnv(name, undefined);
  });
  afterEach(() => vi.unstubAllEnvs());

  /** Wherever it could hide: message, stack, causes, properties, hidden ones too. */
  function expectNoSecret(error: unknown): void {
    const all = inspect(error, { depth: 20, showHidden: true, maxStringLength: null, getters: true });
    for (const form of [SECRET, encodeURIComponent(SECRET), 'wrong-guess']) expect(all).not.toContain(form);
  }

  it('opens the registry, from the address, from PGPASSWORD, and from .pgpass', async () => {
    await (await openRegistry(mine().href)).close();
    const without = Object.assign(mine(), { password: '' }).href;
    await expect(openRegistry(without)).rejects.toMatchObject(UNREACHABLE);
    vi.stubEnv('PGPASSWORD', SECRET);
    await (await openRegistry(without)).close();
    vi.stubEnv('PGPASSWORD', undefined);
    const file = join(directory, 'pgpass');
    writeFileSync(file, `127.0.0.1:*:*:kari:${SECRET}\n`, { mode: 0o600 });
    vi.stubEnv('PGPASSFILE', file);
    await (await openRegistry(without)).close();
  });

  it('and all the rest may come from PG variables', async () => {
    const { hostname, port, username, password } = new URL(database.server.url);
    const given = { PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password, PGDATABASE: 'postgres' };
    for (const [name, value] of Object.entries(given)) vi.stubEnv(name, value);
    const registry = await openRegistry('postgres:///?options=-c%20search_path%3Dpg_temp,public');
    await registry.close();
  });

  it.each<[string, (url: URL) => void, string]>([
    ['a wrong one', (url) => (url.password = 'wrong-guess'), 'REGISTRY_UNREACHABLE'],
    [
      'a wrong one as a parameter',
      (url) => ((url.password = ''), (url.search = '?password=wrong-guess')),
      'REGISTRY_UNREACHABLE',
    ],
    ['nobody there', (url) => (url.port = '1'), 'REGISTRY_UNREACHABLE'],
    ['no such host', (url) => (url.hostname = 'nowhere.invalid'), 'REGISTRY_UNREACHABLE'],
    ['no such database', (url) => (url.pathname = '/nothing'), 'REGISTRY_UNREACHABLE'],
    ['no TLS there', (url) => (url.search = '?sslmode=require'), 'REGISTRY_UNREACHABLE'],
    ['a certificate that is not there', (url) => (url.search = '?sslrootcert=/nowhere/ca.pem'), 'REGISTRY_UNREACHABLE'],
  ])('is in no error: %s', async (_what, spoil, code) => {
    const url = mine();
    spoil(url);
    const error: unknown = await openRegistry(url.href).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(/postgres:\/\/[\w.]+:\d+\//) as string });
    expectNoSecret(error);
  });

  it('is in no error either when it was written as it is, and the address cannot be read', async () => {
    const { host } = mine();
    for (const url of [
      `postgres://kari:${SECRET}@${host}/x`,
      `postgres://kari:12/34wrong-guess@${host}/x`,
      'postgres://[',
    ])
      await openRegistry(url).then(
        () => expect.unreachable(),
        (error: unknown) => {
          expect(error).toMatchObject({ name: 'MistakeError', code: 'REGISTRY_INVALID' });
          expectNoSecret(error);
        },
      );
  });

  it('is in no error of a statement, or of a server that went away meanwhile', async () => {
    const { url } = await underTest.place();
    const named = Object.assign(new URL(url), { username: 'kari', password: encodeURIComponent(SECRET) });
    const registry = await openRegistry(named.href);
    await registry.lockForWorker('worker-1');
    const { sql } = await underTest.place();
    await sql('drop table evidence_heads');
    const broken: unknown = await append(registry, 2).catch((thrown: unknown) => thrown);
    expect(String(broken)).toContain('evidence_heads');
    expectNoSecret(broken);
    await database.server.stop();
    const gone: unknown = await append(registry, 3).catch((thrown: unknown) => thrown);
    expect(gone).toMatchObject(UNREACHABLE);
    expectNoSecret(gone);
    // A worker that ends must be able to, with its row in a database that is gone.
    await registry.close();
    await database.server.restart();
  });
});

describe('closing', () => {
  it('leaves no connection behind', async () => {
    const registry = await underTest.open();
    await Promise.all([...Array(20).keys()].map((turn) => append(registry, turn)));
    const count = `select count(*) as n from pg_stat_activity where application_name = 'foothold'`;
    expect(Number(((await ask(database.server.url, count)) as { n: number }[])[0]?.n)).toBeGreaterThan(0);
    await registry.close();
    await vi.waitFor(async () => expect(await ask(database.server.url, count)).toEqual([{ n: 0 }]), 5_000);
  });

  it('a port where nobody listens is no registry', async () => {
    await expect(openRegistry(`postgres://127.0.0.1:${await freePort()}/x`)).rejects.toMatchObject(UNREACHABLE);
  });
});
