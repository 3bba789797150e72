/** The site's real database, with a door for faults: commits that fail or are where the process dies, and a full disk. */
import Database from 'libsql';
import { basename } from 'node:path';
import { disk, realFs, type DiskFault } from './disk.js';
import { demandAlive, Killed, machine } from './machine.js';

type Connection = Database.Database;
interface Prepared {
  run: (this: Prepared, ...given: unknown[]) => unknown;
  get: (this: Prepared, ...given: unknown[]) => unknown;
  all: (this: Prepared, ...given: unknown[]) => unknown[];
}

const prototype = Database.prototype as unknown as {
  prepare: (this: Connection, sql: string) => Prepared;
  exec: (this: Connection, sql: string) => void;
};
const { prepare, exec } = prototype;
const opened = new Map<Connection, string>();

/** Of the agent under way; the harness reads what is committed through it. `writes` grows with whatever may have changed it. */
export const books: { db: Connection | undefined; writes: number } = { db: undefined, writes: 0 };

export const dbFault: {
  /** As long as it is set. */
  mode: DiskFault | undefined;
  /** Commits from now to one that fails. */
  failAfter: number | undefined;
  /** Reads from now to those that fail. */
  reads: { after: number; times: number } | undefined;
  onFault: (what: string) => void;
} = { mode: undefined, failAfter: undefined, reads: undefined, onFault: () => undefined };

export function readAll<T>(sql: string, ...given: unknown[]): T[] {
  if (!books.db) throw new Error('no agent has its database open');
  return prepare.call(books.db, sql).all(...given) as T[];
}

/** For good. */
export function patchDatabase(): void {
  prototype.prepare = function (this: Connection, sql: string) {
    demandAlive();
    take(this);
    const statement = prepare.call(this, sql);
    if (this !== books.db) return statement;
    const reads = sql.startsWith('SELECT');
    const { run, get, all } = { run: statement.run, get: statement.get, all: statement.all };
    return Object.assign(statement, {
      run: (...given: unknown[]) => {
        demandAlive();
        const commits = sql === 'COMMIT';
        if (commits) machine.mayKill('commit', 'before');
        refuse(this, sql);
        books.writes += 1;
        const answer = run.apply(statement, given);
        if (commits) machine.mayKill('commit', 'after');
        return answer;
      },
      get: (...given: unknown[]) => {
        demandAlive();
        if (reads) refuseRead();
        else books.writes += 1;
        return get.apply(statement, given);
      },
      all: (...given: unknown[]) => {
        demandAlive();
        if (reads) refuseRead();
        else books.writes += 1;
        return all.apply(statement, given);
      },
    });
  };
  prototype.exec = function (this: Connection, sql: string) {
    demandAlive();
    take(this);
    books.writes += 1;
    exec.call(this, sql);
  };
}

/** A copy of the books outside the simulated disk is not the books. */
function take(db: Connection): void {
  if (opened.has(db)) return;
  const [main] = prepare.call(db, 'PRAGMA database_list').all() as { file: string }[];
  const file = main?.file ?? '';
  opened.set(db, basename(file));
  if (basename(file) === 'agent.db' && disk.isHere(file)) books.db = db;
}

/** SQLite's own answers, at the places where the disk would have given them. */
function refuse(db: Connection, sql: string): void {
  if (sql === 'BEGIN IMMEDIATE' && dbFault.mode === 'EROFS')
    fail('SQLITE_READONLY', 'attempt to write a readonly database');
  if (sql !== 'COMMIT') return;
  const counted = dbFault.failAfter !== undefined && dbFault.failAfter-- <= 0;
  if (counted) dbFault.failAfter = undefined;
  if (!counted && dbFault.mode !== 'EIO') return;
  prepare.call(db, 'ROLLBACK').run();
  fail('SQLITE_IOERR', 'disk I/O error');
}

function refuseRead(): void {
  const { reads } = dbFault;
  if (!reads || reads.after-- > 0) return;
  if (--reads.times <= 0) dbFault.reads = undefined;
  fail('SQLITE_IOERR', 'disk I/O error', 266);
}

function fail(code: string, message: string, rawCode?: number): never {
  dbFault.onFault(`${code}${rawCode === undefined ? '' : ` (${rawCode})`} in the database`);
  throw Object.assign(new Error(message), { code, name: 'SqliteError', ...(rawCode && { rawCode }) });
}

/** A full disk, by SQLite's own limit: whatever needs a new page fails. */
export function fillDatabase(full: boolean): void {
  if (!books.db) return;
  const [row] = readAll<{ page_count: number }>('PRAGMA page_count');
  prepare.call(books.db, `PRAGMA max_page_count = ${full ? (row?.page_count ?? 1) : 1_000_000}`).all();
}

/**
 * The process is dead: its databases stay as they lie on disk, uncommitted pages and all. Closing them in order would tidy up
 * (write the log back, delete it), so the files are put aside and put back. `torn`: bytes after the last commit.
 */
export function abandonDatabases(dataDirectory: string, torn: Uint8Array | undefined): void {
  const files = ['agent.db', 'agent.db-wal'].map((name) => `${dataDirectory}/${name}`);
  const kept = files.map((path) => (realFs.existsSync(path) ? realFs.readFileSync(path) : undefined));
  for (const db of opened.keys()) closeQuietly(db);
  opened.clear();
  books.db = undefined;
  for (const [index, path] of files.entries()) {
    const bytes = kept[index];
    // Another file of the same name: the binding may hold its lock on the old one until it is collected.
    realFs.rmSync(path, { force: true });
    if (bytes !== undefined)
      realFs.writeFileSync(path, torn && basename(path).endsWith('-wal') ? Buffer.concat([bytes, torn]) : bytes);
  }
  realFs.rmSync(`${dataDirectory}/agent.db-shm`, { force: true });
}

function closeQuietly(db: Connection): void {
  // Closed by the agent itself; asking a closed connection for its transaction ends the process (libsql 0.5).
  if (!db.open) return;
  try {
    if (db.inTransaction) exec.call(db, 'ROLLBACK');
    db.close();
  } catch (error) {
    if (error instanceof Killed) throw error;
    // it is gone either way
  }
}
