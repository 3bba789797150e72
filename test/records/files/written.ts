/** Real files in a directory of their own, and what a loader said of them. */
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { MistakeError } from '../../../policies/model/failure.js';

/** Writes `files` by their relative paths; gone when the test is over. */
export async function written(files: Record<string, string | Uint8Array>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-files-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  return directory;
}

/** Code and findings of the MistakeError that `load` ends with, without the directory in front of the paths. */
export async function refusalOf(
  directory: string,
  load: Promise<unknown>,
): Promise<{ code: string; findings: string[] }> {
  const error = await load.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) throw new Error('expected a refusal, the file was accepted');
  if (!(error instanceof MistakeError)) throw error instanceof Error ? error : new Error('expected an Error');
  const lines = error.details.length > 0 ? error.details : [error.message];
  return { code: error.code, findings: lines.map((line) => line.replaceAll(`${directory}/`, '')) };
}

/** `text` with `from`, which must be in it once, replaced by `to`. */
export function changed(text: string, from: string, to: string): string {
  if (text.split(from).length !== 2) throw new Error(`expected \`${from}\` once in the text`);
  return text.replace(from, () => to);
}
