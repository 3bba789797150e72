/** Reads a depot: over HTTP with resumption, or from a directory (`/srv/depot`, `file:///srv/depot`). Nothing read here is believed. */
import { createReadStream, existsSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { blobPath, manifestPath, releasePath } from '../../policies/model/depot.js';
import { KEYSET_PATH } from '../../policies/model/enrolment.js';
import { WorldError } from '../../policies/model/failure.js';
import type { Pace } from './pace.js';
import { TransferWatch, type Speed } from './transfer-watch.js';

export interface Depot {
  /** The manifest's bytes, unverified. Throws WorldError. */
  manifest(digest: string, signal: AbortSignal): Promise<Buffer>;
  /** What `stream@version` means: the bytes of its entry, unverified. */
  release(stream: string, version: string, signal: AbortSignal): Promise<Buffer>;
  /** The latest signed control keys, unverified; undefined where the depot has none. Throws WorldError. */
  keyset(signal: AbortSignal): Promise<Buffer | undefined>;
  /**
   * Appends what is missing of a blob to the file `part`, up to `size` bytes in all; a cut-short answer throws. With a
   * pace, in slices: what was asked for at once would fill the link, however slowly it is read here.
   */
  blob(digest: string, size: number, part: string, signal: AbortSignal, pace?: Pace): Promise<void>;
}

const DOCUMENT_LIMIT = 16 * 1024 * 1024;
const KEYSET_LIMIT = 64 * 1024;
/**
 * A depot that brings less within the time is given up, and the transfer resumed later (fault R9): a drip would otherwise
 * hold a site until its `switchBy`. The thinnest link that is in use brings more than this by far.
 */
const SLOWEST: Speed = { bytes: 2_048, withinMs: 30_000 };

export function openDepot(location: string, slowest = SLOWEST): Depot {
  if (/^https?:\/\//.test(location)) return httpDepot(location.endsWith('/') ? location : `${location}/`, slowest);
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
    async blob(digest, size, part, signal, pace) {
      const source = join(root, blobPath(digest));
      const from = await sizeOf(part);
      try {
        const chunks = createReadStream(source, { start: from }) as AsyncIterable<Buffer>;
        await append(part, from, size, pace ? paced(chunks, pace, signal) : chunks);
      } catch (error) {
        throw notRead(source, error);
      }
    },
  };
}

function httpDepot(base: string, slowest: Speed): Depot {
  const get = (url: URL, headers: Record<string, string>, signal: AbortSignal) => ask(url, headers, signal, slowest);
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
    async blob(digest, size, part, signal, pace) {
      const path = blobPath(digest);
      const url = new URL(path, base);
      for (;;) {
        const have = await sizeOf(part);
        const until = pace ? Math.min(size, have + pace.slice) : size;
        await pace?.take(until - have, signal);
        const range = until < size ? `bytes=${have}-${until - 1}` : `bytes=${have}-`;
        const answer = await get(url, have > 0 || until < size ? { range } : {}, signal);
        if (answer.status !== 200 && answer.status !== 206) throw refused(path, base, answer.status);
        if (answer.status === 206) await append(part, have, until, answer.body());
        // A server that ignores the range sends all of it again.
        else return append(part, 0, size, pace ? paced(answer.body(), pace, signal) : answer.body());
        if (until === size) return;
      }
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

async function ask(url: URL, headers: Record<string, string>, signal: AbortSignal, slowest: Speed): Promise<Answer> {
  const watch = new TransferWatch(slowest, signal);
  try {
    const response = await watch.over(fetch(url, { headers, signal: watch.signal }));
    const { status } = response;
    if (status !== 200 && status !== 206) watch.end(response.body?.cancel());
    return { status, body: () => pieces(response, watch, url) };
  } catch (error) {
    watch.end();
    throw notRead(url.href, error);
  }
}

async function* pieces(response: Response, watch: TransferWatch, url: URL): AsyncGenerator<Buffer> {
  const reader = response.body?.getReader();
  try {
    while (reader) {
      const next = await watch.over(reader.read());
      if (next.done) return;
      const bytes = Buffer.from(next.value);
      watch.came(bytes.length);
      yield bytes;
    }
  } catch (error) {
    throw notRead(url.href, error);
  } finally {
    watch.end(reader?.cancel());
  }
}
/** As fast as the pace allows, where nothing smaller can be asked for. */
async function* paced(chunks: AsyncIterable<Buffer>, pace: Pace, signal: AbortSignal): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    await pace.take(chunk.length, signal);
    yield chunk;
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
