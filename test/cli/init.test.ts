import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FIRST_FILES } from '../../cli/first-files.js';
import { emptyDirectory, foothold, json } from './operator.js';

describe('init', () => {
  test('makes files that are all valid, and a key that only its owner can read', async () => {
    const directory = await emptyDirectory();
    const said = await foothold(directory, ['init', '--json']);
    expect(said.exit).toBe(0);
    const { created, publicKey } = json(said) as { created: string[]; publicKey: string };
    expect(created).toEqual([...Object.keys(FIRST_FILES), 'depot/', 'control.key', 'control.pub']);
    const files = await foothold(directory, ['validate', ...Object.keys(FIRST_FILES), '--json']);
    expect([files.exit, json(files)]).toMatchObject([0, { valid: true }]);

    expect((await stat(join(directory, 'control.key'))).mode & 0o777).toBe(0o600);
    const key = createPrivateKey(await readFile(join(directory, 'control.key'), 'utf8'));
    expect(key.asymmetricKeyType).toBe('ed25519');
    expect(createPublicKey(key).export({ type: 'spki', format: 'pem' })).toBe(publicKey);
    expect(await readFile(join(directory, 'control.pub'), 'utf8')).toBe(publicKey);
  });

  test('prints the public half and never the private one', async () => {
    const directory = await emptyDirectory();
    const { out, err } = await foothold(directory, ['init']);
    expect(out).toContain('-----BEGIN PUBLIC KEY-----');
    expect(out + err).not.toContain('PRIVATE');
  });

  test('writes over nothing, and says what it kept', async () => {
    const directory = await emptyDirectory();
    await writeFile(join(directory, 'fleet.yaml'), 'mine');
    await foothold(directory, ['init']);
    const key = await readFile(join(directory, 'control.key'), 'utf8');
    const again = await foothold(directory, ['init']);
    expect(again.exit).toBe(0);
    expect(await readFile(join(directory, 'fleet.yaml'), 'utf8')).toBe('mine');
    expect(await readFile(join(directory, 'control.key'), 'utf8')).toBe(key);
    expect(again.out).toContain('kept  control.key');
    expect(again.out).not.toContain('made');
  });

  test('a lost public half is derived from the key; a public half without its key is refused', async () => {
    const directory = await emptyDirectory();
    await foothold(directory, ['init']);
    const before = await readFile(join(directory, 'control.pub'), 'utf8');
    await rm(join(directory, 'control.pub'));
    await foothold(directory, ['init']);
    expect(await readFile(join(directory, 'control.pub'), 'utf8')).toBe(before);

    await rm(join(directory, 'control.key'));
    const refused = await foothold(directory, ['init']);
    expect([refused.exit, refused.err]).toEqual([2, expect.stringContaining('FILE_EXISTS')]);
    await expect(stat(join(directory, 'control.key'))).rejects.toThrow('ENOENT');
  });

  test('the dry form makes nothing', async () => {
    const directory = await emptyDirectory();
    const said = await foothold(directory, ['init', '--dry-run']);
    expect(said.exit).toBe(0);
    expect(said.out).toContain('would make  control.key');
    await expect(stat(join(directory, 'control.key'))).rejects.toThrow('ENOENT');
  });
});

describe('validate', () => {
  test('names each bad file with its places, and still judges the others', async () => {
    const directory = await emptyDirectory();
    await foothold(directory, ['init']);
    await writeFile(join(directory, 'bad.yaml'), 'apiVersion: foothold/v1\nkind: Fleet\nsits: []\n');
    const said = await foothold(directory, ['validate', 'bad.yaml', 'foothold.yaml', 'nowhere.yaml']);
    expect(said.exit).toBe(2);
    expect(said.out).toMatch(/^invalid +bad\.yaml[^]*bad\.yaml:3:1[^]*sites/);
    expect(said.out).toMatch(/^valid +foothold\.yaml +Project/m);
    expect(said.out).toMatch(/^invalid +nowhere\.yaml +FILE_NOT_FOUND/m);
  });

  test('--show-defaults prints the filled file', async () => {
    const directory = await emptyDirectory();
    await foothold(directory, ['init']);
    const said = await foothold(directory, ['validate', 'strategies/careful.yaml', '--show-defaults']);
    expect(said.out).toMatch(/consecutiveErrorLimit: 4/);
    const document = json(
      await foothold(directory, ['validate', 'strategies/careful.yaml', '--show-defaults', '--json']),
    ) as { files: { filled: { onInconclusive: unknown } }[] };
    expect(document.files[0]?.filled.onInconclusive).toEqual({ within: '4h', then: 'stay' });
  });
});
