/**
 * The files of a release on disk: regular files inside the release directory, and nothing else. A name that leaves it,
 * by `../`, by an absolute path or by a symbolic link, is refused: what is published is what was reviewed there.
 */
import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { MistakeError } from '../../policies/model/failure.js';
import type { ManifestFile, Release } from '../../policies/model/release.js';
import { rootOf } from '../../policies/render/files.js';

/** Where to read a file of the manifest from. */
export interface SourceFile extends ManifestFile {
  source: string;
}

/** Every file that a driver names, once, ordered by path. Throws MistakeError RELEASE_INVALID. */
export async function collectFiles(directory: string, release: Release): Promise<SourceFile[]> {
  const paths = new Set<string>();
  for (const { name, driver } of release.components) {
    const where = `components.${name}.files`;
    const root = refuseEscape(driver.files, where);
    await refuseLinksAbove(directory, root, where);
    const found = await walk(directory, root);
    if (found.length === 0) throw invalid(`${where}: expected at least one file in ${driver.files}, got none`);
    for (const path of found) paths.add(path);
  }
  const files: SourceFile[] = [];
  for (const path of [...paths].sort()) files.push(await measure(join(directory, path), path));
  return files;
}

/** The bytes of a regular file; never follows a link, never waits on a pipe. */
export async function openRegular(source: string, path: string): Promise<{ file: FileHandle; stats: Stats }> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(source, flags).catch((error: unknown) => {
    throw invalid(`${path}: expected a readable file, got ${wordsOf(error)}`);
  });
  const stats = await file.stat();
  if (stats.isFile()) return { file, stats };
  await file.close();
  throw invalid(`${path}: expected a regular file, got ${kindOf(stats)}`);
}

function refuseEscape(files: string, where: string): string {
  const parts = files.split('/');
  if (files.startsWith('/') || /^[A-Za-z]:/.test(files) || parts.includes('..')) {
    throw invalid(`${where}: expected a path inside the release directory, got ${files}`);
  }
  if (files.includes('{{')) throw invalid(`${where}: expected the same path for every site, got ${files}`);
  parts.forEach((part) => refuseName(part, files));
  return rootOf(files);
}

/** `files: ./a/b` where `a` is a link would leave the directory without a `..` in sight. */
async function refuseLinksAbove(directory: string, root: string, where: string): Promise<void> {
  const parts = root.split('/').slice(0, -1);
  for (let depth = 1; depth <= parts.length; depth++) {
    const path = parts.slice(0, depth).join('/');
    const stats = await look(directory, path);
    if (!stats.isDirectory()) throw invalid(`${where}: expected a directory at ${path}, got ${kindOf(stats)}`);
  }
}

async function walk(directory: string, path: string): Promise<string[]> {
  const stats = await look(directory, path);
  if (stats.isFile()) return [path];
  if (!stats.isDirectory()) throw invalid(`${path}: expected a file or directory, got ${kindOf(stats)}`);
  const found: string[] = [];
  for (const name of (await readdir(join(directory, path))).sort()) {
    refuseName(name, path === '' ? name : `${path}/${name}`);
    found.push(...(await walk(directory, path === '' ? name : `${path}/${name}`)));
  }
  return found;
}

/** Names that mean something else on another platform, or that cannot be written down. U+FFFD: was not UTF-8. */
function refuseName(name: string, path: string): void {
  if (!/[\\\p{Cc}\uFFFD]/u.test(name)) return;
  throw invalid(`${JSON.stringify(path)}: expected a name in UTF-8 without control characters and backslashes`);
}

async function look(directory: string, path: string): Promise<Stats> {
  return lstat(join(directory, path)).catch((error: unknown) => {
    throw invalid(`${path}: expected a file or directory below ${directory}, got ${wordsOf(error)}`);
  });
}

async function measure(source: string, path: string): Promise<SourceFile> {
  const { file, stats } = await openRegular(source, path);
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of file.createReadStream()) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { source, path, digest: `sha256:${hash.digest('hex')}`, size, mode: stats.mode & 0o100 ? 0o755 : 0o644 };
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  return stats.isFile() ? 'a file' : 'a device';
}

function wordsOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  const words: Record<string, string> = { ENOENT: 'nothing there', EACCES: 'no permission', ELOOP: 'a symbolic link' };
  return (code !== undefined ? words[code] : undefined) ?? (error instanceof Error ? error.message : String(error));
}

function invalid(message: string): MistakeError {
  return new MistakeError('RELEASE_INVALID', message);
}
