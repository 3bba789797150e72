/** A program is found in the order of the design: the environment variable, PATH, what set-up recorded; else it is named. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { findProgram } from '../../../infra/programs/find.js';
import { recordPrograms } from '../../../infra/setup/cache.mjs';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'foothold-find-'));
  vi.stubEnv('FOOTHOLD_CACHE', folder);
  vi.stubEnv('FOOTHOLD_PROMTOOL', '');
  vi.stubEnv('PATH', join(folder, 'bin'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

it('a program is looked for in the variable, then on PATH, then in the cache', async () => {
  const inCache = await plant('cached/promtool');
  await recordPrograms({ promtool: { path: inCache, env: { LD_LIBRARY_PATH: '/x' }, from: 'test' } });
  expect(await findProgram('promtool')).toEqual({ path: inCache, env: { LD_LIBRARY_PATH: '/x' } });

  const onPath = await plant('bin/promtool');
  expect(await findProgram('promtool')).toEqual({ path: onPath, env: {} });

  const named = await plant('named/any-name');
  vi.stubEnv('FOOTHOLD_PROMTOOL', named);
  expect(await findProgram('promtool')).toEqual({ path: named, env: {} });
});

it('a program that is nowhere, or gone from the cache, is named with the command that gets it', async () => {
  const missing = {
    name: 'WorldError',
    code: 'PROGRAM_MISSING',
    message: expect.stringContaining('npm run setup -- promtool') as string,
  };
  await expect(findProgram('promtool')).rejects.toMatchObject(missing);
  await recordPrograms({ promtool: { path: join(folder, 'gone'), env: {}, from: 'test' } });
  await expect(findProgram('promtool')).rejects.toMatchObject(missing);
});

it('a variable that names nothing is an error, not a reason to look elsewhere', async () => {
  await plant('bin/promtool');
  vi.stubEnv('FOOTHOLD_PROMTOOL', join(folder, 'gone'));
  await expect(findProgram('promtool')).rejects.toMatchObject({
    code: 'PROGRAM_MISSING',
    message: expect.stringContaining('FOOTHOLD_PROMTOOL') as string,
  });
});

async function plant(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, '#!/bin/sh\n');
  await chmod(path, 0o755);
  return path;
}
