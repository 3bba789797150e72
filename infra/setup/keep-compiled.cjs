// @ts-check
/**
 * `node keep-compiled.cjs DIST`, in a directory with a project: answers `status` once and keeps what was compiled for it,
 * functions that ran included.
 */
const { writeFileSync } = require('node:fs');
const path = require('node:path');

const [node = '', , dist = ''] = process.argv;
process.argv = [node, 'foothold', 'status'];
const { launch, compiled } = /** @type {typeof import('./launch.cjs')} */ (
  require(path.join(dist, 'bin/foothold.cjs'))
);
const script = launch();
process.once('exit', () => writeFileSync(compiled, script.createCachedData()));
