/** Canonical bytes and digests: JCS (RFC 8785) and SHA-256. */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

/** JCS text of `value`; throws if it holds something that JSON cannot carry. */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('this value has no canonical JSON form');
  return text;
}

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** `sha256:<hex>` of the JCS form of `value`. */
export function digestOf(value: unknown): string {
  return `sha256:${sha256Hex(canonicalJson(value))}`;
}
