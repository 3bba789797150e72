// @ts-check
/**
 * The cache outside the checkout: one folder for every checkout of a person, holding the programs that set-up fetched.
 *
 * Everything that lands here is made in a folder of its own and renamed into place when it is whole, so a killed set-up leaves
 * nothing that a later one could take for complete. The lock only saves doing the work twice.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What set-up knows of a program: where it is, the environment that it needs, and where it came from.
 * @typedef {{ path: string, env: Record<string, string>, from: string }} ProgramRecord
 */

const LOCK_TOUCHED_EVERY_MS = 5_000;
const LOCK_STALE_AFTER_MS = 60_000;

/**
 * The cache folder: `$FOOTHOLD_CACHE`, else `$XDG_CACHE_HOME`, else `~/.cache`, and in it `foothold`.
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {string}
 */
export function cacheDirectory(env = process.env) {
  return join(env['FOOTHOLD_CACHE'] || env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'foothold');
}

/**
 * The programs that set-up recorded; empty when it never ran.
 * @param {string} [cache]
 * @returns {Promise<Record<string, ProgramRecord>>}
 */
export async function readPrograms(cache = cacheDirectory()) {
  try {
    return /** @type {Record<string, ProgramRecord>} */ (
      JSON.parse(await readFile(join(cache, 'programs.json'), 'utf8'))
    );
  } catch {
    // Absent and unreadable mean the same here: set-up finds or fetches the programs again.
    return {};
  }
}

/**
 * Records programs, keeping what is recorded of others.
 * @param {Record<string, ProgramRecord>} programs
 * @param {string} [cache]
 */
export async function recordPrograms(programs, cache = cacheDirectory()) {
  await withLock(
    'programs.json',
    async () => {
      const all = { ...(await readPrograms(cache)), ...programs };
      const draft = join(cache, `programs.json.${randomUUID()}`);
      await writeFile(draft, `${JSON.stringify(all, null, 2)}\n`);
      await rename(draft, join(cache, 'programs.json'));
    },
    cache,
  );
}

/**
 * Fills a folder of the cache as one step: `fill` works in a draft, which takes its final name only when `fill` returned.
 * An existing folder of that name is complete by this rule and is left as it is.
 * @param {string} folder final absolute path
 * @param {(draft: string) => Promise<void>} fill
 */
export async function fillFolder(folder, fill) {
  if (await exists(folder)) return;
  const draft = `${folder}.draft-${randomUUID()}`;
  await mkdir(draft, { recursive: true });
  try {
    await fill(draft);
    await rename(draft, folder).catch(async (error) => {
      // Another set-up may have come first; its folder is whole and as good as ours.
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/**
 * Runs `work` while holding a named lock, waiting for another process that holds it. A holder that died, or that has not
 * touched its lock for a minute, loses it.
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @param {string} [cache]
 * @param {() => void} [onWait] called once if the lock is held by somebody else
 * @returns {Promise<T>}
 */
export async function withLock(name, work, cache = cacheDirectory(), onWait = () => {}) {
  const path = join(cache, 'locks', `${name}.lock`);
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() });
  await mkdir(dirname(path), { recursive: true });
  let told = false;
  while (!(await createExclusive(path, mine))) {
    if (await breakStale(path)) continue;
    if (!told) onWait();
    told = true;
    await sleep(200);
  }
  const keepAlive = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, LOCK_TOUCHED_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(keepAlive);
    // Only our own lock is taken away: if it was broken meanwhile, the file belongs to another process.
    if ((await readFile(path, 'utf8').catch(() => '')) === mine) await rm(path, { force: true });
  }
}

/** @param {string} path @param {string} content */
async function createExclusive(path, content) {
  try {
    const handle = await open(path, 'wx');
    await handle.writeFile(content);
    await handle.close();
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}

/** @param {string} path */
async function breakStale(path) {
  const [content, info] = await Promise.all([
    readFile(path, 'utf8').catch(() => ''),
    stat(path).catch(() => undefined),
  ]);
  if (!info) return true;
  if (Date.now() - info.mtimeMs < LOCK_STALE_AFTER_MS && !isDeadHere(content)) return false;
  const aside = `${path}.${randomUUID()}`;
  // Renaming lets one of several breakers win; the losers find nothing to rename and try to take the lock again.
  await rename(path, aside).catch(() => {});
  await rm(aside, { force: true });
  return true;
}

/** @param {string} content */
function isDeadHere(content) {
  try {
    const { pid, host } = /** @type {{ pid: number, host: string }} */ (JSON.parse(content));
    if (host !== hostname()) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // EPERM is a living process of another user; broken JSON is a lock being written right now.
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH';
  }
}

/** @param {string} path @returns {Promise<boolean>} */
export async function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}
