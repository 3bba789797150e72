/**
 * Programs out of packages with the real apt and dpkg-deb, from an archive on this disk: fetched, verified, unpacked with the
 * libraries that the system lacks, and refused when the index or the package is not what was signed for.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fetchDebianProgram, openApt } from '../../../infra/setup/debian.mjs';

const onDebian = existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/dpkg-deb');

let home: string;
let cache: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'foothold-debian-'));
  cache = join(home, 'cache');
  await mkdir(cache);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true, force: true });
});

interface Package {
  name: string;
  depends?: string;
  files: Record<string, Buffer | string>;
}

/** Builds the packages and their index; apt is pointed at it, and at nothing else, by its own configuration variable. */
async function makeArchive(packages: Package[], trusted = true): Promise<void> {
  const archive = join(home, 'archive');
  const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
  const index: string[] = [];
  await mkdir(archive);
  for (const { name, depends, files } of packages) {
    const control = [
      `Package: ${name}`,
      'Version: 1.0-1',
      `Architecture: ${architecture}`,
      'Maintainer: test <test@a.example>',
    ];
    if (depends) control.push(`Depends: ${depends}`);
    control.push('Description: test');
    await write(join(home, name, 'DEBIAN/control'), `${control.join('\n')}\n`);
    for (const [path, content] of Object.entries(files)) await write(join(home, name, path), content);
    execFileSync('dpkg-deb', ['--root-owner-group', '-b', join(home, name), join(archive, `${name}.deb`)], {
      stdio: 'ignore',
    });
    const bytes = await readFile(join(archive, `${name}.deb`));
    index.push(
      [...control, `Filename: ./${name}.deb`, `Size: ${bytes.length}`, `SHA256: ${sha256(bytes)}`, ''].join('\n'),
    );
  }
  const listing = index.join('\n');
  await write(join(archive, 'Packages'), listing);
  await write(join(archive, 'Release'), `SHA256:\n ${sha256(listing)} ${Buffer.byteLength(listing)} Packages\n`);
  await write(join(home, 'sources.list'), `deb ${trusted ? '[trusted=yes] ' : ''}file:${archive} ./\n`);
  await write(
    join(home, 'apt.conf'),
    `Dir::Etc::sourcelist "${home}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n`,
  );
  vi.stubEnv('APT_CONFIG', join(home, 'apt.conf'));
}

async function write(path: string, content: Buffer | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await chmod(path, 0o755);
}

const sha256 = (content: Buffer | string): string => createHash('sha256').update(content).digest('hex');
const script = '#!/bin/sh\necho started\n';
const want = { packages: ['foothold-none', 'foothold-x'], binary: 'usr/sbin/x' };

describe.skipIf(!onDebian)('a program from a package', () => {
  it('is unpacked from the first package that has it, and nothing is left half done', async () => {
    await makeArchive([
      { name: 'foothold-none', files: { 'usr/share/doc/none': '' } },
      { name: 'foothold-x', files: { 'usr/sbin/x': script } },
    ]);
    const { root, env, from } = await fetchDebianProgram(await openApt(cache), want);
    expect(execFileSync(join(root, 'usr/sbin/x'), { encoding: 'utf8' })).toBe('started\n');
    expect({ env, from }).toEqual({ env: {}, from: 'package foothold-x' });
    expect((await readdir(join(cache, 'packages'))).sort()).toEqual(['foothold-none_1.0-1', 'foothold-x_1.0-1']);
  });

  it('brings the libraries that the system lacks, also those of its libraries', async () => {
    const { program, library } = await lacking('libfoothol.so.1');
    await makeArchive([
      { name: 'foothold-x', depends: 'libfoothold-a, foothold-other', files: { 'usr/sbin/x': program } },
      { name: 'libfoothold-a', depends: 'libfoothold-b', files: { 'usr/share/doc/a': '' } },
      { name: 'libfoothold-b', files: { 'usr/lib/x/libfoothol.so.1': library } },
    ]);
    const { root, env } = await fetchDebianProgram(await openApt(cache), want);
    const binary = join(root, 'usr/sbin/x');
    expect(() => execFileSync(binary, ['/dev/null'], { stdio: 'ignore' })).toThrow();
    expect(execFileSync(binary, ['/dev/null'], { env, encoding: 'utf8' })).toBe('/dev/null\n');
  });

  it('of a version that is part of its path is found, with the libraries of the programs beside it, and none unwanted', async () => {
    const { program, library } = await lacking('libfoothol.so.1');
    await makeArchive([
      {
        name: 'foothold-x',
        depends: 'libfoothold-a, libunwanted',
        files: { 'usr/lib/x/15/bin/x': script, 'usr/lib/x/15/bin/maker': program },
      },
      { name: 'libfoothold-a', files: { 'usr/lib/x/libfoothol.so.1': library } },
      { name: 'libunwanted', files: { 'usr/share/doc/unwanted': '' } },
    ]);
    const versioned = {
      packages: ['foothold-x'],
      binary: 'usr/lib/x/*/bin/x',
      beside: ['maker'],
      without: /^libunwanted/,
    };
    const { path, env } = await fetchDebianProgram(await openApt(cache), versioned);
    expect(execFileSync(path, { encoding: 'utf8' })).toBe('started\n');
    const maker = join(dirname(path), 'maker');
    expect(execFileSync(maker, ['/dev/null'], { env, encoding: 'utf8' })).toBe('/dev/null\n');
    expect((await readdir(join(cache, 'packages'))).sort()).toEqual(['foothold-x_1.0-1', 'libfoothold-a_1.0-1']);
  });

  it('is refused, with their names, when no package has its libraries', async () => {
    const { program } = await lacking('libfoothol.so.1');
    await makeArchive([{ name: 'foothold-x', files: { 'usr/sbin/x': program } }]);
    await expect(fetchDebianProgram(await openApt(cache), want)).rejects.toThrow('libfoothol.so.1');
  });

  it('is refused when the index is not signed by a key that the system trusts', async () => {
    await makeArchive([{ name: 'foothold-x', files: { 'usr/sbin/x': script } }], false);
    await expect(fetchDebianProgram(await openApt(cache), want)).rejects.toThrow(
      /not signed|no longer signed|insecure|NO_PUBKEY/i,
    );
  });

  it('is refused when the package is not the one of the index', async () => {
    await makeArchive([{ name: 'foothold-x', files: { 'usr/sbin/x': script } }]);
    const file = join(home, 'archive/foothold-x.deb');
    const bytes = await readFile(file);
    bytes[bytes.length - 5] = (bytes.at(-5) ?? 0) ^ 1;
    await writeFile(file, bytes);
    await expect(fetchDebianProgram(await openApt(cache), want)).rejects.toThrow(/Hash Sum mismatch|hash/i);
    expect(await readdir(join(cache, 'packages'))).toEqual([]);
  });
});

/** `ls`, made to need its SELinux library under a name of the same length that no system has. */
async function lacking(name: string): Promise<{ program: Buffer; library: Buffer }> {
  const listing = execFileSync('ldd', ['/bin/ls'], { encoding: 'utf8' });
  const path = /libselinux\.so\.1 => (\S+)/.exec(listing)?.[1] ?? '';
  const rename = (bytes: Buffer): Buffer =>
    Buffer.from(bytes.toString('latin1').replaceAll('libselinux.so.1', name), 'latin1');
  return { program: rename(await readFile('/bin/ls')), library: rename(await readFile(path)) };
}
