// @ts-check
/**
 * Set-up of a checkout: `node infra/setup/ensure.mjs [packages|build|programs|<program>]…`, all by default.
 * Plain JavaScript without dependencies, because it runs on a bare clone. Exit codes: 0 done, 3 something could not be got.
 *
 * Nothing is imported statically here: an old Node has to get as far as the sentence that tells it is too old.
 */
const OLDEST_NODE = [20, 20];

/** @param {string} version @returns {boolean} */
export function isNodeNewEnough(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/**
 * Makes sure of everything that is named; what is there already costs a fraction of a second.
 * @param {string[]} [wanted] `packages`, `build`, `programs` (those of the demo and the tests), or programs by name
 */
export async function ensure(wanted = ['packages', 'build', 'programs']) {
  const { createProgress } = await import('./progress.mjs');
  const { ensureBuild, ensurePackages } = await import('./steps.mjs');
  const { NEEDED_PROGRAMS, ensurePrograms } = await import('./programs.mjs');
  const progress = createProgress();
  const programs = wanted.flatMap((each) => (each === 'programs' ? NEEDED_PROGRAMS : each));
  if (wanted.includes('packages') || wanted.includes('build')) await ensurePackages(progress);
  if (wanted.includes('build')) await ensureBuild(progress);
  await ensurePrograms(
    programs.filter((each) => each !== 'packages' && each !== 'build'),
    progress,
  );
}

async function main() {
  if (!isNodeNewEnough(process.version)) {
    process.stderr.write(
      `expected Node ${OLDEST_NODE.join('.')} or newer, got ${process.version}: install a newer Node and try again\n`,
    );
    return 3;
  }
  const { SetupError } = await import('./run.mjs');
  try {
    await ensure(process.argv.length > 2 ? process.argv.slice(2) : undefined);
    return 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\nset-up stopped: ${error.message}\n`);
    return 3;
  }
}

const { pathToFileURL } = await import('node:url');
const { realpathSync } = await import('node:fs');
if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href)
  process.exitCode = await main();
