/** What an error of the disk means for a site, and how much room a change needs (design §5 "Store", rule 1; faults H3, H4, H7). */
import type { ReasonCode } from '../model/reasons.js';

/** `full`: makes room and goes on. `broken`: what was written since is not known to be durable; the site stops changing. */
export type DiskTrouble = 'full' | 'broken';

export const TROUBLE_CODES = { full: 'DISK_FULL', broken: 'STORAGE_FAULT' } as const satisfies Record<
  DiskTrouble,
  ReasonCode
>;

/** As Node and SQLite name it. `outside`: of a path that is not in the agent's own data directory. */
export interface DiskError {
  code: string;
  /** SQLite's extended code. */
  rawCode?: number | undefined;
  outside: boolean;
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL']);
const BROKEN = /^(EIO|SQLITE_(IOERR|CORRUPT|READONLY|NOTADB|CANTOPEN)(_\w+)?)$/;
/** The shared memory file could not be extended: SQLite calls a full disk an input/output error here. */
const IOERR_SHMSIZE = 4874;

/**
 * Undefined: no trouble of the disk. A read-only file system outside the data directory is none: a release may name a
 * wrong target, and must not stop every other stream by it.
 */
export function judgeDiskError({ code, rawCode, outside }: DiskError): DiskTrouble | undefined {
  if (FULL.has(code) || rawCode === IOERR_SHMSIZE) return 'full';
  if (BROKEN.test(code)) return 'broken';
  return code === 'EROFS' && !outside ? 'broken' : undefined;
}

const BLOCK = 4096;
/** The database's own log, and what the file system keeps of names. */
const MARGIN = 1024 * 1024;

/** Bytes on disk: whole blocks, and one more for the name. */
export function bytesOnDisk(size: number): number {
  return (Math.ceil(size / BLOCK) + 1) * BLOCK;
}

/** What staging writes: each file that is missing among the blobs, and a rendered copy of every file. */
export function roomToStage(files: readonly { size: number; missing: boolean }[]): number {
  const each = files.map(({ size, missing }) => bytesOnDisk(size) * (missing ? 2 : 1));
  return each.reduce((sum, bytes) => sum + bytes, MARGIN);
}

/** `undoBytes`: the largest directory and saved state that an undo may have to make anew. */
export function reserveSize(undoBytes: number, forJournal: number): number {
  return Math.ceil((undoBytes + forJournal) / BLOCK) * BLOCK;
}

/** Undefined, or why a change may not begin: what an undo needs comes first. */
export function judgeRoom(at: { free: number; needed: number; reserveWhole: boolean }): string | undefined {
  if (!at.reserveWhole) return 'the reserve that an undo needs cannot be made: the disk is full';
  if (at.free >= at.needed) return undefined;
  return `expected ${at.needed} bytes free for the release beside the reserve, there are ${at.free}`;
}
