/** What only happens between two steps of a publisher, made to happen. */
import { execFileSync } from 'node:child_process';
import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openRegular } from '../../../records/depot/collect-files.js';
import { placeNewFile } from '../../../records/depot/durable.js';
import { versionsIn, writeUntilTrue } from '../../../records/depot/listing.js';
import { refusal, scratch } from './scratch.js';

test('a version that appears while the listing is written is listed', async () => {
  const path = join(await scratch(), 'index.json');
  const seen = [['1.0.0'], ['1.0.0', '1.1.0'], ['1.0.0', '1.1.0']];
  await writeUntilTrue(path, async () => seen.shift() ?? ['1.0.0', '1.1.0']);
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ names: ['1.0.0', '1.1.0'] });
});

test('a file that became a link or a pipe after it was looked at is not read, and nobody waits for the pipe', async () => {
  const directory = await scratch();
  await symlink('/etc/hostname', join(directory, 'link'));
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  expect(await refusal(() => openRegular(join(directory, 'link'), 'link'))).toMatch(
    /RELEASE_INVALID: link: .*symbolic/,
  );
  expect(await refusal(() => openRegular(join(directory, 'pipe'), 'pipe'))).toMatch(/RELEASE_INVALID: pipe: .*a pipe/);
});

test('a write that fails half-way leaves nothing under the name, and nothing that is listed', async () => {
  const depot = await scratch();
  const path = join(depot, 'releases/edge-proxy/1.0.0.json');
  const cut = placeNewFile(path, async (file) => {
    await file.writeFile('{"str');
    throw new Error('disk full');
  });
  await expect(cut).rejects.toThrow('disk full');
  expect(await versionsIn(depot, 'edge-proxy')).toEqual([]);
  expect(await placeNewFile(path, (file) => file.writeFile('{}'))).toBe(true);
  expect(await placeNewFile(path, (file) => file.writeFile('[]'))).toBe(false);
  expect(await readFile(path, 'utf8')).toBe('{}');
});
