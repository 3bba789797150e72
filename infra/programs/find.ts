/** Where the programs are that development and tests start: Temporal, Prometheus, nginx, PostgreSQL. Set-up gets them; this only looks. */
import { WorldError } from '../../policies/model/failure.js';
import { locateProgram } from '../setup/locate.mjs';
import { SetupError } from '../setup/run.mjs';

export type ProgramName = 'temporal' | 'prometheus' | 'promtool' | 'nginx' | 'alertmanager' | 'postgres' | 'pg_dump';

export interface Program {
  /** Full path of the executable. */
  path: string;
  /** To be added to the environment of the process: what it needs to find its libraries. */
  env: Record<string, string>;
}

/**
 * Looks where set-up looks: `FOOTHOLD_<NAME>`, PATH and the system's folders for daemons, then the cache.
 * @throws WorldError `PROGRAM_MISSING`, with the command that gets it
 */
export async function findProgram(name: ProgramName): Promise<Program> {
  const found = await locateProgram(name).catch((error: unknown) => {
    throw error instanceof SetupError ? new WorldError('PROGRAM_MISSING', error.message) : error;
  });
  if (found) return { path: found.path, env: found.env };
  throw new WorldError(
    'PROGRAM_MISSING',
    `expected ${name} on PATH or in the cache, found it in neither: run \`npm run setup -- ${name}\`, or name its path in FOOTHOLD_${name.toUpperCase()}`,
  );
}
