/**
 * A tree is the exact content of a directory as a list of entries; its digest identifies it. Trees are made durable with
 * their files as blobs, so that a directory that was damaged can be made anew from its tree.
 */
import { createHash } from 'node:crypto';
import { createReadStream, type Stats } from 'node:fs';
import { chmod, chown, lstat, mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { digestOf } from '../../policies/signing/jcs.js';
import { syncDirectory } from './durable.js';
import type { Blobs } from './blobs.js';

/**
 * Paths are relative, with forward slashes, ordered; a directory comes before what is in it, the tree itself (`.`) first.
 * `owner` only where it is not the agent's own user and group.
 */
export type TreeEntry =
  | { type: 'directory'; path: string; mode: number; owner?: [uid: number, gid: number] }
  | { type: 'file'; path: string; mode: number; owner?: [uid: number, gid: number]; digest: string }
  | { type: 'link'; path: string; to: string };

export function treeDigest(entries: TreeEntry[]): string {
  return digestOf(entries);
}

/** Reads what is in a directory. Sockets and pipes are passed over. `goOn`, asked before each entry: false makes it throw. */
export async function scanTree(directory: string, goOn = () => true): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [{ type: 'directory', path: '.', ...permissions(await lstat(directory)) }];
  await scanInto(entries, { root: directory, goOn }, '');
  return entries;
}

interface Scan {
  root: string;
  goOn: () => boolean;
}

async function scanInto(entries: TreeEntry[], scan: Scan, below: string): Promise<void> {
  const { root, goOn } = scan;
  const names = (await readdir(join(root, below))).sort();
  for (const name of names) {
    if (!goOn()) throw new Error(`${root} was not read to its end`);
    const path = below === '' ? name : `${below}/${name}`;
    const full = join(root, path);
    const stats = await lstat(full);
    if (stats.isSymbolicLink()) entries.push({ type: 'link', path, to: await readlink(full) });
    else if (stats.isFile()) {
      entries.push({ type: 'file', path, ...permissions(stats), digest: await fileDigest(full) });
    } else if (stats.isDirectory()) {
      entries.push({ type: 'directory', path, ...permissions(stats) });
      await scanInto(entries, scan, path);
    }
  }
}

/** Sockets, pipes and devices: what no copy can hold. */
export async function specialFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const special = entries.filter((one) => !one.isFile() && !one.isDirectory() && !one.isSymbolicLink());
  return special.map((one) => relative(directory, join(one.parentPath, one.name))).sort();
}

export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

/** True if the directory holds exactly the tree; false also if it was not read to its end. */
export async function holdsTree(directory: string, digest: string, goOn?: () => boolean): Promise<boolean> {
  try {
    return treeDigest(await scanTree(directory, goOn)) === digest;
  } catch {
    return false;
  }
}

/** Writes a tree into a new directory, durable on return. The files must be among the blobs, or this throws. */
export async function writeTree(directory: string, entries: TreeEntry[], blobs: Blobs): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const made = [directory];
  for (const entry of entries) {
    const full = join(directory, entry.path);
    if (entry.type === 'link') {
      await symlink(entry.to, full);
      continue;
    }
    if (entry.type === 'file') await blobs.copyTo(entry.digest, full, entry.mode);
    else if (entry.path !== '.') {
      await mkdir(full, { mode: entry.mode });
      made.push(full);
    }
    if (entry.owner) await chown(full, entry.owner[0], entry.owner[1]);
  }
  // Directory modes last: one without write permission must still take its files.
  for (const entry of entries) if (entry.type === 'directory') await chmod(join(directory, entry.path), entry.mode);
  for (const path of made.reverse()) syncDirectory(path);
}

/**
 * The tree of what lives at `directory`, with its files kept as blobs. A relative link that leaves the directory is made
 * absolute, because the copy lies somewhere else.
 */
export async function captureTree(directory: string, blobs: Blobs): Promise<TreeEntry[]> {
  const entries = await scanTree(directory);
  for (const entry of entries)
    if (entry.type === 'file') await blobs.takeFrom(join(directory, entry.path), entry.digest);
  return anchorAll(entries, directory);
}

/** The tree of a directory that was moved from `place` since, as it would have been captured there. */
export async function treeAs(directory: string, place: string): Promise<TreeEntry[]> {
  return anchorAll(await scanTree(directory), place);
}

function anchorAll(entries: TreeEntry[], directory: string): TreeEntry[] {
  return entries.map((entry) => (entry.type === 'link' ? { ...entry, to: anchored(directory, entry) } : entry));
}

function anchored(directory: string, link: { path: string; to: string }): string {
  if (isAbsolute(link.to)) return link.to;
  const target = resolve(directory, link.path, '..', link.to);
  const inside = relative(directory, target);
  return inside.startsWith('..') || isAbsolute(inside) ? target : link.to;
}

function permissions(stats: Stats): { mode: number; owner?: [number, number] } {
  const mode = stats.mode & 0o7777;
  const own = stats.uid === process.getuid?.() && stats.gid === process.getgid?.();
  return own ? { mode } : { mode, owner: [stats.uid, stats.gid] };
}
