/**
 * The simulated disk: real files, behind patched functions of `node:fs` that can fail, can be where the process is killed,
 * and remember what no fsync has made durable yet, so that a power cut can take it back.
 */
import fs from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { Chance } from '../random.js';
import { asAgent, demandAlive, machine } from './machine.js';

type Call = (...given: never[]) => unknown;
/** Node's functions call each other by their patched names: within one of them, all are as they were. */
let within = 0;

/** The functions as they were: what the harness itself uses. */
export const realFs: typeof fs = Object.fromEntries(
  Object.entries(fs).map(([name, value]) => [name, name.endsWith('Sync') ? asItWas(value as Call) : value]),
) as unknown as typeof fs;

function asItWas(call: Call): Call {
  return (...given) => {
    within += 1;
    try {
      return call(...given);
    } finally {
      within -= 1;
    }
  };
}
const real = realFs as unknown as Record<string, Call>;

export type DiskFault = 'ENOSPC' | 'EIO' | 'EROFS';

/** An entry of a directory that a power cut may take back. */
interface Volatile {
  directory: string;
  undo: () => void;
}

const CHANGES = new Set([
  'open',
  'writeFile',
  'write',
  'mkdir',
  'rename',
  'symlink',
  'link',
  'copyFile',
  'rm',
  'unlink',
]);
const READS = new Set(['open', 'read', 'readFile', 'readdir', 'readlink', 'lstat', 'stat']);
const ALSO = ['fsync', 'ftruncate', 'truncate', 'chmod', 'chown', 'fchmod', 'appendFile', 'rmdir'];
const FAILS: Record<DiskFault, Set<string>> = {
  ENOSPC: new Set(['open', 'writeFile', 'write', 'mkdir', 'symlink', 'copyFile', 'appendFile']),
  EIO: new Set(['write', 'writeFile', 'fsync', 'rename']),
  EROFS: new Set([...CHANGES, ...ALSO].filter((name) => name !== 'fsync')),
};

export class SimDisk {
  /** All that fails while it is set. */
  fault: DiskFault | undefined;
  /** One operation that fails, counted from now. */
  once: { fault: DiskFault; after: number } | undefined;
  /** Reads from now to those that fail. */
  reads: { after: number; times: number } | undefined;
  /** What cannot be read for now: a depot that is away. */
  refuses: (path: string) => boolean = () => false;
  /** Hears of every failure that was injected. */
  onFault: (what: string) => void = () => undefined;
  /** Grows with whatever may have changed what lies on the disk. */
  changes = 0;
  private root = '';
  private attic = '';
  private kept = 0;
  private volatile: Volatile[] = [];
  /** Inodes whose content no fsync has covered, and where each lies. */
  private unsynced = new Map<number, string>();
  private readonly open = new Map<number, string>();

  /** `root` is the disk; what is removed is kept in `attic` until the next reset, because a power cut may bring it back. */
  reset(root: string, attic: string): void {
    [this.root, this.attic] = [root, attic];
    [this.fault, this.once, this.reads] = [undefined, undefined, undefined];
    [this.volatile, this.kept] = [[], 0];
    this.unsynced = new Map();
    this.open.clear();
  }

  isHere(path: unknown): path is string {
    return typeof path === 'string' && this.root !== '' && `${resolve(path)}/`.startsWith(`${this.root}/`);
  }

  /** What was done in this directory is durable: the log of a real file system is written in order. */
  settled(directory: string): void {
    this.volatile = this.volatile.filter((one) => one.directory !== directory);
  }

  /** The power fails: of what nobody made durable, the latest part is gone. */
  cut(chance: Chance): string[] {
    this.changes += 1;
    const from = chance.between(0, this.volatile.length);
    const lost = this.volatile.splice(from);
    const told = lost.map(({ directory }) => `an entry of ${directory.slice(this.root.length)}`);
    for (const { undo } of lost.toReversed()) attempt(undo);
    this.volatile = [];
    for (const [inode, path] of this.unsynced) {
      const there = realFs.statSync(path, { throwIfNoEntry: false });
      if (there?.ino !== inode || !there.isFile() || chance.in(0.3)) continue;
      realFs.truncateSync(path, chance.between(0, Math.max(0, there.size - 1)));
      told.push(`content of ${path.slice(this.root.length)}`);
    }
    this.unsynced.clear();
    return told;
  }

  /** Files of a dead process are closed. */
  closeAll(): void {
    for (const fd of this.open.keys()) attempt(() => realFs.closeSync(fd));
    this.open.clear();
  }

