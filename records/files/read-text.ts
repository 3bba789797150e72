/** Reading a file that people write: everything that is no text is refused before a parser sees it. */
import { readFile, stat } from 'node:fs/promises';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { ReasonCode } from '../../policies/model/reasons.js';

/** Far above any fleet worth writing by hand; what is larger is the wrong file. */
export const LARGEST_FILE = 4 * 1024 * 1024;

/**
 * The text of `path`, without a byte order mark. Throws MistakeError: `FILE_NOT_FOUND` if there is none, `code` if it
 * is a directory, too large, or not UTF-8 text; WorldError `FILE_INVALID` if the disk fails.
 */
export async function readText(path: string, code: ReasonCode): Promise<string> {
  const bytes = await readBounded(path, code);
  const nul = bytes.indexOf(0);
  if (nul >= 0)
    throw new MistakeError(code, `${path}: expected text, found a binary file (a NUL byte at offset ${nul})`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new MistakeError(code, `${path}: expected UTF-8 text, found bytes that are not; save the file as UTF-8`);
  }
}

async function readBounded(path: string, code: ReasonCode): Promise<Buffer> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new MistakeError(code, `${path}: expected a file, found ${kindOf(found)}`);
    if (found.size > LARGEST_FILE) {
      const sizes = `at most ${LARGEST_FILE / 1024 / 1024} MiB, found ${(found.size / 1024 / 1024).toFixed(1)} MiB`;
      throw new MistakeError(code, `${path}: expected ${sizes}; split it, or check that it is the right file`);
    }
    return await readFile(path);
  } catch (error) {
    throw asRefusal(error, path, code);
  }
}

function kindOf(found: { isDirectory(): boolean }): string {
  return found.isDirectory() ? 'a directory' : 'something that is not a plain file';
}

/** What a failed look at the disk means to whoever named the path. */
export function asRefusal(error: unknown, path: string, code: ReasonCode): unknown {
  if (!(error instanceof Error) || !('errno' in error) || !('code' in error)) return error;
  const errno = String(error.code);
  if (errno === 'ENOENT' || errno === 'ENOTDIR') {
    return new MistakeError('FILE_NOT_FOUND', `${path}: expected a file, found nothing there; check the path`);
  }
  if (errno === 'EACCES' || errno === 'EPERM') {
    return new MistakeError(code, `${path}: expected a file that this user may read, found that it may not`);
  }
  return new WorldError('FILE_INVALID', `${path}: could not be read: ${errno}`, { cause: error });
}
