/** Finds what the disk itself said in an error, however it was wrapped on the way. */
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { judgeDiskError, type DiskTrouble } from '../../policies/site/judge-disk.js';

/** Errors of a read that name no path may be the depot's: a directory somewhere else, whose faults are not this disk's. */
const READING = new Set(['EIO', 'ENXIO', 'ENODEV']);

export function troubleOf(error: unknown, dataDirectory: string): DiskTrouble | undefined {
  let ofDepot = false;
  for (let at = error; at instanceof Error; at = at.cause) {
    ofDepot ||= at instanceof WorldError && at.code === 'DEPOT_UNREACHABLE';
    const { code, rawCode, path } = at as Error & { code?: unknown; rawCode?: unknown; path?: unknown };
    if (typeof code !== 'string') continue;
    if (ofDepot && path === undefined && READING.has(code)) continue;
    const outside = typeof path === 'string' && path !== dataDirectory && !path.startsWith(`${dataDirectory}/`);
    const trouble = judgeDiskError({ code, rawCode: typeof rawCode === 'number' ? rawCode : undefined, outside });
    if (trouble !== undefined) return trouble;
  }
  return undefined;
}

/** Throws what the database itself said as STORE_BROKEN, so that whoever starts an agent has a page to read; all else as it is. */
export function namedIfBroken(error: unknown): never {
  const isNamed = error instanceof WorldError || error instanceof MistakeError;
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  if (isNamed || typeof code !== 'string' || !code.startsWith('SQLITE_')) throw error;
  const message = `expected the database of the agent to be readable, got: ${(error as Error).message}`;
  throw new WorldError('STORE_BROKEN', message, { cause: error });
}