  call(name: string, given: unknown[]): unknown {
    const path = typeof given[0] === 'number' ? this.open.get(given[0]) : given[0];
    const second = given[1];
    const there = within === 0 && this.isHere(name === 'symlink' || name === 'copyFile' ? second : path);
    if (!there) return this.plainly(name, given);
    demandAlive();
    if (this.refuses(String(path))) throw Object.assign(new Error('EIO: the depot is away'), { code: 'EIO' });
    const changes = name === 'open' ? isForWriting(second) : CHANGES.has(name) || ALSO.includes(name);
    // A directory that is there already is no change, whatever the disk is like.
    const made = name === 'mkdir' && isRecursive(second) && realFs.existsSync(String(path));
    if (changes && !made) {
      machine.mayKill('file', name);
      this.maybeFail(name, String(path));
    }
    if (changes) this.changes += 1;
    return changes ? this.change(name, given, String(path)) : this.read(name, given, String(path));
  }

  private maybeFail(name: string, path: string): void {
    let fault = this.fault;
    if (this.once && FAILS[this.once.fault].has(name) && this.once.after-- <= 0) {
      fault = this.once.fault;
      this.once = undefined;
    }
    if (fault === undefined || !FAILS[fault].has(name)) return;
    this.onFault(`${fault} at ${name} ${path.slice(this.root.length)}`);
    const error = new Error(`${fault}: injected, ${name} '${path}'`);
    throw Object.assign(error, { code: fault, syscall: name, path });
  }

  private maybeFailRead(name: string, path: string): void {
    const { reads } = this;
    // A depot that cannot be read is another fault, and closing what is open never fails for a reader.
    if (!reads || !READS.has(name) || path.startsWith(`${this.root}/depot`) || reads.after-- > 0) return;
    if (--reads.times <= 0) this.reads = undefined;
    this.onFault(`EIO at ${name} ${path.slice(this.root.length)}`);
    throw Object.assign(new Error(`EIO: injected, ${name} '${path}'`), { code: 'EIO', syscall: name, path });
  }

  private read(name: string, given: unknown[], path: string): unknown {
    this.maybeFailRead(name, path);
    const answer = this.plainly(name, given);
    if (name === 'open') this.open.set(answer as number, path);
    if (name === 'close') this.open.delete(given[0] as number);
    // The order of a directory is the file system's own: a seed must repeat.
    if (name === 'readdir' && Array.isArray(answer)) answer.sort();
    return answer;
  }

  private change(name: string, given: unknown[], path: string): unknown {
    switch (name) {
      case 'open': {
        const fresh = !realFs.existsSync(path);
        const fd = this.plainly(name, given) as number;
        this.open.set(fd, path);
        this.unsynced.set(realFs.fstatSync(fd).ino, resolve(path));
        if (fresh) this.created(path);
        return fd;
      }
      case 'fsync':
        this.synced(given[0] as number, path);
        return this.plainly(name, given);
      case 'rename':
        return this.rename(path, given[1] as string);
      case 'symlink':
        return this.make(given[1] as string, name, given);
      case 'mkdir': {
        const first = this.plainly(name, given);
        const made = typeof first === 'string' ? first : path;
        if (typeof first === 'string' || !isRecursive(given[1])) this.created(made);
        return first;
      }
      case 'writeFile':
      case 'copyFile': {
        const target = name === 'copyFile' ? (given[1] as string) : path;
        const answer = this.make(target, name, given);
        this.unsynced.set(realFs.statSync(target).ino, resolve(target));
        return answer;
      }
      case 'rm':
      case 'unlink':
        return this.remove(path, name, given);
      default:
        return this.plainly(name, given);
    }
  }

  private make(path: string, name: string, given: unknown[]): unknown {
    const fresh = realFs.lstatSync(path, { throwIfNoEntry: false }) === undefined;
    const answer = this.plainly(name, given);
    if (fresh) this.created(path);
    return answer;
  }

  private created(path: string): void {
    this.remember(dirname(path), () => realFs.rmSync(path, { recursive: true, force: true }));
  }

  private rename(from: string, to: string): unknown {
    const over = realFs.lstatSync(to, { throwIfNoEntry: false });
    const link = over?.isSymbolicLink() ? realFs.readlinkSync(to) : undefined;
    const keep = over?.isFile() ? this.place() : undefined;
    if (keep !== undefined) realFs.linkSync(to, keep);
    const answer = this.plainly('rename', [from, to]);
    [from, to] = [resolve(from), resolve(to)];
    for (const [inode, path] of this.unsynced) {
      if (path === from) this.unsynced.set(inode, to);
      else if (path.startsWith(`${from}/`)) this.unsynced.set(inode, to + path.slice(from.length));
    }
    this.remember(dirname(to), () => {
      realFs.renameSync(to, from);
      if (link !== undefined) realFs.symlinkSync(link, to);
      if (keep !== undefined) realFs.renameSync(keep, to);
    });
    return answer;
  }

