// @ts-check
/**
 * Programs from the distribution's packages, without installing them: apt fetches and verifies with its state and cache inside
 * our cache, `dpkg-deb` unpacks. No root is needed, nothing is configured, nothing is started.
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { exists, fillFolder, withLock } from './cache.mjs';
import { SetupError, isExecutable, onPath, run } from './run.mjs';

/** How many layers of dependencies are followed for missing libraries; a library that needs more is reported, not guessed. */
const DEEPEST_DEPENDENCY = 4;

/**
 * The hooks of the system's apt belong to the system's own state (they refresh desktop caches, delete archives): cleared.
 * Its signed index, sources, keys, proxies and pins stay as configured.
 */
const APT_CONFIG = `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
`;

/** @returns {Promise<boolean>} */
export async function isDebian() {
  return Boolean((await onPath('apt-get')) && (await onPath('dpkg-deb')));
}

/**
 * `binary` is a path in the package, as `usr/sbin/nginx`; one part of it may be `*`, for a version. `beside` are programs
 * of the same folder that are started too. Libraries of packages that match `without` are not fetched.
 * @typedef {{ packages: string[], binary: string, beside?: string[], without?: RegExp }} Wanted
 */

/**
 * Fetches and unpacks the first of `packages` that holds `binary`, and what libraries it lacks on this system.
 * @param {Apt} apt
 * @param {Wanted} want
 * @param {(text: string) => void} [note]
 * @returns {Promise<{ root: string, path: string, env: Record<string, string>, from: string }>} the unpacked folder, and the program in it
 */
export async function fetchDebianProgram(apt, want, note = () => {}) {
  let reason = '';
  for (const name of want.packages) {
    try {
      const root = await apt.unpack(name, note);
      const path = await findBinary(root, want.binary);
      if (path === undefined) continue;
      const binaries = [path, ...(want.beside ?? []).map((each) => join(dirname(path), each))];
      return {
        root,
        path,
        env: await supplyLibraries(apt, name, binaries, want.without, note),
        from: `package ${name}`,
      };
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      reason = `\n${error.message}`;
    }
  }
  throw new SetupError(
    `expected ${want.binary} in one of the packages ${want.packages.join(', ')}, found it in none${reason}`,
  );
}

