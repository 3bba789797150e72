/** What is staged and not on the books yet must outlive the removal of what nothing needs. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Holdings } from '../../site/files/holdings.js';
import { openDatabase } from '../../site/store/database.js';
import { Store } from '../../site/store/store.js';

let directory: string;
let store: Store;
let holdings: Holdings;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'holdings-'));
  store = new Store(openDatabase(directory), 'osl-01', Date.now);
  holdings = new Holdings(directory, store);
  await holdings.prepare();
});
afterEach(() => {
  store.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A directory that the books do not name. */
const unlisted = () => {
  const path = holdings.directory('edge-proxy/unlisted');
  mkdirSync(path, { recursive: true });
  return path;
};

it('is removed by a sweep once nobody stages it any more, and not before', async () => {
  const path = await holdings.staging(async () => {
    const made = unlisted();
    expect(await holdings.sweep()).toBe(false);
    expect(existsSync(made)).toBe(true);
    return made;
  });
  expect(await holdings.sweep()).toBe(true);
  expect(existsSync(path)).toBe(false);
});

it('is begun only after a sweep that is under way', async () => {
  const old = unlisted();
  const sweeping = holdings.sweep();
  expect(existsSync(old)).toBe(true);
  expect(await holdings.staging(async () => existsSync(old))).toBe(false);
  expect(await sweeping).toBe(true);
});

it('keeps nothing from being swept for ever if staging fails', async () => {
  await expect(holdings.staging(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await holdings.sweep()).toBe(true);
});
