/** Writing into a depot directory so that a power cut leaves whole files only, and nobody overwrites an entry. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

type Fill = (file: FileHandle) => Promise<void>;

/** Puts a whole file at `path`, or leaves what is there; over an existing file it is a replacement. */
export async function placeFile(path: string, fill: Fill): Promise<void> {
  const temporary = await writeBeside(path, fill);
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** The same, but only if nothing is there yet: false if there is. Of several writers exactly one gets true. */
export async function placeNewFile(path: string, fill: Fill): Promise<boolean> {
  const temporary = await writeBeside(path, fill);
  try {
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(dirname(path));
  return true;
}

async function writeBeside(path: string, fill: Fill): Promise<string> {
  await makeDirectory(dirname(path));
  const temporary = join(dirname(path), `.incoming-${randomBytes(8).toString('hex')}`);
  const file = await open(temporary, 'wx', 0o644);
  try {
    await fill(file);
    await file.sync();
    await file.close();
    return temporary;
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
