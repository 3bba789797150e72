/** Content-addressed files below `blobs/` in the data directory. What lies there under a digest has that digest. */
import { constants, renameSync, rmSync } from 'node:fs';
import { copyFile, open, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WorldError } from '../../policies/model/failure.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { demandDurable, makeDirectory, placeFile } from './durable.js';
import { fileDigest } from './tree.js';

export class Blobs {
  constructor(readonly directory: string) {}

  path(digest: string): string {
    const hex = digest.replace(/^sha256:/, '');
    return join(this.directory, hex.slice(0, 2), hex);
  }

  async has(digest: string): Promise<boolean> {
    return stat(this.path(digest)).then(
      (found) => found.isFile(),
      () => false,
    );
  }

  async read(digest: string): Promise<Buffer> {
    const bytes = await readFile(this.path(digest));
    this.demand(digest, `sha256:${sha256Hex(bytes)}`);
    return bytes;
  }

  /** Keeps bytes; returns their digest. */
  async put(bytes: Uint8Array): Promise<string> {
    const digest = `sha256:${sha256Hex(bytes)}`;
    if (await this.has(digest)) return digest;
    const path = this.path(digest);
    await makeDirectory(dirname(path));
    await placeFile(path, 0o600, async (file) => file.writeFile(bytes));
    return digest;
  }

  /** Copies a file in that has the digest; throws DIGEST_MISMATCH if it changed while it was copied. */
  async takeFrom(source: string, digest: string): Promise<void> {
    if (await this.has(digest)) return;
    const path = this.path(digest);
    await makeDirectory(dirname(path));
    const temporary = `${path}.part`;
    await copyFile(source, temporary, constants.COPYFILE_FICLONE);
    await this.moveIn(temporary, digest);
  }

  /** Moves a complete file in after its digest was verified; a wrong one is deleted and refused. */
  async moveIn(file: string, digest: string): Promise<void> {
    const found = await fileDigest(file);
    if (found !== digest) rmSync(file, { force: true });
    this.demand(digest, found);
    const handle = await open(file, 'r+');
    try {
      await handle.chmod(0o600);
      await handle.sync();
    } catch (error) {
      // Resumed from, it would be read back whole from memory, and the next fsync would call it durable (fault H4).
      rmSync(file, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
    const path = this.path(digest);
    await makeDirectory(dirname(path));
    renameSync(file, path);
    demandDurable(path);
  }

  /** Writes a copy to `path`, which must not exist, verified while it is read. */
  async copyTo(digest: string, path: string, mode: number): Promise<void> {
    const bytes = await this.read(digest);
    const file = await open(path, 'wx', mode);
    try {
      await file.writeFile(bytes);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Deletes every blob that is not named. */
  async keepOnly(digests: Set<string>): Promise<void> {
    for (const prefix of await readdir(this.directory).catch(() => [])) {
      for (const hex of await readdir(join(this.directory, prefix))) {
        if (!digests.has(`sha256:${hex}`)) rmSync(join(this.directory, prefix, hex), { force: true });
      }
    }
  }

  private demand(expected: string, found: string): void {
    if (found === expected) return;
    throw new WorldError('DIGEST_MISMATCH', `expected content with digest ${expected}, got ${found}`);
  }
}
