/** Loading a release from its directory. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MistakeError } from '../../policies/model/failure.js';
import { releaseFaults } from '../../policies/model/release-rules.js';
import { fillRelease, ReleaseFile, unfoldRelease, type Release } from '../../policies/model/release.js';
import { checkFile } from './check-file.js';
import type { SourceFile } from './located.js';
import { asRefusal } from './read-text.js';
import { readYamlFile } from './yaml-file.js';

const FILE_NAMES = ['release.yaml', 'release.yml', 'release.json'];

export interface LoadedRelease {
  release: Release;
  file: ReleaseFile;
  /** Where the paths of the file's drivers start. */
  directory: string;
  /** The file with every default written out, as it goes into the manifest. */
  filled: unknown;
}

/** `path` is the release's directory or its file. Throws MistakeError RELEASE_INVALID or FILE_NOT_FOUND. */
export async function loadRelease(path: string): Promise<LoadedRelease> {
  const file = await releaseFileAt(path);
  return { ...readRelease(await readYamlFile(file, 'RELEASE_INVALID')), directory: dirname(file) };
}

export function readRelease(source: SourceFile): Omit<LoadedRelease, 'directory'> {
  const file = checkFile(source, {
    kind: 'Release',
    schema: ReleaseFile,
    code: 'RELEASE_INVALID',
    rules: releaseFaults,
  });
  return { release: unfoldRelease(file), file, filled: fillRelease(file) };
}

/** The release file that `path` names or holds. */
export async function releaseFileAt(path: string): Promise<string> {
  if (!(await isDirectory(path))) return path;
  const found: string[] = [];
  for (const name of FILE_NAMES) {
    if (await exists(join(path, name))) found.push(join(path, name));
  }
  const [file, second] = found;
  if (file === undefined) {
    throw new MistakeError('FILE_NOT_FOUND', `${path}: expected one of ${FILE_NAMES.join(', ')} in it, found none`);
  }
  if (second === undefined) return file;
  throw new MistakeError('RELEASE_INVALID', `${path}: expected one release file, found ${found.join(' and ')}`);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw asRefusal(error, path, 'RELEASE_INVALID');
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
