/** What makes the packages and the build of a checkout stale, on a small checkout of its own. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isNodeNewEnough } from '../../../infra/setup/ensure.mjs';
import type { Progress } from '../../../infra/setup/progress.mjs';
import { ensureBuild, packagesMatch } from '../../../infra/setup/steps.mjs';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'foothold-checkout-'));
  vi.stubEnv('FOOTHOLD_CACHE', join(root, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

describe('Node', () => {
  it.each([
    ['v18.20.0', false],
    ['v20.19.9', false],
    ['v20.20.0', true],
    ['v22.0.0', true],
  ])('%s is new enough: %s', (version, enough) => {
    expect(isNodeNewEnough(version)).toBe(enough);
  });
});

describe('the packages', () => {
  const locked = {
    '': {},
    'node_modules/a': { version: '1.0.0', integrity: 'x' },
    'node_modules/b': { version: '1.0.0', optional: true },
  };

  it.each([
    ['none is installed', undefined, false],
    [
      'all are',
      { 'node_modules/a': { version: '1.0.0', integrity: 'x' }, 'node_modules/b': { version: '1.0.0' } },
      true,
    ],
    ['an optional one is not', { 'node_modules/a': { version: '1.0.0', integrity: 'x' } }, true],
    ['one has another version', { 'node_modules/a': { version: '1.0.1', integrity: 'x' } }, false],
    ['one has another digest', { 'node_modules/a': { version: '1.0.0', integrity: 'y' } }, false],
    ['one is missing', { 'node_modules/b': { version: '1.0.0' } }, false],
    ['one is there too many', { 'node_modules/a': { version: '1.0.0', integrity: 'x' }, 'node_modules/c': {} }, false],
  ])('when %s', async (_, installed, match) => {
    await writeFile(join(root, 'package-lock.json'), JSON.stringify({ packages: locked }));
    await mkdir(join(root, 'node_modules'));
    if (installed)
      await writeFile(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages: installed }));
    expect(await packagesMatch(root)).toBe(match);
  });
});

describe('the build', () => {
  it('runs when a source changed or went away, and else not at all', async () => {
    const built: string[] = [];
    const progress: Progress = {
      say: () => undefined,
      step: (title) => (built.push(title), { update: () => undefined, done: () => undefined, failed: () => undefined }),
    };
    await symlink(join(checkout, 'node_modules'), join(root, 'node_modules'));
    await mkdir(join(root, 'policies'));
    await writeFile(join(root, 'package-lock.json'), '{}');
    const options = { outDir: 'dist', rootDir: '.', noLib: true, types: [], skipLibCheck: true };
    await writeFile(join(root, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['policies'] }));
    await writeFile(
      join(root, 'policies/a.ts'),
      'interface Array<T> {} interface Boolean {} interface CallableFunction {} interface Function {} interface IArguments {} interface NewableFunction {} interface Number {} interface Object {} interface RegExp {} interface String {}',
    );
    await writeFile(join(root, 'policies/b.ts'), 'const b = 1;');

    const builds = async (): Promise<number> => {
      built.length = 0;
      await ensureBuild(progress, root);
      return built.length;
    };
    expect(await builds()).toBe(1);
    expect(await builds()).toBe(0);
    await writeFile(join(root, 'policies/b.ts'), 'const b = 2;');
    expect(await builds()).toBe(1);
    expect(await readFile(join(root, 'dist/policies/b.js'), 'utf8')).toContain('2');
    await rm(join(root, 'policies/b.ts'));
    expect(await builds()).toBe(1);
    expect(await builds()).toBe(0);

    await writeFile(join(root, 'policies/b.ts'), 'const b: string = 1;');
    await expect(builds()).rejects.toThrow('TS2322');
    await expect(builds()).rejects.toThrow('TS2322');
  });
});
