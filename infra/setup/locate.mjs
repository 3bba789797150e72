// @ts-check
/**
 * Where a program is: the one answer that set-up and everything it sets up for share. First the environment variable that names
 * it, then PATH, then what set-up recorded in the cache.
 */
import { cacheDirectory, readPrograms } from './cache.mjs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupError, isExecutable, onPath } from './run.mjs';

/** Names under which a distribution installs a program, where they differ from ours. */
const OTHER_NAMES = /** @type {Record<string, string[]>} */ ({ alertmanager: ['prometheus-alertmanager'] });

/** Where a distribution keeps programs of which several versions may be installed: a folder a version, off the PATH. */
const VERSIONED = /** @type {Record<string, { root: string, within: string }>} */ ({
  postgres: { root: '/usr/lib/postgresql', within: 'bin' },
  pg_dump: { root: '/usr/lib/postgresql', within: 'bin' },
});

/** @param {string} name @returns {string} the environment variable that names a program's path */
export const overrideOf = (name) => `FOOTHOLD_${name.toUpperCase()}`;

/**
 * @param {string} name
 * @param {string} [cache]
 * @returns {Promise<import('./cache.mjs').ProgramRecord | undefined>} undefined when set-up has to get it first
 * @throws {SetupError} when the environment variable names something that cannot be started
 */
export async function locateProgram(name, cache = cacheDirectory()) {
  const override = process.env[overrideOf(name)];
  if (override) {
    if (await isExecutable(override)) return { path: override, env: {}, from: overrideOf(name) };
    throw new SetupError(`expected a program at ${override} (${overrideOf(name)}), there is none that can be started`);
  }
  for (const each of [name, ...(OTHER_NAMES[name] ?? [])]) {
    const path = await onPath(each);
    if (path) return { path, env: {}, from: 'PATH' };
  }
  const versioned = await newestVersion(name);
  if (versioned) return { path: versioned, env: {}, from: 'PATH' };
  const known = (await readPrograms(cache))[name];
  return known && (await isExecutable(known.path)) ? known : undefined;
}

/** @param {string} name @returns {Promise<string | undefined>} */
async function newestVersion(name) {
  const { root, within } = VERSIONED[name] ?? { root: '', within: '' };
  if (root === '') return undefined;
  const versions = (await readdir(root).catch(() => [])).sort((a, b) => Number(b) - Number(a));
  for (const version of versions) {
    const path = join(root, version, within, name);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}
