/** Bytes of a depot, from its directory or over HTTP. Nothing read here is believed yet. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axios, { isAxiosError, type AxiosResponse } from 'axios';
import { WorldError } from '../../policies/model/failure.js';

export interface DepotSource {
  /** As people know it: the directory or the base URL. */
  location: string;
  /** The object at a path of policies/model/depot.ts; undefined if it is not there. Throws WorldError DEPOT_UNREACHABLE. */
  read(path: string, limit: number): Promise<Uint8Array | undefined>;
}

/** For one object, from the first byte asked for to the last received. */
export const READ_TIMEOUT_MS = 15_000;

export function sourceAt(location: string, timeoutMs: number): DepotSource {
  if (/^https?:\/\//.test(location)) return httpSource(location.replace(/\/*$/, '/'), timeoutMs);
  return directorySource(location.startsWith('file:') ? fileURLToPath(location) : location);
}

function directorySource(directory: string): DepotSource {
  return {
    location: directory,
    async read(path, limit) {
      try {
        return await readUpTo(join(directory, path), limit);
      } catch (error) {
        // A depot that is not there at all is no depot without releases.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' && (await isDirectory(directory))) return undefined;
        throw unreachable(join(directory, path), error);
      }
    },
  };
}

async function readUpTo(path: string, limit: number): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > limit) throw new Error(`${size} bytes where at most ${limit} are expected`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

async function isDirectory(path: string): Promise<boolean> {
  const directory = await open(path, 'r').catch(() => undefined);
  if (directory === undefined) return false;
  try {
    return (await directory.stat()).isDirectory();
  } finally {
    await directory.close();
  }
}

function httpSource(base: string, timeoutMs: number): DepotSource {
  return {
    location: base,
    async read(path, limit) {
      const url = new URL(path, base).href;
      const response = await get(url, limit, timeoutMs).catch((error: unknown) => {
        throw unreachable(url, error);
      });
      if (response.status === 404) return undefined;
      if (response.status === 200) return response.data;
      throw new WorldError('DEPOT_UNREACHABLE', `expected ${url} from the depot, it answered ${response.status}`);
    },
  };
}

/** The signal ends what axios' own timeout does not: a connection that never opens, an answer that trickles. */
async function get(url: string, limit: number, timeoutMs: number): Promise<AxiosResponse<Uint8Array>> {
  return axios.get<Uint8Array>(url, {
    responseType: 'arraybuffer',
    maxContentLength: limit,
    maxRedirects: 3,
    timeout: timeoutMs,
    signal: AbortSignal.timeout(timeoutMs),
    validateStatus: () => true,
  });
}

function unreachable(what: string, error: unknown): WorldError {
  const words = error instanceof Error ? error.message || error.name : String(error);
  const reason = isAxiosError(error) && error.code === 'ERR_CANCELED' ? 'no whole answer in time' : words;
  return new WorldError('DEPOT_UNREACHABLE', `expected to read ${what}, got: ${reason || 'no answer'}`, {
    cause: error,
  });
}
