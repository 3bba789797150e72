/** File systems of their own for tests of the disk: a real small one to be filled, a real one whose device fails. Root only. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why these tests are skipped, or undefined. */
export function whyNoDisks(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount a file system';
  try {
    const disk = SmallDisk.tmpfs(1);
    disk.clear();
    return undefined;
  } catch (error) {
    return `no file system can be mounted here: ${String(error)}`;
  }
}

export class SmallDisk {
  private constructor(
    readonly path: string,
    private readonly image?: string,
  ) {}

  static tmpfs(megabytes: number): SmallDisk {
    const path = mkdtempSync(join(tmpdir(), 'small-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', path]);
    return new SmallDisk(path);
  }

  static ext4(megabytes: number): SmallDisk {
    const path = mkdtempSync(join(tmpdir(), 'small-disk-'));
    const image = `${path}.img`;
    writeFileSync(image, '');
    truncateSync(image, megabytes * 1024 * 1024);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    execFileSync('mount', ['-o', 'loop,errors=remount-ro', image, path]);
    return new SmallDisk(path, image);
  }

  free(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes all but `leave` bytes. */
  fill(leave = 0): void {
    const path = join(this.path, 'filled');
    const fd = openSync(path, 'a');
    try {
      for (const size of [1024 * 1024, 65_536, 4096]) {
        const bytes = Buffer.alloc(size, 'x');
        for (;;) if (writeSync(fd, bytes) < size) break;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(fd);
    }
    this.topUp(path);
    if (leave > 0) truncateSync(path, Math.max(0, statSync(path).size - leave));
  }

  private topUp(path: string): void {
    for (const size of [65_536, 4096]) {
      const fd = openSync(path, 'a');
      try {
        for (;;) writeSync(fd, Buffer.alloc(size, 'x'));
      } catch {
        // full
      } finally {
        closeSync(fd);
      }
    }
  }

  empty(): void {
    rmSync(join(this.path, 'filled'), { force: true });
  }

  /** As the kernel does after an error of the device: everything open stays open, and nothing can be written any more. */
  turnReadOnly(): void {
    const device = execFileSync('findmnt', ['-n', '-o', 'SOURCE', this.path], { encoding: 'utf8' }).trim();
    writeFileSync(`/sys/fs/ext4/${device.replace('/dev/', '')}/trigger_fs_error`, 'test');
  }

  /** As after a power cut and a repair: what is on the device, checked, and mounted at the same place. */
  mend(): void {
    const { image = '' } = this;
    const mended = `${image}.mended`;
    execFileSync('umount', ['-l', this.path]);
    // A copy: as long as a file of the old mount is open, the kernel would give the failed file system back.
    copyFileSync(image, mended);
    try {
      execFileSync('e2fsck', ['-f', '-y', mended], { stdio: 'ignore' });
    } catch {
      // 1 and 2 say that something was corrected.
    }
    execFileSync('mount', ['-o', 'loop,errors=remount-ro', mended, this.path]);
  }

  clear(): void {
    execFileSync('umount', ['-l', this.path]);
    rmSync(this.path, { recursive: true, force: true });
    for (const image of this.image === undefined ? [] : [this.image, `${this.image}.mended`])
      rmSync(image, { force: true });
  }
}
