/** Opens the site's SQLite database, and the lock that keeps a second agent out of the data directory. */
import { chmodSync, closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import { WorldError } from '../../policies/model/failure.js';
import { troubleOf } from '../disk/trouble.js';
import { makeDirectoryNow, syncDirectory } from '../files/durable.js';

export type Connection = Database.Database;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS streams (stream TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, stream TEXT NOT NULL, verb TEXT NOT NULL, digest TEXT NOT NULL,
    generation INTEGER NOT NULL, try INTEGER NOT NULL, body TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS commands_by_digest ON commands (stream, digest, verb, generation, try);
  CREATE TABLE IF NOT EXISTS events (
    epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (epoch, sequence)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS releases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, confirmed INTEGER NOT NULL, body TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS releases_by_stream ON releases (stream, confirmed, id);
  CREATE TABLE IF NOT EXISTS trees (digest TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS quarantine (
    stream TEXT NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (stream, digest)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS prefetches (stream TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS holds (stream TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS drifts (stream TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS conversions (target TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
`;

/** Opens (and on first use makes) the database. Every commit is on disk when it returns. */
export function openDatabase(dataDirectory: string): Connection {
  const path = join(dataDirectory, 'agent.db');
  try {
    // Before SQLite makes its log, which takes over the mode. The data directory itself stays readable: site programs read rendered
    // files in it. What is there is not opened: closing it would take away the locks that this process has on it.
    if (!existsSync(path)) closeSync(openSync(path, 'ax', 0o600));
    chmodSync(path, 0o600);
    const db = new Database(path);
    // The index of the log in memory of our own: a mapped file on a disk that turns read-only kills the process (SIGBUS).
    db.pragma('locking_mode = EXCLUSIVE');
    demandMode(db, 'wal');
    db.pragma('synchronous = FULL');
    db.exec(SCHEMA);
    // Nothing is guarded without these: a page of theirs that is damaged is said here, by name.
    for (const table of ['facts', 'streams']) db.prepare(`SELECT * FROM ${table}`).all();
    // SQLite syncs the directory of a new log too, and passes over an error of that.
    syncDirectory(dataDirectory);
    return db;
  } catch (error) {
    throw new WorldError('STORE_BROKEN', `expected a usable database at ${path}, got: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** SQLite may answer with the old mode instead of an error; in that one the last commit would not survive a power cut. */
function demandMode(db: Connection, mode: 'wal' | 'delete'): void {
  const [found] = db.pragma(`journal_mode = ${mode}`) as [{ journal_mode: string }];
  if (found.journal_mode !== mode) throw new Error(`the journal mode stayed ${found.journal_mode}, expected ${mode}`);
}

/**
 * Closes the database and frees it for the next: the binding keeps the file, and so its lock, until its statements are
 * collected. On a disk that takes nothing the lock stays until the process ends, and the log is read at the next start.
 * Returns what went wrong.
 */
export function closeDatabase(db: Connection): unknown {
  let wrong: unknown;
  try {
    demandMode(db, 'delete');
    db.pragma('locking_mode = NORMAL');
    db.prepare('SELECT count(*) FROM facts').get();
  } catch (error) {
    wrong = error;
  }
  db.close();
  return wrong;
}

/**
 * Takes the data directory for this process; returns how to give it back. The lock is an open exclusive transaction on a
 * database of its own: the kernel frees it when the process dies, kill -9 included, so it never has to be broken by hand.
 */
export function lockDirectory(dataDirectory: string): () => void {
  makeDirectoryNow(dataDirectory);
  const holderPath = join(dataDirectory, 'agent.pid');
  const lock = new Database(join(dataDirectory, 'agent.lock'));
  try {
    lock.pragma('journal_mode = DELETE');
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (troubleOf(error, dataDirectory) !== undefined) throw error;
    const holder = readHolder(holderPath);
    throw new WorldError(
      'AGENT_RUNNING',
      `expected no other agent on ${dataDirectory}, but process ${holder} has it (${messageOf(error)}); ` +
        'stop that agent, or give this one a data directory of its own',
    );
  }
  noteHolder(holderPath);
  return () => {
    lock.exec('ROLLBACK');
    lock.close();
  };
}

/** For people only: a disk that is full or fails must not keep the guard from undoing what was left half done. */
function noteHolder(path: string): void {
  try {
    writeFileSync(path, `${process.pid}\n`);
  } catch {
    // whoever is refused is told an older process, or none
  }
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return 'unknown';
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
