/**
 * A start on a disk that takes no write at all, as flash that has worn out or a file system after an error of its device: not
 * even the books open. They are read from a copy in memory, and what they say is half done is undone, before anything
 * else is tried. Nothing of it can be journaled: the next start that can write finds the same books, and does it again.
 */
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorldError } from '../policies/model/failure.js';
import { decideAtBoot, type BootDecision } from '../policies/site/decide-boot.js';
import { sha256Hex } from '../policies/signing/jcs.js';
import { messageOf } from './advance.js';
import { momentOf } from './clock.js';
import type { Log, SiteContext } from './context.js';
import { revertAtBoot } from './revert.js';
import type { StreamRow, Undo } from './store/rows.js';

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
  if (observe || !BOOKS.slice(0, 1).every((name) => existsSync(join(dataDirectory, name)))) return;
  const copy = copyBooks(dataDirectory);
  try {
    const context = open(copy);
    log.error({ dataDirectory }, 'the disk takes no write; guarding from a copy of the books');
    for (const row of context.store.streams()) await guardStream(context, row);
    context.store.close();
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

async function guardStream(context: SiteContext, row: StreamRow): Promise<void> {
  const { stream, trial } = row;
  const undo = undoOf(decideAtBoot(row.state, trial, momentOf(context.clock)), row, context.clock.now());
  if (!trial || !undo) return;
  try {
    await revertAtBoot(context, stream, { trial, undo });
    const { state } = context.store.stream(stream);
    context.log.warn({ stream, state, cause: undo.cause, reason: undo.reason }, 'undone, and not journaled');
  } catch (error) {
    context.log.error({ stream, error: messageOf(error) }, 'not undone');
  }
}

/** What is on trial is undone as well: on this disk it could never be confirmed, and nobody may watch it until its deadline. */
function undoOf(decision: BootDecision, { trial }: StreamRow, begunAt: number): Undo | undefined {
  switch (decision.kind) {
    case 'carry-on':
    case 'give-up':
      return undefined;
    case 'undo':
      return { cause: decision.cause, reason: decision.reason, begunAt };
    case 'finish-undo':
      return trial?.undo;
    case 'resume-watch': {
      const detail = 'found watching at a start whose disk takes no write';
      return { cause: 'boot', reason: { code: 'STORAGE_FAULT', detail }, begunAt };
    }
  }
}

function copyBooks(dataDirectory: string): string {
  const refusals: string[] = [];
  for (const place of PLACES) {
    let copy: string | undefined;
    try {
      copy = join(place, `foothold-books-${sha256Hex(dataDirectory).slice(0, 16)}`);
      // Left by one that was killed; where it is somebody else's, another place is taken.
      rmSync(copy, { recursive: true, force: true });
      mkdirSync(copy, { mode: 0o700 });
      for (const name of BOOKS) {
        if (existsSync(join(dataDirectory, name))) copyFileSync(join(dataDirectory, name), join(copy, name));
      }
      return copy;
    } catch (error) {
      refusals.push(messageOf(error));
      if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
    }
  }
  const message = `expected room for a copy of the books of ${dataDirectory} in one of ${PLACES.join(', ')}`;
  throw new WorldError('STORE_BROKEN', `${message}, got: ${refusals.join('; ')}`);
}
