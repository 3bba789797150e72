/** Brings a release from the depot: manifest and blobs, each believed only once it has its digest. */
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { Manifest, parseReleaseData, type ManifestFile, type Release } from '../../policies/model/release.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import type { Blobs } from '../files/blobs.js';
import type { Depot } from './depot.js';

export interface FetchedRelease {
  release: Release;
  /** The release as the manifest has it. */
  written: unknown;
  files: ManifestFile[];
}

export interface FetchPlan {
  depot: Depot;
  blobs: Blobs;
  /** Directory of partial transfers; what lies there survives a restart and is resumed. */
  incoming: string;
  signal: AbortSignal;
  /** What was fetched ahead: moves what there is of a file to the place of its partial transfer. */
  nearby?: (digest: string, part: string) => Promise<void>;
  /** Throws if there is no room for the release. */
  room?: (files: ManifestFile[]) => Promise<void>;
  /** Ms that are left for it. */
  timeLeft: () => number;
  log: (message: string, detail: Record<string, unknown>) => void;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;
/** Whole transfers with a wrong digest before giving up: the depot itself is wrong then, and links are thin. */
const WRONG_DIGESTS = 3;

/** The verified manifest, with every file among the blobs. Throws WorldError, or MistakeError RELEASE_INVALID. */
export async function stageRelease(digest: string, plan: FetchPlan): Promise<FetchedRelease> {
  const fetched = readManifest(await stageManifest(digest, plan));
  await plan.room?.(fetched.files);
  await mkdir(plan.incoming, { recursive: true, mode: 0o700 });
  for (const file of fetched.files) {
    await retrying(plan, () => plan.blobs.inTurn(file.digest, plan.signal, () => stageBlob(file, plan)));
  }
  return fetched;
}

async function stageManifest(digest: string, plan: FetchPlan): Promise<Buffer> {
  if (await plan.blobs.whole(digest)) return plan.blobs.read(digest);
  const near = await nearManifest(digest, plan);
  if (near !== undefined) return near;
  return retrying(plan, async () => {
    const bytes = await plan.depot.manifest(digest, plan.signal);
    const found = `sha256:${sha256Hex(bytes)}`;
    if (found !== digest) {
      throw new WorldError('DIGEST_MISMATCH', `expected a manifest with digest ${digest}, the depot gave ${found}`);
    }
    await plan.blobs.put(bytes);
    return bytes;
  });
}

/** Undefined: there is none, or what there is has another digest; the depot is asked then. */
async function nearManifest(digest: string, plan: FetchPlan): Promise<Buffer | undefined> {
  const part = partIn(plan.incoming, digest);
  await plan.nearby?.(digest, part);
  const bytes = await readFile(part).catch(() => undefined);
  if (bytes === undefined) return undefined;
  await rm(part, { force: true });
  if (`sha256:${sha256Hex(bytes)}` !== digest) return undefined;
  await plan.blobs.put(bytes);
  return bytes;
}

/** Where the partial transfer of a file lies. */
export function partIn(incoming: string, digest: string): string {
  return join(incoming, `${digest.replace(/^sha256:/, '')}.part`);
}

async function stageBlob(file: ManifestFile, plan: FetchPlan): Promise<void> {
  if (await plan.blobs.whole(file.digest)) return;
  const part = partIn(plan.incoming, file.digest);
  await plan.nearby?.(file.digest, part);
  try {
    if ((await sizeOf(part)) !== file.size || file.size === 0) {
      await plan.depot.blob(file.digest, file.size, part, plan.signal);
    }
    await plan.blobs.moveIn(part, file.digest);
  } catch (error) {
    // What came under a wrong digest is never resumed from.
    if (error instanceof WorldError && error.code === 'DIGEST_MISMATCH') await rm(part, { force: true });
    if (!(error instanceof WorldError)) throw error;
    throw new WorldError(error.code, `${file.path}: ${error.message}`, { cause: error.cause });
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.size,
    () => -1,
  );
}

/** Again with growing, jittered pauses, until it works, the time is up, or the depot is plainly wrong. */
async function retrying<T>(plan: FetchPlan, attempt: () => Promise<T>): Promise<T> {
  let wrong = 0;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      plan.signal.throwIfAborted();
      if (!(error instanceof WorldError) || ofTheDisk(error)) throw error;
      if (error.code === 'DIGEST_MISMATCH' && ++wrong >= WRONG_DIGESTS) throw error;
      const wait = pause * (0.5 + Math.random() / 2);
      if (wait >= plan.timeLeft()) throw error;
      plan.log('fetching failed, trying again', { reason: error.message, inMs: Math.round(wait) });
      await sleep(wait, undefined, { signal: plan.signal });
    }
  }
}

/** A file could not be written here: the depot is not to blame, and asking it again does not help. */
function ofTheDisk({ cause }: WorldError): boolean {
  const { code } = (cause ?? {}) as { code?: unknown };
  return typeof code === 'string' && ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'].includes(code);
}

/** Parses a verified manifest. Throws MistakeError RELEASE_INVALID. */
export function readManifest(bytes: Uint8Array): FetchedRelease {
  const read = Manifest.safeParse(parseJson(bytes));
  if (!read.success) throw invalid(`the manifest is not of the expected form: ${read.error.issues[0]?.message ?? ''}`);
  const release = parseReleaseData(read.data.release);
  read.data.files.forEach(refuseEscape);
  const paths = new Set(read.data.files.map((one) => one.path));
  if (paths.size !== read.data.files.length) throw invalid('the manifest names a file twice');
  return { release, written: read.data.release, files: read.data.files };
}

/** A file name must stay inside the release directory, whatever the platform would make of it. */
export function refuseEscape(file: Pick<ManifestFile, 'path' | 'mode'>): void {
  const parts = file.path.split('/');
  const bad = parts.some((part) => part === '' || part === '.' || part === '..') || /[\\\0]/.test(file.path);
  if (bad) throw invalid(`file ${JSON.stringify(file.path)}: expected a relative path inside the release directory`);
  if (file.mode !== 0o644 && file.mode !== 0o755) {
    throw invalid(`file ${file.path}: expected mode 644 or 755, got ${file.mode.toString(8)}`);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw invalid('the manifest is not JSON');
  }
}

function invalid(message: string): MistakeError {
  return new MistakeError('RELEASE_INVALID', message);
}