  private remove(path: string, name: string, given: unknown[]): unknown {
    const there = realFs.lstatSync(path, { throwIfNoEntry: false });
    if (there === undefined || (there.isDirectory() && !isRecursive(given[1]))) return this.plainly(name, given);
    const kept = this.place();
    realFs.renameSync(path, kept);
    this.remember(dirname(path), () => realFs.renameSync(kept, path));
    return undefined;
  }

  private synced(fd: number, path: string): void {
    const there = realFs.fstatSync(fd);
    this.unsynced.delete(there.ino);
    if (there.isDirectory()) this.volatile = this.volatile.filter((one) => one.directory !== resolve(path));
  }

  private remember(directory: string, undo: () => void): void {
    // A path may come with `..` in it, and go without.
    this.volatile.push({ directory: resolve(directory), undo });
  }

  private place(): string {
    return `${this.attic}/${++this.kept}`;
  }

  private plainly(name: string, given: unknown[]): unknown {
    const call = real[`${name}Sync`];
    if (!call) throw new TypeError(`node:fs has no ${name}Sync`);
    return call(...(given as never[]));
  }
}

export const disk = new SimDisk();

function isForWriting(flags: unknown): boolean {
  return typeof flags === 'string' ? /[wax+]/.test(flags) : typeof flags === 'number' && (flags & 3) !== 0;
}

function isRecursive(options: unknown): boolean {
  return typeof options === 'object' && options !== null && 'recursive' in options && options.recursive === true;
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // what was to be taken back is gone with something taken back before it
  }
}

const WRAPPED = [...CHANGES, ...ALSO].concat([
  ...['close', 'read', 'readFile', 'readdir', 'readlink', 'lstat', 'stat', 'fstat', 'realpath', 'statfs', 'access'],
  ...['fdatasync', 'utimes', 'opendir', 'cp', 'mkdtemp', 'lchown'],
]);

/** For good. */
export function patchDisk(): void {
  const sync = fs as unknown as Record<string, unknown>;
  const promises = fsPromises as unknown as Record<string, unknown>;
  for (const name of WRAPPED) {
    if (real[`${name}Sync`] === undefined) continue;
    sync[`${name}Sync`] = (...given: unknown[]) => disk.call(name, given);
    if (name in promises) promises[name] = async (...given: unknown[]) => asAgent(() => disk.call(name, given));
  }
  sync['existsSync'] = (path: string) => {
    if (within === 0 && disk.isHere(path)) demandAlive();
    return realFs.existsSync(path);
  };
  sync['createReadStream'] = (path: string, options: { start?: number } = {}) =>
    Readable.from(
      (async function* () {
        const bytes = (await asAgent(() => disk.call('readFile', [path]))) as Buffer;
        if (bytes.length > (options.start ?? 0)) yield bytes.subarray(options.start ?? 0);
      })(),
    );
  promises['open'] = async (path: string, flags: string | number = 'r', mode?: number) =>
    asAgent(() => handleOf(disk.call('open', [path, flags, mode]) as number));
  syncBuiltinESMExports();
}

function handleOf(fd: number) {
  const on = async (name: string, ...given: unknown[]) => asAgent(() => disk.call(name, [fd, ...given]));
  return {
    fd,
    sync: async () => on('fsync'),
    datasync: async () => on('fsync'),
    chmod: async (mode: number) => on('fchmod', mode),
    truncate: async (length?: number) => on('ftruncate', length),
    stat: async () => on('fstat'),
    close: async () => on('close'),
    readFile: async (options?: unknown) => on('readFile', options),
    writeFile: async (data: Uint8Array | string) => on('writeFile', data),
    appendFile: async (data: Uint8Array | string) => on('appendFile', data),
    write: async (buffer: Uint8Array, offset?: number, length?: number, position?: number) => {
      const bytesWritten = (await on('write', buffer, offset, length, position)) as number;
      return { bytesWritten, buffer };
    },
    read: async (buffer: Uint8Array, offset?: number, length?: number, position?: number) => {
      const bytesRead = (await on('read', buffer, offset, length, position)) as number;
      return { bytesRead, buffer };
    },
  };
}
