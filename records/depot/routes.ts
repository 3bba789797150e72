/**
 * The paths that a depot answers. What a URL may say is listed here, part by part: nothing of it reaches the file
 * system before it is known to be the name of an object, so there is no way out of the directory to be guarded.
 */
import { blobPath, manifestPath, releasePath } from '../../policies/model/depot.js';
import { KEYSET_PATH } from '../../policies/model/enrolment.js';
import { Name } from '../../policies/model/names.js';
import { STREAMS_PATH, versionsPath } from './listing.js';

/** `path` below the depot's directory; `digest` where the name is the digest of the content. */
export type Route =
  | { kind: 'manifest' | 'blob'; path: string; digest: string }
  | { kind: 'entry' | 'listing'; path: string; digest?: undefined }
  | { kind: 'health' };

/** Undefined for every other path. */
export function routeOf(url: string): Route | undefined {
  const path = url.replace(/\?.*$/s, '');
  if (path === '/healthz') return { kind: 'health' };
  const [, kind, hex] =
    /^\/(?:(manifests)\/([0-9a-f]{64})\.json)$/.exec(path) ?? /^\/(blobs)\/([0-9a-f]{64})$/.exec(path) ?? [];
  if (hex !== undefined) {
    const digest = `sha256:${hex}`;
    if (kind === 'blobs') return { kind: 'blob', path: blobPath(digest), digest };
    return { kind: 'manifest', path: manifestPath(digest), digest };
  }
  // Written anew by every rotation, so it is revalidated like a listing.
  if (path === `/${KEYSET_PATH}`) return { kind: 'listing', path: KEYSET_PATH };
  if (path === `/${STREAMS_PATH}`) return { kind: 'listing', path: STREAMS_PATH };
  const [, stream, name] = /^\/releases\/([a-z0-9._-]+)\/([A-Za-z0-9.+%_-]+)\.json$/.exec(path) ?? [];
  if (stream === undefined || name === undefined || !Name.safeParse(stream).success) return undefined;
  if (name === 'index') return { kind: 'listing', path: versionsPath(stream) };
  const version = decoded(name);
  return version !== undefined && VERSION.test(version)
    ? { kind: 'entry', path: releasePath(stream, version) }
    : undefined;
}

/** What a semver version is written with; it begins with a digit, so it is neither `..` nor `index`. */
const VERSION = /^\d[0-9A-Za-z.+-]*$/;

function decoded(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}
