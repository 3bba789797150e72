/**
 * Publishing: blobs, then the manifest, then the entry that gives it a name (design §2). A crash in between leaves
 * content that nothing names; publishing again continues. Published content never changes.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { blobPath, manifestPath, releasePath } from '../../policies/model/depot.js';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { ReleaseRef } from '../../policies/model/release.js';
import { canonicalJson, sha256Hex } from '../../policies/signing/jcs.js';
import { openRegular, type SourceFile } from './collect-files.js';
import { placeFile, placeNewFile } from './durable.js';
import { parseEntry } from './entry.js';
import { writeListings } from './listing.js';
import { changedMeanwhile, packRelease } from './pack-release.js';

/**
 * Puts a release directory into a depot directory, which is made if missing. The same content again changes nothing
 * (`created: false`) and mends what was damaged. Safe among concurrent publishers.
 * Throws MistakeError RELEASE_INVALID, RELEASE_CONFLICT; WorldError DEPOT_UNREACHABLE.
 */
export async function publishRelease(
  directory: string,
  depotDirectory: string,
): Promise<{ ref: ReleaseRef; created: boolean }> {
  const { ref, body, files } = await packRelease(directory);
  try {
    await refuseConflict(ref, depotDirectory);
    for (const file of files) await storeBlob(file, depotDirectory);
    await storeBytes(join(depotDirectory, manifestPath(ref.digest)), Buffer.from(body));
    const created = await placeNewFile(entryPath(ref, depotDirectory), (file) => file.writeFile(canonicalJson(ref)));
    if (!created) await refuseConflict(ref, depotDirectory);
    await writeListings(depotDirectory, ref.stream);
    return { ref, created };
  } catch (error) {
    if (error instanceof MistakeError || error instanceof WorldError) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new WorldError('DEPOT_UNREACHABLE', `expected to write the depot ${depotDirectory}, got: ${words}`, {
      cause: error,
    });
  }
}

function entryPath(ref: ReleaseRef, depot: string): string {
  return join(depot, releasePath(ref.stream, ref.version));
}

async function refuseConflict(ref: ReleaseRef, depot: string): Promise<void> {
  const path = entryPath(ref, depot);
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (bytes === undefined) return;
  const there = parseEntry(bytes, path);
  if (there.digest === ref.digest) return;
  throw new MistakeError(
    'RELEASE_CONFLICT',
    `expected ${ref.stream}@${ref.version} to be unused or the same, the depot holds other content under it: there ${there.digest}, here ${ref.digest}. Give the release another version.`,
  );
}

async function storeBlob(file: SourceFile, depot: string): Promise<void> {
  const path = join(depot, blobPath(file.digest));
  if (await holds(path, file)) return;
  await placeFile(path, async (target) => {
    const { file: source } = await openRegular(file.source, file.path);
    const hash = createHash('sha256');
    for await (const chunk of source.createReadStream()) {
      hash.update(chunk as Buffer);
      await target.writeFile(chunk as Buffer);
    }
    if (`sha256:${hash.digest('hex')}` !== file.digest) throw changedMeanwhile(file.path);
  });
}

async function storeBytes(path: string, bytes: Buffer): Promise<void> {
  if (await holds(path, { digest: `sha256:${sha256Hex(bytes)}`, size: bytes.length })) return;
  await placeFile(path, (file) => file.writeFile(bytes));
}

/** True if the file is there, whole and as its name says. */
async function holds(path: string, { digest, size }: { digest: string; size: number }): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile() || found.size !== size) return false;
  const { file } = await openRegular(path, path);
  const hash = createHash('sha256');
  for await (const chunk of file.createReadStream()) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}` === digest;
}
