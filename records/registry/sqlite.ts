/**
 * Everything that is SQLite's own: the connection, transactions that begin as writers, patience with other processes,
 * the worker's lock, and what its errors mean. Another database needs this file written again, and nothing else: see `postgres.ts`.
 */
import { realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Libsql from 'libsql';
import {
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type Kysely,
  type QueryResult,
} from 'kysely';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { checkBindable } from './bindable.js';
import type { Store } from './store.js';

/** How long SQLite itself waits for a lock: it blocks the whole process, so it is short. */
const BLOCKING_MS = 100;
const KEPT_STATEMENTS = 256;

/** `path` is a file, or `:memory:`. `patience` is how long, in ms, to wait for another process's transaction. */
export async function openSqlite(path: string, patience: number): Promise<Store> {
  const file = path === ':memory:' ? undefined : resolve(path);
  if (file !== undefined) checkPlace(file);
  const connection = await SqliteConnection.open(file ?? path, patience);
  const lock = file === undefined ? undefined : new FileLock(`${realpathSync(file)}.lock`);
  return {
    place: path,
    dialect: {
      createDriver: () => new ImmediateDriver(connection),
      createQueryCompiler: () => new SqliteQueryCompiler(),
      createAdapter: () => new SqliteAdapter(),
      createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
    },
    alone: { lock: () => lock?.take() ?? true, unlock: () => lock?.release() },
  };
}

function checkPlace(file: string): void {
  const directory = statSync(dirname(file), { throwIfNoEntry: false });
  if (directory?.isDirectory() !== true) {
    const message = `expected the directory of the registry ${file}, got none there: create it, or change \`registry\``;
    throw new MistakeError('REGISTRY_INVALID', message);
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
    throw new MistakeError('REGISTRY_INVALID', `expected a file for the registry, got the directory ${file}`);
}

/**
 * A plain `begin` takes the write lock only at the first write, when it is too late to wait for it: the transaction
 * has already read, and fails. `begin immediate` waits before it reads.
 */
class ImmediateDriver implements Driver {
  readonly #waiting: (() => void)[] = [];
  #busy = false;
  constructor(readonly connection: SqliteConnection) {}

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#busy) await new Promise<void>((turn) => this.#waiting.push(turn));
    this.#busy = true;
    return this.connection;
  }

  /** The connection passes straight to the one that waited longest: it never looks free in between. */
  async releaseConnection(): Promise<void> {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy = false;
    else next();
  }

  async beginTransaction(): Promise<void> {
    await this.connection.execute('begin immediate');
  }
  async commitTransaction(): Promise<void> {
    await this.connection.execute('commit');
  }
  async rollbackTransaction(): Promise<void> {
    // After a full disk SQLite has rolled back already; a second rollback would hide the first error.
    if (this.connection.inTransaction) await this.connection.execute('rollback');
  }
  async destroy(): Promise<void> {
    this.connection.close();
  }
}

/** Asking a statement whether it returns rows crosses into the native part: once is enough. */
interface Prepared {
  statement: ReturnType<InstanceType<typeof Libsql>['prepare']>;
  reader: boolean;
}

class SqliteConnection implements DatabaseConnection {
  readonly #statements = new Map<string, Prepared>();
  private constructor(
    readonly path: string,
    readonly patience: number,
    readonly database: InstanceType<typeof Libsql>,
  ) {}

  static async open(path: string, patience: number): Promise<SqliteConnection> {
    const connection = new SqliteConnection(path, patience, openFile(path, BLOCKING_MS));
    try {
      await connection.execute('pragma journal_mode = wal');
      await connection.execute('pragma synchronous = full');
      await connection.execute('pragma foreign_keys = on');
      return connection;
    } catch (error) {
      connection.close();
      throw openError(error, path);
    }
  }

  get inTransaction(): boolean {
    return this.database.inTransaction;
  }

  /**
   * By `exec`, never by a prepared statement: one that fails because of another process stays open until it is
   * collected, and this connection could not commit as long as it is.
   */
  async execute(sql: string): Promise<void> {
    await this.#patiently(() => this.database.exec(sql));
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#patiently(() => this.#run<R>(query));
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('the registry does not stream');
  }

  close(): void {
    this.#statements.clear();
    this.database.close();
  }

  #run<R>({ sql, parameters }: CompiledQuery): QueryResult<R> {
    checkBindable(parameters);
    const prepared = this.#statements.get(sql) ?? prepare(this.database, sql);
    // Taken out while it runs and put back only if it ended well: one that failed may keep its lock and its place.
    this.#statements.delete(sql);
    const result = read<R>(prepared, parameters);
    this.#statements.set(sql, prepared);
    if (this.#statements.size > KEPT_STATEMENTS) this.#statements.delete([...this.#statements.keys()][0] ?? '');
    return result;
  }

  /** Waits for another process without blocking this one. Inside a transaction the lock is already held. */
  async #patiently<T>(run: () => T): Promise<T> {
    const until = performance.now() + this.patience;
    for (;;) {
      try {
        return run();
      } catch (error) {
        if (!isBusy(error) || this.inTransaction || performance.now() > until) throw worldError(error, this.path);
        await sleep(5 + Math.random() * 20);
      }
    }
  }
}

