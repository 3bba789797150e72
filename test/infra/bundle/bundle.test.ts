import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleProgram } from '../../../infra/bundle/bundle.mjs';

/** A compiled checkout in small: a door, a reader, and a room that is not taken in. */
const FILES: Record<string, string> = {
  'cli/main.js': `
    import { Known } from '../policies/model/failure.js';
    async function main(word) {
      if (word === 'status') console.log((await import('./commands/status.js')).text);
      if (word === 'start') console.log((await import('./commands/start.js')).text);
      if (word === 'worker') await (await import('../worker/control.js')).run();
    }
    main(process.argv[2]).catch((error) => console.log(error instanceof Known ? 'known' : 'unknown', error.message));`,
  'cli/commands/status.js': `
    import { read } from '../../records/registry/open.js';
    import { paint } from '../paint.js';
    export const text = paint(read('status'));`,
  'cli/commands/start.js': `import { paint } from '../paint.js'; export const text = paint('started');`,
  'cli/paint.js': `export const paint = (text) => (process.env.NO_SUCH_COLOUR ? 'coloured ' : '') + text.split(' ').join(' ');`,
  'records/registry/open.js': `export const read = (what) => 'read ' + what;`,
  'policies/model/failure.js': `export class Known extends Error {}`,
  'worker/control.js': `
    import { Known } from '../policies/model/failure.js';
    export const run = () => { throw new Known(new URL('beside', import.meta.url).pathname.split('/').slice(-2).join('/')); };`,
};

let root: string;
let dist: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'foothold-bundle-'));
  dist = join(root, 'dist');
  await writeFile(join(root, 'package.json'), '{ "type": "module" }');
  await symlink(join(import.meta.dirname, '../../../node_modules'), join(root, 'node_modules'));
  for (const [path, text] of Object.entries(FILES)) await put(path, text);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(dist, path)), { recursive: true });
  await writeFile(join(dist, path), text);
}

async function run(...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(dist, 'bin/foothold.cjs'), ...words]);
  return stdout.trim();
}

test('a reader is answered by the bundle alone', async () => {
  expect(await bundleProgram(dist)).toBe('bundled');
  await rm(join(dist, 'records'), { recursive: true });
  await rm(join(dist, 'cli'), { recursive: true });
  expect(await run('status')).toBe('read status');
});

test('a part that asks for what the readers have does not run the program again', async () => {
  await bundleProgram(dist);
  expect(await run('start')).toBe('started');
});

test('a room outside keeps its place, and its errors are known inside', async () => {
  await bundleProgram(dist);
  expect(await run('worker')).toBe('known worker/beside');
});

test('what was compiled is kept, and where it is of another engine the program is compiled again', async () => {
  await bundleProgram(dist);
  const compiled = join(dist, 'bin/program.compiled');
  expect((await readFile(compiled)).length).toBeGreaterThan(0);
  await writeFile(compiled, 'of another engine');
  expect(await run('status')).toBe('read status');
  await rm(compiled);
  expect(await run('status')).toBe('read status');
});

test('a part of an earlier build does not stay', async () => {
  await put('bin/earlier-1234.js', '');
  await bundleProgram(dist);
  expect(await readdir(join(dist, 'bin'))).not.toContain('earlier-1234.js');
});

test('a file that looks for others beside itself is not bundled in silence', async () => {
  await put('records/registry/open.js', `export const read = () => import.meta.url;`);
  await expect(bundleProgram(dist)).rejects.toThrow(/no import\.meta in records\/registry\/open\.js/);
});

test('without a bundler the program is the compiled one', async () => {
  const absent = () => Promise.reject(new Error('no binding for this machine'));
  expect(await bundleProgram(dist, absent)).toBe('not bundled');
  expect(await readFile(join(dist, 'bin/foothold.cjs'), 'utf8')).toContain('../cli/main.js');
  expect(await run('status')).toBe('read status');
});
