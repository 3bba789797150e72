/** The cache under two set-ups at once, and after one that was killed. */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheDirectory, fillFolder, readPrograms, recordPrograms, withLock } from '../../../infra/setup/cache.mjs';

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'foothold-cache-'));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

describe('the cache', () => {
  it('lies where the environment says', () => {
    expect(cacheDirectory({ FOOTHOLD_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a/foothold');
    expect(cacheDirectory({ XDG_CACHE_HOME: '/b' })).toBe('/b/foothold');
    expect(cacheDirectory({})).toMatch(/\/\.cache\/foothold$/);
  });

  it('holds a folder only when it was filled to the end', async () => {
    const folder = join(cache, 'x');
    const killed = fillFolder(folder, async (draft) => {
      await writeFile(join(draft, 'half'), '');
      throw new Error('killed');
    });
    await expect(killed).rejects.toThrow('killed');
    expect(await readdir(cache)).toEqual([]);

    await fillFolder(folder, (draft) => writeFile(join(draft, 'whole'), '1'));
    await fillFolder(folder, () => Promise.reject(new Error('must not be filled again')));
    expect(await readdir(folder)).toEqual(['whole']);
  });

  it('takes the first of two folders that are filled at once', async () => {
    const folder = join(cache, 'x');
    const fill = (text: string, ms: number) =>
      fillFolder(folder, async (draft) => {
        await sleep(ms);
        await writeFile(join(draft, 'file'), text);
      });
    await Promise.all([fill('slow', 60), fill('quick', 5)]);
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('quick');
    expect(await readdir(cache)).toEqual(['x']);
  });

  it('keeps every program that several set-ups record at once', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `program-${index}`);
    await Promise.all(
      names.map((name) => recordPrograms({ [name]: { path: `/${name}`, env: {}, from: 'test' } }, cache)),
    );
    expect(Object.keys(await readPrograms(cache)).sort()).toEqual(names);
  });
});

describe('a lock', () => {
  it('lets one in at a time, and tells who has to wait', async () => {
    let inside = 0;
    let most = 0;
    let told = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await sleep(20);
      inside -= 1;
    };
    await Promise.all([1, 2, 3].map(() => withLock('x', work, cache, () => (told += 1))));
    expect(most).toBe(1);
    expect(told).toBe(2);
    expect(await readdir(join(cache, 'locks'))).toEqual([]);
  });

  it('is given up when the work fails', async () => {
    await expect(withLock('x', () => Promise.reject(new Error('no')), cache)).rejects.toThrow('no');
    expect(await withLock('x', () => Promise.resolve('in'), cache)).toBe('in');
  });

  it('of a process that is dead is taken over at once', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    await plantLock({ pid, host: hostname() });
    expect(await withLock('x', () => Promise.resolve('in'), cache)).toBe('in');
  });

  it('of another machine is taken over only when it was not touched for long', async () => {
    const path = await plantLock({ pid: 1, host: 'elsewhere.example' });
    let entered = false;
    const waiting = withLock('x', () => Promise.resolve((entered = true)), cache);
    await sleep(300);
    expect(entered).toBe(false);
    await utimes(path, 0, 0);
    await waiting;
    expect(entered).toBe(true);
  });

  async function plantLock(holder: { pid: number; host: string }): Promise<string> {
    const path = join(cache, 'locks/x.lock');
    await mkdir(join(cache, 'locks'), { recursive: true });
    await writeFile(path, JSON.stringify(holder));
    return path;
  }
});
