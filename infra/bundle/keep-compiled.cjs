// @ts-check
/**
 * `node keep-compiled.cjs DIST`, in a directory with a project: answers `status` once and keeps what was compiled for it,
 * functions that ran included.
 */
const { writeFileSync } = require('node:fs');
const path = require('node:path');
const { launch, compiledIn } = require('./launch.cjs');

const [node = '', , dist = ''] = process.argv;
process.argv = [node, 'foothold', 'status'];
const directory = path.join(dist, 'bin');
const script = launch(directory);
process.once('exit', () => writeFileSync(compiledIn(directory), script.createCachedData()));
