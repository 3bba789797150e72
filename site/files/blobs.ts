/**
 * Content-addressed files below `blobs/` in the data directory. What was put there under a digest had that digest; disks rot, so
 * that nothing is taken for it unread.
 */
import { constants, renameSync, rmSync } from 'node:fs';
import { copyFile, open, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WorldError } from '../../policies/model/failure.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { demandDurable, makeDirectory, placeFile, temporaryBeside } from './durable.js';
import { fileDigest } from './tree.js';

export class Blobs {
  /** By digest: the end of whoever is the last to wait for this file. */
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(readonly directory: string) {}

  path(digest: string): string {
    const hex = digest.replace(/^sha256:/, '');
    return join(this.directory, hex.slice(0, 2), hex);
  }

  async has(digest: string): Promise<boolean> {
    return stat(this.path(digest)).then(
      (found) => found.isFile(),
      () => false,
    );
  }

  /** There, and read back with that digest. */
  async whole(digest: string): Promise<boolean> {
    return (await this.has(digest)) && (await fileDigest(this.path(digest))) === digest;
  }

  /**
   * One at a time for a file, however many streams want it: who comes later finds it there, or goes on from where it stopped.
   * `signal` ends the wait as well; the turn is then given up.
   */
  async inTurn<T>(digest: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.turns.get(digest);
    const mine = endOf(before, signal).then(work);
    const end = Promise.allSettled([before, mine]);
    this.turns.set(digest, end);
    void end.then(() => this.turns.get(digest) === end && this.turns.delete(digest));
    return mine;
  }

  async read(digest: string): Promise<Buffer> {
    const bytes = await readFile(this.path(digest));
    this.demand(digest, `sha256:${sha256Hex(bytes)}`);
    return bytes;
  }

  /** Keeps bytes; returns their digest. */
  async put(bytes: Uint8Array): Promise<string> {
    const digest = `sha256:${sha256Hex(bytes)}`;
    if (await this.whole(digest)) return digest;
    const path = this.path(digest);
    await makeDirectory(dirname(path));
    await placeFile(path, 0o600, async (file) => file.writeFile(bytes));
    return digest;
  }

  /** Copies a file in that has the digest; throws DIGEST_MISMATCH if it changed while it was copied. */
  async takeFrom(source: string, digest: string): Promise<void> {
    if (await this.whole(digest)) return;
    const path = this.path(digest);
    await makeDirectory(dirname(path));
    const temporary = temporaryBeside(path);
    await copyFile(source, temporary, constants.COPYFILE_FICLONE);
    await this.moveIn(temporary, digest);
  }

  /** Moves a complete file in after its digest was verified; a wrong one is deleted and refused. */
  async moveIn(file: string, digest: string): Promise<void> {
    const found = await fileDigest(file);
    if (found !== digest) rmSync(file, { force: true });
    this.demand(digest, found);
    const handle = await open(file, 'r+');
    try {
      await handle.chmod(0o600);
      await handle.sync();
    } catch (error) {
      // Resumed from, it would be read back whole from memory, and the next fsync would call it durable (fault H4).
      rmSync(file, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
    const path = this.path(digest);
    await makeDirectory(dirname(path));
    renameSync(file, path);
    demandDurable(path);
  }

  /** Writes a copy to `path`, which must not exist, verified while it is read. */
  async copyTo(digest: string, path: string, mode: number): Promise<void> {
    const bytes = await this.read(digest);
    const file = await open(path, 'wx', mode);
    try {
      await file.writeFile(bytes);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Deletes every blob that is not named. */
  async keepOnly(digests: Set<string>): Promise<void> {
    for (const prefix of await readdir(this.directory).catch(() => [])) {
      for (const hex of await readdir(join(this.directory, prefix))) {
        if (!digests.has(`sha256:${hex}`)) rmSync(join(this.directory, prefix, hex), { force: true });
      }
    }
  }

  private demand(expected: string, found: string): void {
    if (found === expected) return;
    throw new WorldError('DIGEST_MISMATCH', `expected content with digest ${expected}, got ${found}`);
  }
}

async function endOf(before: Promise<unknown> | undefined, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (before === undefined) return;
  const ended = new AbortController();
  const given = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: ended.signal });
  });
  try {
    await Promise.race([before, given]);
  } finally {
    ended.abort();
  }
}
