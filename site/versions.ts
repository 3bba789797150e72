/** Reads the versions that the site reports, each by a program of its own (`reports` in agent.yaml). */
import { runProgram } from './drivers/program.js';

const TIMEOUT_MS = 5_000;
/** Reports come in bursts (one with every result); programs are not started for each. */
const CACHED_MS = 5_000;

/** What cannot be read is left out: preflight then says REQUIRES_UNKNOWN instead of trusting an old value. */
export function versionReader(
  reports: Record<string, string[]>,
  cwd: string,
  elapsed: () => number,
): () => Promise<Record<string, string>> {
  let read: { at: number; versions: Promise<Record<string, string>> } | undefined;
  return async () => {
    if (Object.keys(reports).length === 0) return {};
    if (!read || elapsed() - read.at > CACHED_MS) read = { at: elapsed(), versions: readAll(reports, cwd) };
    return read.versions;
  };
}

async function readAll(reports: Record<string, string[]>, cwd: string): Promise<Record<string, string>> {
  const read = await Promise.all(
    Object.entries(reports).map(async ([name, argv]) => {
      const end = await runProgram({ argv, cwd, timeout: TIMEOUT_MS });
      const version = end.ok ? versionIn(end.output) : undefined;
      return version === undefined ? undefined : ([name, version] as const);
    }),
  );
  return Object.fromEntries(read.filter((entry) => entry !== undefined));
}

/** The first word that looks like a version (`fw version 3.4.1 (rev 7)` → `3.4.1`), else the first line. */
function versionIn(output: string): string | undefined {
  const line = output.trim().split('\n', 1)[0]?.trim();
  if (line === undefined || line === '') return undefined;
  return /(?<![\w.])v?(\d+\.\d+(?:\.\d+)?(?:[-+][\w.+-]+)?)/.exec(line)?.[1] ?? line;
}
