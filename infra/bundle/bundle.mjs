// @ts-check
/**
 * Bundles the compiled command line: `node infra/bundle/bundle.mjs [DIST]`. Read one by one, the files of a command that
 * only reads the registry take several times as long to load as the command takes to answer.
 */
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../setup/run.mjs';

/** Taken in with everything that they import; every other package is loaded from where it is installed. */
const PACKAGES = ['canonicalize', 'commander', 'kysely', 'luxon', 'mustache', 'semver', 'yaml', 'zod'];

/** Rooms whose files are taken in. The others look for files beside their own, or are programs by themselves. */
const ROOMS = ['cli', 'records', 'policies'];

/** Loaded by both halves: `instanceof` must mean the same class in the bundle and outside of it. */
const SHARED = ['policies/model/failure.js'];

/** Where the commands begin that a person waits for. What they import is one file: each file more costs a millisecond. */
const READERS = [
  'cli/main.js',
  'cli/commands/status.js',
  'cli/commands/explain.js',
  'cli/commands/owed.js',
  'cli/commands/history.js',
  'cli/commands/fleet.js',
  'records/files/project-file.js',
  'records/registry/open.js',
  'records/registry/sqlite.js',
];

const HERE = fileURLToPath(new URL('.', import.meta.url));

/**
 * Writes `<dist>/bin/foothold.cjs` and its parts. Where the bundler does not run, it only names the program as it was
 * compiled: slower to start, and otherwise the same.
 * @param {string} dist
 * @param {() => Promise<Pick<typeof import('rolldown'), 'rolldown'>>} load the bundler
 * @returns {Promise<'bundled' | 'not bundled'>}
 */
export async function bundleProgram(dist, load = () => import('rolldown')) {
  const out = join(dist, 'bin');
  const program = join(out, 'foothold.cjs');
  // A part left behind by an earlier build would be found by nobody but a reader of the directory.
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const bundler = await load().catch(() => undefined);
  if (bundler) {
    await writeBundle(bundler.rolldown, dist, out);
    await copyFile(join(HERE, 'launch.cjs'), program);
    await keepCompiled(dist);
  } else await writeFile(program, "#!/usr/bin/env node\nimport('../cli/main.js');\n");
  await chmod(program, 0o755);
  return bundler ? 'bundled' : 'not bundled';
}

/** Only a program that has run holds its functions compiled, so it answers once. @param {string} dist */
async function keepCompiled(dist) {
  const project = await mkdtemp(join(tmpdir(), 'foothold-build-'));
  try {
    const depot = 'depot: { write: depot/, read: "http://127.0.0.1/" }';
    await writeFile(join(project, 'foothold.yaml'), `apiVersion: foothold/v1\nkind: Project\n${depot}\n`);
    await writeFile(join(project, 'registry.db'), '');
    await run(process.execPath, [join(HERE, 'keep-compiled.cjs'), dist], { cwd: project });
  } finally {
    await rm(project, { recursive: true, force: true });
  }
}

/** @param {typeof import('rolldown').rolldown} rolldown @param {string} dist @param {string} out */
async function writeBundle(rolldown, dist, out) {
  const bundle = await rolldown({
    input: { program: join(dist, 'cli/main.js') },
    platform: 'node',
    external: (id) => isOutside(id, dist),
    plugins: [
      {
        name: 'no place of its own',
        transform: (code, id) => refuseOwnPlace(code, relative(dist, id).replaceAll(sep, '/')),
      },
    ],
    // That some files are imported both ways is how the rooms are written.
    checks: { ineffectiveDynamicImport: false },
  });
  /** @type {Set<string> | undefined} */
  let readers;
  await bundle.write({
    dir: out,
    format: 'cjs',
    // A script kept compiled cannot import: `require` loads the other rooms too. None of them awaits at its top level.
    dynamicImportInCjs: false,
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    // Half of the start is reading the text. `node --enable-source-maps` names the places in a trace again.
    minify: true,
    sourcemap: true,
    codeSplitting: {
      groups: [
        {
          debugName: 'reading',
          name: (id, context) => {
            readers ??= readersFiles(dist, context);
            return readers.has(id) ? 'reading' : null;
          },
        },
      ],
    },
  });
  await bundle.close();
}

/** @param {string} id a package, or a file as it is imported or resolved @param {string} dist */
function isOutside(id, dist) {
  if (id.startsWith('node:')) return true;
  const isFile = id.startsWith('.') || id.startsWith('/');
  if (!isFile) return !PACKAGES.includes(/** @type {string} */ (id.split('/')[0]));
  if (id.startsWith('.') || id.includes(`${sep}node_modules${sep}`)) return false;
  const path = relative(dist, id).replaceAll(sep, '/');
  return SHARED.includes(path) || !isOwn(path);
}

/** @param {string} path seen from `dist` */
function isOwn(path) {
  return ROOMS.some((room) => path.startsWith(`${room}/`));
}

/** In a bundle a file has no place of its own. @param {string} code @param {string} path */
function refuseOwnPlace(code, path) {
  if (!isOwn(path) || !code.includes('import.meta')) return null;
  throw new Error(
    `expected no import.meta in ${path}: the command line is bundled; look for files from worker/ or infra/`,
  );
}

/** @param {string} dist @param {{ getModuleInfo(id: string): { importedIds: string[] } | null }} context */
function readersFiles(dist, context) {
  /** @type {Set<string>} */
  const found = new Set();
  const waiting = READERS.map((path) => join(dist, path));
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const info = found.has(id) ? null : context.getModuleInfo(id);
    if (!info) continue;
    found.add(id);
    waiting.push(...info.importedIds);
  }
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = resolve(process.argv[2] ?? fileURLToPath(new URL('../../dist', import.meta.url)));
  process.stdout.write(`${await bundleProgram(dist)}\n`);
}
