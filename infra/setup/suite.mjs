// @ts-check
/**
 * The checks: `node infra/setup/suite.mjs check|all [arguments for vitest]`.
 *
 * `check` is types, lint of the rooms, format, walls and unit tests; `all` lints everything, and adds the slow tests
 * (vitest.config.ts). Every part runs even when an earlier one failed. It ends with the names of the tests that failed and the line `N passed, N failed`: tests, as vitest reports them, and
 * each other part that failed counts as one failed. Exit code 0 only if nothing failed and at least one test ran.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createProgress } from './progress.mjs';
import { SetupError } from './run.mjs';
import { CHECKOUT, ensureBuild, ROOMS } from './steps.mjs';
import { countTests, listFailures } from './tally.mjs';

/** @typedef {import('./tally.mjs').Tally} Tally */
/** @typedef {{ title: string, ok: boolean, output: string, seconds: number, tally: Tally, failures?: string[] }} Part */
/** @typedef {{ live?: boolean, priority?: number }} Manner `live`: the output is shown as it comes, for a part that runs long */

const NO_TESTS = { passed: 0, failed: 0 };

/** @param {'check' | 'all'} scope @param {string[]} vitestArguments @returns {Promise<number>} exit code */
async function main(scope, vitestArguments) {
  const folder = await mkdtemp(join(tmpdir(), 'foothold-tests-'));
  try {
    // Two lanes for two cores: the build goes before the unit tests, because some of them start what it makes.
    const [inspected, tested] = await Promise.all([inspect(scope), buildAndTest(folder, vitestArguments)]);
    const parts = [...inspected, ...tested];
    if (scope === 'all') parts.push(...(await slowTests(folder, vitestArguments)));
    return summarize(parts);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The tests that wait leave the processor idle: beside them, at a lower priority, those that need it and can wait for it. What
 * fills both cores or judges times comes last, with nothing beside it. @param {string} folder @param {string[]} vitestArguments
 */
async function slowTests(folder, vitestArguments) {
  const shown = (/** @type {string} */ project) => report(vitest(project, folder, vitestArguments, { live: true }));
  const replay = await shown('replay');
  const beside = await Promise.all([
    shown('integration'),
    report(vitest('background', folder, vitestArguments, { priority: constants.priority.PRIORITY_BELOW_NORMAL })),
  ]);
  return [replay, ...beside, await shown('alone')];
}

/**
 * Format, then lint: what reads sources without running them. Typed lint is the longest part of all: a check within a minute
 * leaves to `all` the tests and benches, and what a change does to the lint of files that are as they were.
 * @param {'check' | 'all'} scope
 */
async function inspect(scope) {
  const format = await report(
    part('format', 'node_modules/prettier/bin/prettier.cjs', [
      ...['--check', '--log-level=warn', '.'],
      ...['--cache', '--cache-strategy=content', '--cache-location=node_modules/.cache/prettier/checked'],
    ]),
  );
  const cached = ['--cache', '--cache-strategy=content', '--cache-location=node_modules/.cache/eslint/rooms'];
  const linted = scope === 'check' ? [...cached, ...ROOMS] : ['.'];
  const lint = await report(part('lint', 'node_modules/eslint/bin/eslint.js', linted));
  return [format, lint];
}

/** The build is the check of the types: the compiler's findings are its failure. @param {string} folder @param {string[]} vitestArguments */
async function buildAndTest(folder, vitestArguments) {
  const types = await report(build());
  const unit = await report(vitest('unit', folder, vitestArguments));
  return [types, unit];
}

/** @returns {Promise<Part>} */
async function build() {
  const started = Date.now();
  const ended = (/** @type {string} */ output) => ({
    title: 'types and build',
    ok: output === '',
    output,
    seconds: secondsSince(started),
    tally: NO_TESTS,
  });
  try {
    await ensureBuild(createProgress());
    return ended('');
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return ended(error.message);
  }
}

/** @param {string} project @param {string} folder @param {string[]} more @param {Manner} [manner] @returns {Promise<Part>} */
async function vitest(project, folder, more, manner) {
  const file = join(folder, `${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  // A filter that a person gave may leave a kind of test empty; without one, an empty kind is a failure.
  const empty = more.length > 0 ? ['--passWithNoTests'] : [];
  const args = ['run', '--project', project, ...reporters, ...empty, ...more];
  const result = await part(`${project} tests`, 'node_modules/vitest/vitest.mjs', args, manner);
  const told = await readFile(file, 'utf8').catch(() => '');
  const tally = countTests(told, result.ok);
  return { ...result, ok: tally.failed === 0, tally, failures: listFailures(told, CHECKOUT) };
}

/**
 * @param {string} title @param {string} script @param {string[]} args
 * @param {Manner} [manner]
 * @returns {Promise<Part>}
 */
function part(title, script, args, { live = false, priority } = {}) {
  const started = Date.now();
  process.stdout.write(`begin   ${title}\n`);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { cwd: CHECKOUT, stdio: ['ignore', 'pipe', 'pipe'] });
    // Before it has started anything: what it starts inherits it.
    if (priority !== undefined && child.pid !== undefined) setPriority(child.pid, priority);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream
        .setEncoding('utf8')
        .on('data', (/** @type {string} */ text) => (live ? process.stdout.write(text) : (output += text)));
    }
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ title, ok: code === 0, output, seconds: secondsSince(started), tally: NO_TESTS }),
    );
  });
}

/** Prints a part when it ends: whole, so that two lanes do not mix; only a line if there is nothing to mend. @param {Promise<Part>} running */
async function report(running) {
  const { title, ok, output, seconds, tally } = await running;
  const counted = tally.passed + tally.failed > 0 ? `, ${tally.passed} passed, ${tally.failed} failed` : '';
  process.stdout.write(
    `${ok || !output ? '' : `\n${output.trimEnd()}\n`}${ok ? 'ok    ' : 'FAILED'}  ${title} (${seconds} s${counted})\n`,
  );
  return running;
}

/** @param {Part[]} parts */
function summarize(parts) {
  const passed = parts.reduce((sum, { tally }) => sum + tally.passed, 0);
  const failed = parts.reduce((sum, { tally, ok }) => sum + (tally.failed || (ok ? 0 : 1)), 0);
  for (const { title, failures = [] } of parts) {
    for (const failure of failures) process.stdout.write(`failed  ${title}: ${failure}\n`);
  }
  if (passed + failed === 0) process.stdout.write('no test ran\n');
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** @param {number} started */
const secondsSince = (started) => Math.round((Date.now() - started) / 100) / 10;

const [scope, ...rest] = process.argv.slice(2);
if (scope !== 'check' && scope !== 'all') {
  process.stderr.write(`expected \`check\` or \`all\`, got ${scope ?? 'nothing'}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await main(scope, rest);
}
