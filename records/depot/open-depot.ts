/** Reading a depot at the centre: a version's entry, its manifest, its templates; each believed once it has its digest. */
import { blobPath, manifestPath, releasePath } from '../../policies/model/depot.js';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { didYouMean } from '../../policies/model/nearest.js';
import { Manifest, parseReleaseData, type Release, type ReleaseRef } from '../../policies/model/release.js';
import type { TemplateText } from '../../policies/render/release.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { parseEntry, parseJson } from './entry.js';
import { Listing, STREAMS_PATH, versionsPath } from './listing.js';
import { decodeUtf8, MANIFEST_LIMIT, TEMPLATE_LIMIT, templateFiles } from './pack-release.js';
import { READ_TIMEOUT_MS, sourceAt, type DepotSource } from './read-source.js';

export interface PublishedRelease {
  ref: ReleaseRef;
  manifest: Manifest;
  release: Release;
}

export interface Depot {
  location: string;
  /** What `stream@version` means. Throws MistakeError RELEASE_NOT_FOUND naming what there is, RELEASE_INVALID; WorldError. */
  release(stream: string, version: string): Promise<PublishedRelease>;
  /** The texts of its templates, verified. Throws WorldError DEPOT_UNREACHABLE, DIGEST_MISMATCH. */
  templateTexts(published: PublishedRelease): Promise<TemplateText[]>;
  /** The versions of a stream, oldest first, as far as the depot lists them; empty if it does not. */
  versions(stream: string): Promise<string[]>;
}

const ENTRY_LIMIT = 64 * 1024;
const LISTING_LIMIT = 1024 * 1024;

/** `location`: a directory, `file://…` or `http(s)://…`. Opening reads nothing yet. `timeoutMs` is for one object. */
export function openDepot(location: string, timeoutMs = READ_TIMEOUT_MS): Depot {
  const source = sourceAt(location, timeoutMs);
  return {
    location: source.location,
    async release(stream, version) {
      const ref = await readEntry(source, stream, version);
      const bytes = await readVerified(source, manifestPath(ref.digest), ref.digest, MANIFEST_LIMIT);
      return { ref, ...parseManifest(bytes, ref) };
    },
    templateTexts: ({ manifest, release }) => readTemplates(source, manifest, release),
    versions: (stream) => readListing(source, versionsPath(stream)),
  };
}

async function readEntry(source: DepotSource, stream: string, version: string): Promise<ReleaseRef> {
  const path = releasePath(stream, version);
  const bytes = await source.read(path, ENTRY_LIMIT);
  if (bytes === undefined) throw await notFound(source, stream, version);
  const entry = parseEntry(bytes, `${source.location} ${path}`);
  if (entry.stream === stream && entry.version === version) return entry;
  const found = `${entry.stream}@${entry.version}`;
  throw new WorldError(
    'DIGEST_MISMATCH',
    `expected the entry of ${stream}@${version} at ${path}, got that of ${found}`,
  );
}

async function readVerified(source: DepotSource, path: string, digest: string, limit: number): Promise<Uint8Array> {
  const bytes = await source.read(path, limit);
  if (bytes === undefined) {
    throw new WorldError(
      'DEPOT_UNREACHABLE',
      `expected ${path} in the depot ${source.location}, it is missing; publish again`,
    );
  }
  const found = `sha256:${sha256Hex(bytes)}`;
  if (found === digest) return bytes;
  throw new WorldError(
    'DIGEST_MISMATCH',
    `expected ${digest} at ${path} of ${source.location}, got ${found} (${bytes.length} bytes); publish again`,
  );
}

function parseManifest(bytes: Uint8Array, ref: ReleaseRef): { manifest: Manifest; release: Release } {
  const named = `${ref.stream}@${ref.version}`;
  const read = Manifest.safeParse(parseJson(bytes));
  if (!read.success) {
    throw new MistakeError('RELEASE_INVALID', `expected the manifest of ${named} to be of format foothold.release/v1`);
  }
  const release = parseReleaseData(read.data.release);
  if (release.stream === ref.stream && release.version === ref.version) return { manifest: read.data, release };
  const found = `${release.stream}@${release.version}`;
  throw new MistakeError('RELEASE_INVALID', `expected the manifest of ${named}, got that of ${found}`);
}

async function readTemplates(source: DepotSource, manifest: Manifest, release: Release): Promise<TemplateText[]> {
  const texts: TemplateText[] = [];
  for (const { path, digest } of templateFiles(release, manifest.files)) {
    const bytes = await readVerified(source, blobPath(digest), digest, TEMPLATE_LIMIT);
    texts.push({ path, text: decodeUtf8(bytes, path) });
  }
  return texts;
}

async function notFound(source: DepotSource, stream: string, version: string): Promise<MistakeError> {
  const versions = await readListing(source, versionsPath(stream));
  const streams = versions.length > 0 ? [] : await readListing(source, STREAMS_PATH);
  const [what, wrong, known] =
    versions.length > 0 ? ['versions', version, versions] : (['streams', stream, streams] as const);
  const held = known.length > 0 ? `; it has the ${what} ${known.slice(-10).join(', ')}` : '';
  return new MistakeError(
    'RELEASE_NOT_FOUND',
    `expected ${stream}@${version} in the depot ${source.location}, it is not there${held}.${didYouMean(wrong, known)}`,
  );
}

/** A listing only serves messages: without one there is less to say, and nothing fails. */
async function readListing(source: DepotSource, path: string): Promise<string[]> {
  try {
    const bytes = await source.read(path, LISTING_LIMIT);
    const read = Listing.safeParse(bytes && parseJson(bytes));
    return read.success ? read.data.names : [];
  } catch {
    return [];
  }
}
