/**
 * Room that only an undo and the journal may use: a file of real blocks in the data directory. A sparse one would promise
 * what the disk does not have; zeros would be swallowed by a file system that compresses.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, ftruncateSync, openSync, rmSync, statSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { reserveSize } from '../../policies/site/judge-disk.js';
import { syncDirectory } from '../files/durable.js';

/** For the journal entries of an undo, the database's log and its checkpoint. */
export const JOURNAL_BYTES = 4 * 1024 * 1024;
/** Given to one journal entry that found the disk full. */
const SLICE = 512 * 1024;
const CHUNK = 256 * 1024;
/** Left to others when the reserve is made anew, so that it does not itself fill the disk. */
const MARGIN = 512 * 1024;

export class Reserve {
  readonly path: string;
  private wanted: number;

  constructor(
    private readonly dataDirectory: string,
    private readonly forJournal = JOURNAL_BYTES,
  ) {
    this.path = join(dataDirectory, 'reserve');
    this.wanted = reserveSize(0, forJournal);
  }

  get size(): number {
    return this.wanted;
  }

  get whole(): boolean {
    return this.held() >= this.wanted;
  }

  /** Bytes that are really allocated. */
  held(): number {
    const found = statSync(this.path, { throwIfNoEntry: false });
    return found === undefined ? 0 : Math.min(found.size, found.blocks * 512);
  }

  free(): number {
    const { bavail, bsize } = statfsSync(this.dataDirectory);
    return bavail * bsize;
  }

  /** Makes the reserve large enough for an undo of `undoBytes`; false if there is no room for it. Throws what is not a lack of room. */
  ensure(undoBytes: number): boolean {
    this.wanted = reserveSize(undoBytes, this.forJournal);
    const held = this.held();
    if (held >= this.wanted) return true;
    if (this.free() < this.wanted - held + MARGIN) return false;
    return this.grow();
  }

  private grow(): boolean {
    const fd = openSync(this.path, 'a', 0o600);
    try {
      for (let at = statSync(this.path).size; at < this.wanted;) {
        at += writeSync(fd, randomBytes(Math.min(CHUNK, this.wanted - at)));
      }
      fsyncSync(fd);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
      throw error;
    } finally {
      closeSync(fd);
    }
    syncDirectory(this.dataDirectory);
    return this.held() >= this.wanted;
  }

  /** Room for one journal entry; false if nothing is left to give. What an undo needs is not touched. */
  giveSlice(): boolean {
    const held = this.held();
    const ofUndo = this.wanted - this.forJournal;
    if (held - SLICE < ofUndo) return false;
    const fd = openSync(this.path, 'r+');
    try {
      ftruncateSync(fd, held - SLICE);
    } finally {
      closeSync(fd);
    }
    return true;
  }

  /** All of it, for an undo; false if it was given up before, or if the disk does not even let a file be removed. */
  giveUp(): boolean {
    try {
      if (statSync(this.path, { throwIfNoEntry: false }) === undefined) return false;
      rmSync(this.path, { force: true });
      return true;
    } catch {
      return false;
    }
  }
}
