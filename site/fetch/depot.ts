/** Reads a depot: over HTTP with resumption, or from a directory (`/srv/depot`, `file:///srv/depot`). Nothing read here is believed. */
import { createReadStream, existsSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { blobPath, manifestPath, releasePath } from '../../policies/model/depot.js';
import { KEYSET_PATH } from '../../policies/model/enrolment.js';
import { WorldError } from '../../policies/model/failure.js';

export interface Depot {
  /** The manifest's bytes, unverified. Throws WorldError. */
  manifest(digest: string, signal: AbortSignal): Promise<Buffer>;
  /** What `stream@version` means: the bytes of its entry, unverified. */
  release(stream: string, version: string, signal: AbortSignal): Promise<Buffer>;
  /** The latest signed control keys, unverified; undefined where the depot has none. Throws WorldError. */
  keyset(signal: AbortSignal): Promise<Buffer | undefined>;
  /** Appends what is missing of a blob to the file `part`, up to `size` bytes in all; a cut-short answer throws. */
  blob(digest: string, size: number, part: string, signal: AbortSignal): Promise<void>;
}

const DOCUMENT_LIMIT = 16 * 1024 * 1024;
const KEYSET_LIMIT = 64 * 1024;
/** A transfer that brings nothing for this long is given up, and resumed later. */
const STALL_MS = 30_000;

export function openDepot(location: string): Depot {
  if (/^https?:\/\//.test(location)) return httpDepot(location.endsWith('/') ? location : `${location}/`);
  return directoryDepot(location.startsWith('file:') ? fileURLToPath(location) : location);
}

function directoryDepot(root: string): Depot {
  const whole = async (path: string): Promise<Buffer> =>
    readFile(join(root, path)).catch((error: unknown) => {
      throw notRead(join(root, path), error);
    });
  return {
    manifest: (digest) => whole(manifestPath(digest)),
    release: (stream, version) => whole(releasePath(stream, version)),
    keyset: async () => (existsSync(join(root, KEYSET_PATH)) ? whole(KEYSET_PATH) : undefined),
    async blob(digest, size, part) {
      const source = join(root, blobPath(digest));
      const from = await sizeOf(part);
      try {
        await append(part, from, size, createReadStream(source, { start: from }));
      } catch (error) {
        throw notRead(source, error);
      }
    },
  };
}

function httpDepot(base: string): Depot {
  const whole = async (path: string, signal: AbortSignal): Promise<Buffer> => {
    const answer = await get(new URL(path, base), {}, signal);
    if (answer.status !== 200) throw refused(path, base, answer.status);
    return collected(answer, `${base}${path}`, DOCUMENT_LIMIT);
  };
  return {
    manifest: (digest, signal) => whole(manifestPath(digest), signal),
    release: (stream, version, signal) => whole(releasePath(stream, version), signal),
    async keyset(signal) {
      const answer = await get(new URL(KEYSET_PATH, base), {}, signal);
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw refused(KEYSET_PATH, base, answer.status);
      return collected(answer, `${base}${KEYSET_PATH}`, KEYSET_LIMIT);
    },
    async blob(digest, size, part, signal) {
      const path = blobPath(digest);
      const have = await sizeOf(part);
      const answer = await get(new URL(path, base), have > 0 ? { range: `bytes=${have}-` } : {}, signal);
      if (answer.status !== 200 && answer.status !== 206) throw refused(path, base, answer.status);
      // A server that ignores the range sends all of it again.
      const from = answer.status === 206 ? have : 0;
      await append(part, from, size, answer.body());
    },
  };
}

async function collected(answer: Answer, what: string, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer.body()) {
    length += chunk.length;
    if (length > limit) throw new WorldError('STAGE_FAILED', `${what} is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

interface Answer {
  status: number;
  body(): AsyncIterable<Buffer>;
}

async function get(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
  const stalled = new AbortController();
  const touch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stalled.abort(new Error(`nothing came for ${STALL_MS} ms`)), STALL_MS);
  };
  let timer = setTimeout(() => stalled.abort(new Error(`no answer within ${STALL_MS} ms`)), STALL_MS);
  const either = AbortSignal.any([signal, stalled.signal]);
  try {
    const response = await fetch(url, { headers, signal: either });
    const status = response.status;
    if (status !== 200 && status !== 206) {
      clearTimeout(timer);
      await response.body?.cancel();
    }
    return { status, body: () => pieces(response, touch, () => clearTimeout(timer), url) };
  } catch (error) {
    clearTimeout(timer);
    throw notRead(url.href, error);
  }
}

async function* pieces(response: Response, touch: () => void, done: () => void, url: URL): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of response.body ?? []) {
      touch();
      yield Buffer.from(chunk as Uint8Array);
    }
  } catch (error) {
    throw error instanceof WorldError ? error : notRead(url.href, error);
  } finally {
    done();
  }
}

async function append(part: string, from: number, size: number, chunks: AsyncIterable<unknown>): Promise<void> {
  const file = await open(part, from === 0 ? 'w' : 'r+', 0o600);
  let at = from;
  try {
    for await (const chunk of chunks) {
      const bytes = chunk as Buffer;
      if (at + bytes.length > size) throw new WorldError('DIGEST_MISMATCH', `expected ${size} bytes, more came`);
      await file.write(bytes, 0, bytes.length, at);
      at += bytes.length;
    }
  } finally {
    await file.close();
  }
  if (at < size) throw new WorldError('STAGE_FAILED', `the transfer was cut short: ${at} of ${size} bytes`);
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.size,
    () => 0,
  );
}

function refused(path: string, base: string, status: number): WorldError {
  return new WorldError('STAGE_FAILED', `expected ${base}${path}, the depot answered ${status}`);
}

function notRead(what: string, error: unknown): WorldError {
  if (error instanceof WorldError) return error;
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
  const words = error instanceof Error ? error.message + cause : String(error);
  return new WorldError('DEPOT_UNREACHABLE', `${what} could not be read: ${words}`, { cause: error });
}
