/** The entry that says which manifest a version means: the one thing in a depot that no digest protects. */
import { z } from 'zod';
import { WorldError } from '../../policies/model/failure.js';
import { Digest, Name } from '../../policies/model/names.js';
import type { ReleaseRef } from '../../policies/model/release.js';

const Entry = z.strictObject({ stream: Name, version: z.string().min(1), digest: Digest });

/** Throws WorldError DEPOT_UNREACHABLE for anything else, such as the HTML page of a proxy. */
export function parseEntry(bytes: Uint8Array, where: string): ReleaseRef {
  const read = Entry.safeParse(parseJson(bytes));
  if (read.success) return read.data;
  const start = new TextDecoder().decode(bytes.subarray(0, 40)).replaceAll(/\s+/g, ' ');
  throw new WorldError('DEPOT_UNREACHABLE', `expected {stream, version, digest} at ${where}, got: ${start}`);
}

/** The value, or undefined if the bytes are no JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
