/** Places on a real PostgreSQL: a schema each, which the address names. */
import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { startPostgres, type PostgresServer } from '../../../infra/dev/postgres.js';
import { findProgram } from '../../../infra/programs/find.js';
import type { Database, Place } from './on-each-database.js';

const execute = promisify(execFile);

/** Text of this database is ordered as English dictionaries do, unless a table says otherwise. */
const ENGLISH = `create database english encoding 'UTF8' locale_provider icu icu_locale 'en' template template0`;

export class PostgresDatabase implements Database {
  readonly name = 'PostgreSQL';
  #server: PostgresServer | undefined;
  #url = '';
  #places = 0;

  get server(): PostgresServer {
    if (this.#server === undefined) throw new Error('expected PostgreSQL to be started before it is used');
    return this.#server;
  }

  /** `inEnglish`: its places are in a database whose language would order names otherwise than SQLite does. */
  async start(options: { directory: string; durable?: boolean; inEnglish?: boolean }): Promise<void> {
    this.#server = await startPostgres(options);
    this.#url = this.server.url;
    if (options.inEnglish !== true) return;
    // Before version 15 no database has such an order.
    await ask(this.#url, ENGLISH).then(
      () => (this.#url = withDatabase(this.server.url, 'english')),
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }

  async newPlace(): Promise<Place> {
    const schema = `place_${++this.#places}`;
    await ask(this.#url, `create schema ${schema}`);
    const url = `${this.#url}?options=-c%20search_path%3D${schema}`;
    return {
      url,
      sql: (statement) => ask(url, statement),
      backup: () => this.#backup(schema),
      // Left to the end of the server: dropping its tables one by one would take longer than the test.
      remove: async () => undefined,
    };
  }

  /** Only the schema of the place: the others are of other tests. */
  async #backup(schema: string): Promise<string | undefined> {
    const [dump, restore] = [await clientProgram('pg_dump'), await clientProgram('pg_restore')];
    if (dump === undefined || restore === undefined) return undefined;
    const directory = mkdtempSync(join(tmpdir(), 'foothold-dump-'));
    try {
      const file = join(directory, 'registry.dump');
      await execute(dump, ['--format=custom', `--schema=${schema}`, `--file=${file}`, `--dbname=${this.#url}`]);
      await ask(this.server.url, `create database restored_${schema} template template0 encoding 'UTF8'`);
      const restored = withDatabase(this.server.url, `restored_${schema}`);
      await execute(restore, ['--no-owner', '--exit-on-error', `--dbname=${restored}`, file]);
      return `${restored}?options=-c%20search_path%3D${schema}`;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

/** Beside the server, on PATH, or in the package that set-up fetched; undefined if it is nowhere. */
async function clientProgram(name: 'pg_dump' | 'pg_restore'): Promise<string | undefined> {
  const server = realpathSync((await findProgram('postgres')).path);
  const client = await findProgram('pg_dump').catch(() => undefined);
  const folders = [server, ...(client === undefined ? [] : [client.path])].map((path) => dirname(path));
  for (const path of [...folders.map((folder) => join(folder, name)), name])
    if (
      await execute(path, ['--version']).then(
        () => true,
        () => false,
      )
    )
      return path;
  return undefined;
}

export function withDatabase(url: string, database: string): string {
  return Object.assign(new URL(url), { pathname: `/${database}` }).href;
}

/** One statement on a connection of its own. Whole numbers come as numbers, as from the other database. */
export async function ask(url: string, statement: string): Promise<unknown[]> {
  const types = { getTypeParser: (oid: number) => (text: string) => ([20, 23].includes(oid) ? Number(text) : text) };
  const client = new pg.Client({ connectionString: url, types: types });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<pg.QueryResultRow>(statement)).rows;
  } finally {
    await client.end();
  }
}
