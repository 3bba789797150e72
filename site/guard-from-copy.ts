/**
 * A start on a disk that takes no write at all, as flash that has worn out or a file system after an error of its device: not
 * even the books open. They are read from a copy in memory, and what they say is half done is undone, before anything
 * else is tried. Nothing of it can be journaled: the next start that can write finds the same books, and does it again.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorldError } from '../policies/model/failure.js';
import { sha256Hex } from '../policies/signing/jcs.js';
import { messageOf } from './advance.js';
import type { Log, SiteContext } from './context.js';
import { guardAtBoot } from './guard.js';
import { revertAtBoot } from './revert.js';
import type { StreamRow, Trial } from './store/rows.js';

/** The books can be read and not written. Whoever opens the agent again later has it `guarded` already. */
export class DiskTakesNoWrite extends WorldError {
  constructor(dataDirectory: string, cause: unknown) {
    const message = `expected a data directory that takes writes at ${dataDirectory}, got: ${messageOf(cause)}`;
    super('STORE_BROKEN', message, { cause });
  }
}

/** Places that are memory on most machines, the surest first. */
const PLACES = ['/dev/shm', '/run', tmpdir()];
const BOOKS = ['agent.db', 'agent.db-wal'];

/**
 * `open` makes a context whose books are in the directory that it is given. Throws WorldError STORE_BROKEN. Whoever calls has
 * been refused the lock for the disk's sake: an agent that still held it would have been named (AGENT_RUNNING) before that.
 */
export async function guardFromCopy(
  dataDirectory: string,
  { log, observe = false }: { log: Log; observe?: boolean },
  open: (books: string) => SiteContext,
): Promise<void> {
  if (observe || !existsSync(join(dataDirectory, 'agent.db'))) return;
  const copy = copyBooks(dataDirectory);
  try {
    const context = open(copy);
    log.error({ dataDirectory }, 'the disk takes no write; guarding from a copy of the books');
    // What could not be undone is in the log; that the disk takes no write is what the caller has to hear.
    await guardAtBoot(context, undoWatched).catch(() => undefined);
    context.store.close();
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** On this disk it could never be confirmed, and nobody may watch it until its deadline. */
async function undoWatched(context: SiteContext, { stream }: StreamRow, trial: Trial): Promise<void> {
  const detail = 'found watching at a start whose disk takes no write';
  const undo = { cause: 'boot', reason: { code: 'STORAGE_FAULT', detail }, begunAt: context.clock.now() } as const;
  await revertAtBoot(context, stream, { trial, undo });
}

function copyBooks(dataDirectory: string): string {
  const refusals: string[] = [];
  for (const place of PLACES) {
    try {
      return copyBooksTo(join(place, `foothold-books-${sha256Hex(dataDirectory).slice(0, 16)}`), dataDirectory);
    } catch (error) {
      refusals.push(messageOf(error));
    }
  }
  const message = `expected room for a copy of the books of ${dataDirectory} in one of ${PLACES.join(', ')}`;
  throw new WorldError('STORE_BROKEN', `${message}, got: ${refusals.join('; ')}`);
}

/** What one that was killed has left there goes first; where it is somebody else's, that throws, and another place is taken. */
function copyBooksTo(copy: string, dataDirectory: string): string {
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { mode: 0o700 });
  try {
    for (const name of BOOKS) {
      if (existsSync(join(dataDirectory, name))) copyFileSync(join(dataDirectory, name), join(copy, name));
    }
    return copy;
  } catch (error) {
    rmSync(copy, { recursive: true, force: true });
    throw error;
  }
}
