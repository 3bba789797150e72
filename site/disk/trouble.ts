/** Finds what the disk itself said in an error, however it was wrapped on the way. */
import { judgeDiskError, type DiskTrouble } from '../../policies/site/judge-disk.js';

export function troubleOf(error: unknown, dataDirectory: string): DiskTrouble | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code, rawCode, path } = at as Error & { code?: unknown; rawCode?: unknown; path?: unknown };
    if (typeof code !== 'string') continue;
    const outside = typeof path === 'string' && path !== dataDirectory && !path.startsWith(`${dataDirectory}/`);
    const trouble = judgeDiskError({ code, rawCode: typeof rawCode === 'number' ? rawCode : undefined, outside });
    if (trouble !== undefined) return trouble;
  }
  return undefined;
}
