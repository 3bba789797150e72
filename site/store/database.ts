/** Opens the site's SQLite database, and the lock that keeps a second agent out of the data directory. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'libsql';
import { WorldError } from '../../policies/model/failure.js';
import { makeDirectoryNow } from '../files/durable.js';

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
  CREATE TABLE IF NOT EXISTS conversions (target TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
`;

/** Opens (and on first use makes) the database. Every commit is on disk when it returns. */
export function openDatabase(dataDirectory: string): Connection {
  const path = join(dataDirectory, 'agent.db');
  try {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec(SCHEMA);
    chmodSync(path, 0o600); // the data directory itself stays readable: site programs read rendered files in it
    return db;
  } catch (error) {
    throw new WorldError('STORE_BROKEN', `expected a usable database at ${path}, got: ${messageOf(error)}`, {
      cause: error,
    });
  }
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
