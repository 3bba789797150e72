#!/usr/bin/env node
// @ts-check
/**
 * Starts the bundled command line; the build copies this file to `dist/bin/foothold.cjs`. Compiling the bundle would take
 * longer than a reader takes to answer, so the build keeps what compiling gave (`bundle.mjs`). The engine refuses that
 * by itself where it is not of the same version, and compiles again.
 *
 * CommonJS, because only scripts can be compiled ahead with every Node that is supported.
 */
const { existsSync, readFileSync } = require('node:fs');
const { Module, createRequire } = require('node:module');
const path = require('node:path');
const vm = require('node:vm');

/**
 * Runs the program of a directory with the words of `process.argv`, and returns it as the engine holds it.
 * @param {string} directory where the build wrote it
 */
function launch(directory) {
  const program = path.join(directory, 'program.cjs');
  const compiled = compiledIn(directory);
  // As the engine's own loader of CommonJS wraps a file, on one line: places in a trace stay what they are.
  const text = `(function (exports, require, module, __filename, __dirname) { ${readFileSync(program, 'utf8')}\n})`;
  const script = new vm.Script(text, {
    filename: program,
    ...(existsSync(compiled) ? { cachedData: readFileSync(compiled) } : {}),
  });
  /** @type {NodeJS.Module} */
  const loaded = new Module(program);
  // Its parts ask for it: not known as loaded, it would be run a second time.
  require.cache[program] = loaded;
  const run = /** @type {(...parts: unknown[]) => void} */ (script.runInThisContext());
  run(loaded.exports, createRequire(program), loaded, program, directory);
  return script;
}

/** @param {string} directory */
function compiledIn(directory) {
  return path.join(directory, 'program.compiled');
}

module.exports = { launch, compiledIn };
if (require.main === module) launch(__dirname);
