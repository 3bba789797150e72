/** Files that survive a power cut: temporary name, fsync, rename, fsync of the directory (design §5 "Store"). */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  type Stats,
} from 'node:fs';
import { open, mkdir, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Makes renames, new entries and removals in a directory durable. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a directory and its missing parents, durable on return. */
export async function makeDirectory(path: string): Promise<void> {
  syncMade(path, await mkdir(path, { recursive: true, mode: 0o755 }));
}

/** The same, for whoever cannot wait: an absolute path. */
export function makeDirectoryNow(path: string): void {
  syncMade(path, mkdirSync(path, { recursive: true, mode: 0o755 }));
}

/** `first`: the topmost directory that was made. */
function syncMade(path: string, first: string | undefined): void {
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) syncDirectory(dirname(made));
}

/** Writes through `fill` under a temporary name beside `path`; `path` then is the whole file or what it was before. */
export async function placeFile(path: string, mode: number, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = temporaryBeside(path);
  const file = await open(temporary, 'wx', mode);
  try {
    await fill(file);
    await file.chmod(mode); // the umask may have taken bits away
    await file.sync();
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  renameSync(temporary, path);
  demandDurable(path);
}

/** What is in place and not known to be durable is removed: nobody may trust it, and fsync tells of an error only once. */
export function demandDurable(path: string): void {
  try {
    syncDirectory(dirname(path));
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/**
 * Points the symlink at `path` to `destination`: at every instant it is the old link or the new one. Synchronous, because
 * an undo must not wait behind other work of the process.
 */
export function switchLink(path: string, destination: string): void {
  const temporary = temporaryBeside(path);
  symlinkSync(destination, temporary);
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Where the symlink at `path` points, or undefined if there is no symlink. */
export function linkDestination(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** What is at `path` and no symlink: a rename of a symlink cannot replace a directory, and would destroy a file. */
export function plainAt(path: string): Stats | undefined {
  const there = lstatSync(path, { throwIfNoEntry: false });
  return there?.isSymbolicLink() ? undefined : there;
}

/** Where what is at `path` can be moved: beside it, under a name that nothing has. */
export function asideOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.foothold-aside-${randomBytes(4).toString('hex')}`);
}

export function moveAside(path: string, aside: string): void {
  renameSync(path, aside);
  syncDirectory(dirname(path));
}

export function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.foothold-${randomBytes(4).toString('hex')}`);
}