/** @param {string} root @param {string} pattern @returns {Promise<string | undefined>} */
async function findBinary(root, pattern) {
  const [before = '', after] = pattern.split('*');
  if (after === undefined) return (await isExecutable(join(root, pattern))) ? join(root, pattern) : undefined;
  for (const entry of await readdir(join(root, before)).catch(() => [])) {
    const path = join(root, before, entry, after);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

/** @typedef {Awaited<ReturnType<typeof openApt>>} Apt */

/** apt with its own state and cache. @param {string} cache */
export async function openApt(cache) {
  const home = join(cache, 'apt');
  await mkdir(join(home, 'state/lists/partial'), { recursive: true });
  await mkdir(join(home, 'cache/archives/partial'), { recursive: true });
  const config = join(home, 'apt.conf');
  await writeFile(config, APT_CONFIG);
  const options = [
    '-c',
    config,
    '-o',
    `Dir::State=${join(home, 'state')}`,
    '-o',
    'Dir::State::status=/var/lib/dpkg/status',
  ];
  options.push('-o', `Dir::Cache=${join(home, 'cache')}`);
  // Messages are read below, so they must not be translated.
  const env = { ...process.env, LC_ALL: 'C' };
  const get = (/** @type {string[]} */ args, cwd = home) => run('apt-get', [...options, '-q', ...args], { cwd, env });
  const query = (/** @type {string[]} */ args) => run('apt-cache', [...options, ...args], { cwd: home, env });
  /** @type {Promise<string> | undefined} */
  let updated;

  /**
   * The index of the archive goes out of date within days: a package is looked up in a fresh one, once for each set-up.
   * One of several sources may be unreachable or unsigned; apt then uses the others, and what it said is told only if a package
   * is missing for it.
   * @param {(text: string) => void} note
   * @returns {Promise<string>} what went wrong
   */
  async function update(note) {
    note('fetching the signed package index');
    return withLock('apt', () => get(['update', '--error-on=any']), cache).then(
      () => '',
      (/** @type {Error} */ error) => `\n${error.message}`,
    );
  }

  return {
    query,
    /** @param {string} name @param {(text: string) => void} say @returns {Promise<string>} */
    async unpack(name, say) {
      const problem = await (updated ??= update(say));
      const version = /^\s+Candidate: (\S+)$/m.exec(await query(['policy', name]))?.[1];
      if (!version || version === '(none)')
        throw new SetupError(`expected a package ${name} in the package index, there is none${problem}`);
      const folder = join(cache, 'packages', `${name}_${version.replaceAll(/[^\w.+~-]/g, '_')}`);
      await fillFolder(folder, async (draft) => {
        say(`fetching package ${name} ${version}`);
        await get(['download', `${name}=${version}`], draft);
        const file = (await readdir(draft)).find((entry) => entry.endsWith('.deb'));
        if (!file)
          throw new SetupError(`expected apt-get download ${name} to leave a package in ${draft}, it left none`);
        await run('dpkg-deb', ['-x', join(draft, file), draft]);
        await rm(join(draft, file));
      });
      return folder;
    },
  };
}

/**
 * The environment with which the binaries find all their shared libraries; packages are fetched only for what the system lacks.
 * @param {Apt} apt
 * @param {string} name package of the binaries
 * @param {string[]} binaries
 * @param {RegExp | undefined} without
 * @param {(text: string) => void} note
 * @returns {Promise<Record<string, string>>}
 */
async function supplyLibraries(apt, name, binaries, without, note) {
  /** @type {string[]} */
  const folders = [];
  const environment = () => (folders.length ? { LD_LIBRARY_PATH: folders.join(':') } : {});
  const seen = new Set([name]);
  let layer = [name];
  let missing = await missingOfAll(binaries, environment());
  for (let depth = 0; missing.length > 0 && depth < DEEPEST_DEPENDENCY; depth += 1) {
    layer = (await Promise.all(layer.map((each) => libraryPackages(apt, each))))
      .flat()
      .filter((each) => !seen.has(each) && !without?.test(each));
    for (const each of new Set(layer)) {
      seen.add(each);
      folders.push(...(await libraryFolders(await apt.unpack(each, note))));
    }
    missing = await missingOfAll(binaries, environment());
  }
  if (missing.length > 0)
    throw new SetupError(`expected the libraries ${missing.join(', ')} of ${binaries[0]} in its packages, found none`);
  return environment();
}

/** @param {string[]} binaries @param {Record<string, string>} env */
async function missingOfAll(binaries, env) {
  return [...new Set((await Promise.all(binaries.map((each) => missingLibraries(each, env)))).flat())];
}

/** @param {string} binary @param {Record<string, string>} env */
async function missingLibraries(binary, env) {
  const out = await run('ldd', [binary], { env: { ...process.env, ...env, LC_ALL: 'C' } }).catch(
    (/** @type {Error} */ error) => {
      // A program without shared libraries is not an error of ours; any other failure of ldd shows when the program starts.
      if (/not a dynamic executable|statically linked/.test(error.message)) return '';
      throw error;
    },
  );
  return [...out.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? '');
}

/**
 * Packages of libraries that `name` depends on and that are not installed here.
 * @param {Apt} apt @param {string} name
 */
async function libraryPackages(apt, name) {
  const out = await apt.query(['depends', '--important', '--no-recommends', name]);
  const names = [...out.matchAll(/^\s*\|?(?:Pre)?Depends: ([a-z0-9][a-z0-9+.-]*)/gm)].map((match) => match[1] ?? '');
  const libraries = [...new Set(names)].filter((each) => /^lib|^zlib/.test(each) && each !== 'libc6');
  const installed = await Promise.all(libraries.map(isInstalled));
  return libraries.filter((_, index) => !installed[index]);
}

/** @param {string} name */
async function isInstalled(name) {
  const status = await run('dpkg-query', ['-W', '-f', '${db:Status-Status}', name]).catch(() => '');
  return status.trim() === 'installed';
}

/** Folders of an unpacked package that hold shared libraries. @param {string} root @returns {Promise<string[]>} */
async function libraryFolders(root) {
  const found = [];
  for (const top of ['usr/lib', 'lib']) {
    if (!(await exists(join(root, top)))) continue;
    for (const entry of await readdir(join(root, top), { recursive: true, withFileTypes: true })) {
      if (/\.so(\.|$)/.test(entry.name)) found.push(entry.parentPath);
    }
  }
  return [...new Set(found)];
}
