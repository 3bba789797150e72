import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { blobPath, manifestPath, releasePath } from '../../../policies/model/depot.js';
import type { Manifest } from '../../../policies/model/release.js';
import { canonicalJson, digestOf, sha256Hex } from '../../../policies/signing/jcs.js';
import { publishRelease } from '../../../records/depot/publish.js';
import { afterwards, FILES, refusal, releaseDirectory, scratch } from './scratch.js';

const publish = publishRelease;
const read = (...parts: string[]): Promise<string> => readFile(join(...parts), 'utf8');

/** Every file below a directory with the digest of its content. */
async function contentOf(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = files.map(async (path) => [path.slice(directory.length + 1), sha256Hex(await readFile(path))] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

describe('publishing', () => {
  test('[A20] puts blobs, a canonical manifest and an entry under their digests', async () => {
    const [directory, depot] = [await releaseDirectory(), join(await scratch(), 'new', 'depot')];
    await chmod(join(directory, 'files/logo.bin'), 0o755);
    const { ref, created } = await publish(directory, depot);
    expect(created).toBe(true);
    expect(ref).toMatchObject({ stream: 'edge-proxy', version: '2.4.0' });
    const text = await read(depot, manifestPath(ref.digest));
    const manifest = JSON.parse(text) as Manifest;
    expect(text).toBe(canonicalJson(manifest));
    expect(digestOf(manifest)).toBe(ref.digest);
    expect(manifest.release).toMatchObject({ driver: { timeout: '30s' }, confirm: { within: '10m' } });
    expect(manifest.files.map(({ path, mode, size }) => [path, mode, size])).toEqual([
      ['files/logo.bin', 0o755, 3000],
      ['files/nginx.conf', 0o644, 63],
      ['files/pages/index.html', 0o644, 15],
    ]);
    for (const { path, digest } of manifest.files) {
      const blob = await readFile(join(depot, blobPath(digest)));
      expect(`sha256:${sha256Hex(blob)}`).toBe(digest);
      expect(blob.equals(Buffer.from(FILES[path] ?? ''))).toBe(true);
    }
    expect(JSON.parse(await read(depot, releasePath('edge-proxy', '2.4.0')))).toEqual(ref);
    expect(JSON.parse(await read(depot, 'releases/edge-proxy/index.json'))).toEqual({ names: ['2.4.0'] });
  });

  test('again changes nothing, and the digest does not depend on where or when', async () => {
    const [directory, depot] = [await releaseDirectory(), await scratch()];
    const first = await publish(directory, depot);
    const before = await contentOf(depot);
    expect(await publish(directory, depot)).toEqual({ ref: first.ref, created: false });
    expect(await contentOf(depot)).toEqual(before);
    expect((await publish(await releaseDirectory(), await scratch())).ref).toEqual(first.ref);
    expect((await readdir(depot, { recursive: true })).filter((name) => name.includes('incoming'))).toEqual([]);
  });

  test('[A8] other content under a used version is refused with both digests, and nothing is written', async () => {
    const depot = await scratch();
    const { ref } = await publish(await releaseDirectory(), depot);
    const before = await contentOf(depot);
    const other = await releaseDirectory({}, { ...FILES, 'files/pages/index.html': 'other' });
    const words = await refusal(() => publish(other, depot));
    expect(words).toMatch(/^Mistake RELEASE_CONFLICT: .*edge-proxy@2\.4\.0/);
    expect(words).toContain(ref.digest);
    expect(new Set(words.match(/sha256:[0-9a-f]{64}/g)).size).toBe(2);
    expect(await contentOf(depot)).toEqual(before);
  });

  test('the file mode and the description are content too', async () => {
    const depot = await scratch();
    await publish(await releaseDirectory(), depot);
    const runnable = await releaseDirectory();
    await chmod(join(runnable, 'files/logo.bin'), 0o755);
    expect(await refusal(() => publish(runnable, depot))).toMatch(/RELEASE_CONFLICT/);
    expect(await refusal(async () => publish(await releaseDirectory({ description: 'x' }), depot))).toMatch(/CONFLICT/);
  });

  test('mends a blob that was cut short and a manifest that was damaged', async () => {
    const [directory, depot] = [await releaseDirectory(), await scratch()];
    const { ref } = await publish(directory, depot);
    const before = await contentOf(depot);
    const [blob = ''] = await readdir(join(depot, 'blobs'));
    await truncate(join(depot, 'blobs', blob), 3);
    const manifest = join(depot, manifestPath(ref.digest));
    await writeFile(manifest, (await read(manifest)).replace('2.4.0', '2.4.1'));
    expect(await contentOf(depot)).not.toEqual(before);
    expect((await publish(directory, depot)).created).toBe(false);
    expect(await contentOf(depot)).toEqual(before);
  });

  test('two components share files; a single file is a component too', async () => {
    const driver = { type: 'directory', files: './files', target: '/a' };
    const components = [
      { name: 'one', driver },
      { name: 'two', driver: { ...driver, files: 'files/nginx.conf', target: '/b', templates: ['*'] } },
    ];
    const directory = await releaseDirectory({ driver: undefined, components });
    const { ref } = await publish(directory, directory + '-depot');
    afterwards(() => rm(`${directory}-depot`, { recursive: true }));
    const manifest = JSON.parse(await read(`${directory}-depot`, manifestPath(ref.digest))) as Manifest;
    expect(manifest.files).toHaveLength(3);
  });
});

describe('concurrent publishers', () => {
  test('of the same content: one creates it, all agree', async () => {
    const [directory, depot] = [await releaseDirectory(), await scratch()];
    const answers = await Promise.all(Array.from({ length: 8 }, () => publish(directory, depot)));
    expect(answers.filter((answer) => answer.created)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.ref.digest)).size).toBe(1);
  });

  test('of different content under one version: exactly one wins, the others are refused', async () => {
    const depot = await scratch();
    const directories = await Promise.all(
      Array.from({ length: 6 }, (_, i) => releaseDirectory({ description: `number ${i}` })),
    );
    const answers = await Promise.allSettled(directories.map((directory) => publish(directory, depot)));
    const won = answers.filter((answer) => answer.status === 'fulfilled');
    expect(won).toHaveLength(1);
    const refused = answers.filter((answer) => answer.status === 'rejected').map((answer) => answer.reason as unknown);
    expect(refused.map((reason) => (reason as { code?: string }).code)).toEqual(Array(5).fill('RELEASE_CONFLICT'));
    const entry = JSON.parse(await read(depot, releasePath('edge-proxy', '2.4.0'))) as { digest: string };
    expect(entry.digest).toBe(won[0]?.value.ref.digest);
  });

  test('of different versions: all are listed, oldest first', async () => {
    const depot = await scratch();
    const versions = ['2.10.0', '2.9.0', '2.9.0-rc.1', '2.9.0+build.7', '3.0.0'];
    const directories = await Promise.all(versions.map((version) => releaseDirectory({ version })));
    await Promise.all(directories.map((directory) => publish(directory, depot)));
    const listed = JSON.parse(await read(depot, 'releases/edge-proxy/index.json')) as unknown;
    expect(listed).toEqual({ names: ['2.9.0-rc.1', '2.9.0', '2.9.0+build.7', '2.10.0', '3.0.0'] });
  });
});

