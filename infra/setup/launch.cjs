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

const program = path.join(__dirname, 'program.cjs');
const compiled = path.join(__dirname, 'program.compiled');

/** Runs the program with the words of `process.argv`, and returns it as the engine holds it. */
function launch() {
  // As the engine's own loader of CommonJS wraps a file, on one line: places in a trace stay what they are.
  const text = `(function (exports, require, module, __filename, __dirname) { ${readFileSync(program, 'utf8')}\n})`;
  const script = new vm.Script(text, {
    filename: program,
    ...(existsSync(compiled) ? { cachedData: readFileSync(compiled) } : {}),
  });
  const loaded = new Module(program);
  // Its parts ask for it: not known as loaded, it would be run a second time.
  require.cache[program] = loaded;
  const run = /** @type {(...parts: unknown[]) => void} */ (script.runInThisContext());
  run(loaded.exports, createRequire(program), loaded, program, __dirname);
  return script;
}

module.exports = { launch, compiled };
if (require.main === module) launch();