function openFile(path: string, timeout: number): InstanceType<typeof Libsql> {
  try {
    return new Libsql(path, { timeout });
  } catch (error) {
    throw openError(error, path);
  }
}

function prepare(database: InstanceType<typeof Libsql>, sql: string): Prepared {
  const statement = database.prepare(sql);
  return { statement, reader: statement.reader };
}

function read<R>({ statement, reader }: Prepared, parameters: readonly unknown[]): QueryResult<R> {
  // `all`, never `get`: rows from `get` carry a property `_metadata` that no table has.
  if (reader) return { rows: statement.all(parameters) as R[] };
  return { numAffectedRows: BigInt(statement.run(parameters).changes), rows: [] };
}

/** A second database file in an exclusive transaction: the operating system frees it when the process dies. */
class FileLock {
  #held: InstanceType<typeof Libsql> | undefined;
  constructor(readonly path: string) {}

  take(): boolean {
    if (this.#held !== undefined) return true;
    const database = openFile(this.path, 0);
    try {
      database.exec('begin exclusive');
    } catch (error) {
      database.close();
      if (isBusy(error)) return false;
      throw worldError(error, this.path);
    }
    this.#held = database;
    return true;
  }

  release(): void {
    this.#held?.exec('rollback');
    this.#held?.close();
    this.#held = undefined;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function isBusy(error: unknown): boolean {
  return codeOf(error).startsWith('SQLITE_BUSY');
}

const WORLD = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|CANTOPEN|CORRUPT|NOTADB|READONLY|NOMEM|PROTOCOL|PERM|AUTH)/;

function worldError(error: unknown, path: string): unknown {
  const code = codeOf(error);
  if (!WORLD.test(code)) return error;
  const message = `the registry ${path} could not be read or written: ${(error as Error).message} (${code}); ${remedy(code)}`;
  return new WorldError('REGISTRY_BROKEN', message, { cause: error });
}

function remedy(code: string): string {
  if (code.startsWith('SQLITE_BUSY')) return 'another process holds a transaction open: find and end it';
  if (code === 'SQLITE_FULL') return 'free space on its disk';
  if (code.startsWith('SQLITE_READONLY')) return 'make the file and its directory writable';
  if (code.startsWith('SQLITE_CORRUPT')) return 'restore it from a copy';
  return 'look at its disk and permissions';
}

function openError(error: unknown, path: string): unknown {
  const cause = error instanceof WorldError ? error.cause : error;
  if (codeOf(cause) === 'SQLITE_NOTADB') {
    const message = `expected a registry at ${path}, got a file of another kind: change \`registry\`, or move the file away`;
    return new MistakeError('REGISTRY_INVALID', message);
  }
  const message = `the registry ${path} could not be opened: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new WorldError('REGISTRY_UNREACHABLE', message, { cause: error });
}
