/** The lockfile pins by digest and names no host, so that it serves behind any registry. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const lock = JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, { resolved?: string; integrity?: string; optionalDependencies?: Record<string, string> }>;
};

it('the lockfile names no host', () => {
  expect(Object.entries(lock.packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  expect(JSON.stringify(lock)).not.toMatch(/"resolved"/);
});

it('the lockfile has a digest for every package', () => {
  const entries = Object.entries(lock.packages).filter(([path]) => path !== '');
  expect(entries.length).toBeGreaterThan(100);
  expect(entries.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([]);
});

it('the lockfile has every platform of a package that comes for several', () => {
  // npm ci refuses a lockfile without them, and npm install leaves out, in silence, those that a registry does not have yet.
  const wanted = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).map((name) => [`${path}/node_modules/${name}`, `node_modules/${name}`]),
  );
  expect(wanted.length).toBeGreaterThan(20);
  expect(wanted.filter((places) => !places.some((place) => lock.packages[place]))).toEqual([]);
});
