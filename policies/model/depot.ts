/** Where things are in a depot, below its base URL or directory. Objects never change once written. */

/** The manifest of a release, in JCS form: its sha256 is the release's digest. */
export const manifestPath = (digest: string): string => `manifests/${hexOf(digest)}.json`;
/** One file's bytes. */
export const blobPath = (digest: string): string => `blobs/${hexOf(digest)}`;
/** `{ "stream", "version", "digest" }`: which manifest a version means. */
export const releasePath = (stream: string, version: string): string =>
  `releases/${stream}/${encodeURIComponent(version)}.json`;

function hexOf(digest: string): string {
  return digest.replace(/^sha256:/, '');
}