describe('[A26] refused, with nothing written', () => {
  const driver = (more: Record<string, unknown>): Record<string, unknown> => ({
    driver: { type: 'directory', files: './files', target: '/etc/edge-proxy', ...more },
  });
  const outside = { ...FILES, 'a/b.txt': 'x' };

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['../', driver({ files: '../elsewhere' }), /inside the release directory, got \.\.\/elsewhere/],
    ['../ in the middle', driver({ files: './files/../../x' }), /inside the release directory/],
    ['an absolute path', driver({ files: '/etc' }), /inside the release directory, got \/etc/],
    ['a drive letter', driver({ files: 'C:/x' }), /inside the release directory/],
    ['a backslash', driver({ files: '..\\x' }), /without control characters and backslashes/],
    ['a path per site', driver({ files: './{{site.id}}' }), /same path for every site/],
    ['a path that is not there', driver({ files: './nowhere' }), /nowhere: .*got nothing there/],
    ['a glob that matches nothing', driver({ templates: ['*.cnf'] }), /expected \*\.cnf to match a file/],
    ['a template that is not text', driver({ templates: ['*.bin'] }), /files\/logo\.bin: expected a template in UTF-8/],
    [
      'an unknown variable in a template',
      { vars: { listen: 'string', worker: 'integer' } },
      /files\/nginx\.conf: \{\{workers\}\} is not declared under vars\. Did you mean worker\?/,
    ],
    ['an unknown variable in a check', { vars: { workers: 'integer' } }, /checks\.answers\.http: \{\{listen\}\}/],
    ['a version that agents use', { version: '0.0.0-adopted+012345678901' }, /RELEASE_INVALID/],
    ['a version that is none', { version: '../../x' }, /RELEASE_INVALID/],
  ])('%s', async (_what, file, words) => {
    const depot = await scratch();
    const directory = await releaseDirectory(file, outside);
    const refused = await refusal(() => publish(directory, depot));
    expect(refused).toMatch(/^Mistake RELEASE_INVALID/);
    expect(refused).toMatch(words);
    expect(await readdir(depot)).toEqual([]);
  });

  test.each<[string, string, RegExp]>([
    ['a section', '{{#listen}}x{{/listen}}', /nginx\.conf: .*\{\{#listen\}\} \(line 1\)/],
    ['a partial', '{{>other}}', /no sections or partials/],
    ['an unclosed tag', 'listen {{listen', /Unclosed tag/],
  ])('a template with %s', async (_what, text, words) => {
    const directory = await releaseDirectory({}, { ...FILES, 'files/nginx.conf': text });
    expect(await refusal(async () => publish(directory, await scratch()))).toMatch(words);
  });

  test('a template of more than 1 MiB', async () => {
    const directory = await releaseDirectory({}, { ...FILES, 'files/nginx.conf': '#'.repeat(1024 * 1024 + 1) });
    expect(await refusal(async () => publish(directory, await scratch()))).toMatch(/at most 1 MiB/);
  });

  const planted: [string, (directory: string) => Promise<unknown>, RegExp][] = [
    ['a link to a file', (at) => symlink('/etc/hostname', join(at, 'files/x')), /files\/x: .*a symbolic link/],
    ['a link inside the release', (at) => symlink('nginx.conf', join(at, 'files/x')), /files\/x: .*a symbolic link/],
    ['a link to a directory', (at) => symlink('/etc', join(at, 'files/x')), /files\/x: .*a symbolic link/],
    ['a dangling link', (at) => symlink('nowhere', join(at, 'files/x')), /files\/x: .*a symbolic link/],
    ['a pipe', async (at) => execFileSync('mkfifo', [join(at, 'files/x')]), /files\/x: .*a pipe/],
    [
      'a name with a newline',
      (at) => writeFile(join(at, 'files/a\nb'), ''),
      /"files\/a\\nb": expected a name in UTF-8/,
    ],
    ['a name with a backslash', (at) => writeFile(join(at, 'files/a\\b'), ''), /without control characters and back/],
    [
      'a name that is not UTF-8',
      (at) => writeFile(Buffer.concat([Buffer.from(`${at}/files/`), Buffer.from([0x66, 0xff])]), ''),
      /expected a name in UTF-8/,
    ],
  ];
  test.each(planted)('%s', async (_what, plant, words) => {
    const [directory, depot] = [await releaseDirectory(), await scratch()];
    await plant(directory);
    expect(await refusal(() => publish(directory, depot))).toMatch(words);
    expect(await readdir(depot)).toEqual([]);
  });

  test('a socket', async () => {
    const directory = await releaseDirectory();
    const server = createServer();
    await new Promise<void>((ready) => server.listen(join(directory, 'files/x'), ready));
    afterwards(() => new Promise((closed) => server.close(closed)));
    expect(await refusal(async () => publish(directory, await scratch()))).toMatch(/files\/x: .*a socket/);
  });

  test.each(['./files', './files/pages', './files/pages/index.html'])('%s behind a linked directory', async (files) => {
    const [directory, elsewhere] = [await releaseDirectory(driver({ files })), await scratch()];
    await rename(join(directory, 'files'), join(elsewhere, 'files'));
    await symlink(join(elsewhere, 'files'), join(directory, 'files'));
    expect(await refusal(async () => publish(directory, await scratch()))).toMatch(/a symbolic link/);
  });

  test('an empty directory, an empty file and a file that is no YAML', async () => {
    const empty = await releaseDirectory(driver({ files: './void' }));
    await mkdir(join(empty, 'void'));
    expect(await refusal(async () => publish(empty, await scratch()))).toMatch(/at least one file in \.\/void/);
    for (const bytes of ['', '\0\u0001binary', '{ not: [yaml']) {
      const directory = await releaseDirectory();
      await writeFile(join(directory, 'release.yaml'), bytes);
      expect(await refusal(async () => publish(directory, await scratch()))).toMatch(/^Mistake RELEASE_INVALID/);
    }
  });
});

test('the release directory itself may be reached by a link', async () => {
  const [directory, elsewhere, depot] = [await releaseDirectory(), await scratch(), await scratch()];
  await symlink(directory, join(elsewhere, 'link'));
  expect((await publish(join(elsewhere, 'link'), depot)).created).toBe(true);
});

test('a depot that cannot be written is the world’s fault', async () => {
  const [directory, place] = [await releaseDirectory(), await scratch()];
  await writeFile(join(place, 'depot'), 'a file');
  expect(await refusal(() => publish(directory, join(place, 'depot')))).toMatch(/^World DEPOT_UNREACHABLE: .*depot/);
  expect((await stat(join(place, 'depot'))).isFile()).toBe(true);
});
