// @ts-check
/** The steps of set-up that concern this checkout: its packages and its build. Each does nothing when nothing changed. */
import { createHash } from 'node:crypto';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, exists, withLock } from './cache.mjs';
import { withStep } from './progress.mjs';
import { SetupError, run } from './run.mjs';

/** @typedef {import('./progress.mjs').Progress} Progress */

export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));

/** The folders of the rooms (design §3). */
export const ROOMS = ['policies', 'workflows', 'activities', 'records', 'site', 'worker', 'cli', 'infra'];

/** What the build reads; anything else changed leaves the build as it is. */
const SOURCE = /\.(ts|mts|mjs|cjs|js)$/;
const SOURCE_FOLDERS = [...ROOMS, 'bench', 'test', 'examples'];

/**
 * Installs the packages of the lockfile, checked by its digests, unless exactly those are installed.
 * @param {Progress} progress
 * @param {string} [root]
 */
export async function ensurePackages(progress, root = CHECKOUT) {
  if (await packagesMatch(root)) return;
  await exclusively(root, progress, async () => {
    if (await packagesMatch(root)) return;
    // No install scripts: none of the packages needs one, and what is not run cannot go wrong.
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const npm = process.env['npm_execpath'];
    const [program, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
    await withStep(progress, 'npm ci', () => run(/** @type {string} */ (program), [...first, ...args], { cwd: root }));
  });
}

/**
 * npm writes its own account of what it installed when it is done, and `npm ci` begins by deleting it: comparing the two
 * accounts therefore also finds an installation that was cut short.
 * @param {string} root
 */
export async function packagesMatch(root) {
  const [wanted, installed] = await Promise.all([
    readLock(join(root, 'package-lock.json')),
    readLock(join(root, 'node_modules/.package-lock.json')),
  ]);
  if (!wanted) throw new SetupError(`expected a readable package-lock.json in ${root}`);
  if (!installed) return false;
  const extra = Object.keys(installed).some((path) => !wanted[path]);
  const differing = Object.entries(wanted).some(([path, entry]) => {
    const has = installed[path];
    if (path === '' || entry.link) return false;
    return has ? has.version !== entry.version || has.integrity !== entry.integrity : !entry.optional;
  });
  return !extra && !differing;
}

/** @typedef {Record<string, { version?: string, integrity?: string, optional?: boolean, link?: boolean }>} LockedPackages */

/** @param {string} path @returns {Promise<LockedPackages | undefined>} */
async function readLock(path) {
  try {
    const { packages } = /** @type {{ packages: LockedPackages }} */ (JSON.parse(await readFile(path, 'utf8')));
    return packages;
  } catch {
    return undefined;
  }
}

/**
 * Compiles the checkout to `dist/` and bundles the workflows and the command line, unless the sources are those of the
 * last build.
 * @param {Progress} progress
 * @param {string} [root]
 */
export async function ensureBuild(progress, root = CHECKOUT) {
  if (await isBuilt(root)) return;
  await exclusively(root, progress, async () => {
    // Taken before compiling: a file saved while the compiler runs makes the next build stale, as it should.
    const digest = await digestSources(root);
    if (await isBuilt(root, digest)) return;
    await withStep(progress, 'build', async (step) => {
      step.update('compiling');
      await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.', '--pretty', 'false'], { cwd: root });
      const bundler = join(root, 'dist/worker/bundle.js');
      if (await exists(bundler)) {
        step.update('bundling the workflows');
        await run(process.execPath, [bundler], { cwd: root });
      }
      if (await exists(join(root, 'dist/cli/main.js'))) {
        step.update('bundling the command line');
        const program = fileURLToPath(new URL('../bundle/bundle.mjs', import.meta.url));
        const said = await run(process.execPath, [program, join(root, 'dist')], { cwd: root });
        if (said.includes('not bundled'))
          progress.say('the bundler (rolldown) does not run here: foothold is not bundled, and starts slower');
      }
    });
    await writeFile(stampOf(root), digest);
  });
}

/** @param {string} root */
const stampOf = (root) => join(root, 'dist/.built');

/** Whether `dist/` is of the sources as they are now. @param {string} root @param {string} [digest] @returns {Promise<boolean>} */
export async function isBuilt(root, digest) {
  const stamp = await readFile(stampOf(root), 'utf8').catch(() => '');
  return stamp !== '' && stamp === (digest ?? (await digestSources(root)));
}

/** A digest over names and contents: unlike times, it survives a checkout and tells of a deleted file. @param {string} root */
async function digestSources(root) {
  const files = ['package-lock.json', 'tsconfig.json'];
  for (const folder of SOURCE_FOLDERS) {
    const entries = await readdir(join(root, folder), { recursive: true }).catch(() => []);
    files.push(...entries.filter((entry) => SOURCE.test(entry)).map((entry) => `${folder}/${entry}`));
  }
  const contents = await Promise.all(files.map((file) => readFile(join(root, file)).catch(() => Buffer.alloc(0))));
  const hash = createHash('sha256');
  const order = files
    .map((file, index) => ({ file, content: /** @type {Buffer} */ (contents[index]) }))
    .sort((a, b) => (a.file < b.file ? -1 : 1));
  for (const { file, content } of order) hash.update(`${file}\0${content.length}\0`).update(content);
  return hash.digest('hex');
}

/** Two commands in one checkout must not install or build at the same time. @param {string} root @param {Progress} progress @param {() => Promise<void>} work */
async function exclusively(root, progress, work) {
  const name = `checkout-${createHash('sha256').update(root).digest('hex').slice(0, 16)}`;
  await withLock(name, work, cacheDirectory(), () =>
    progress.say('another command is setting up this checkout; waiting for it'),
  );
}
