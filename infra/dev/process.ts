/** Child processes of the development stack: with a log file, awaited until ready, never left behind. */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, closeSync, constants, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorldError } from '../../policies/model/failure.js';
import { forgetGroup, watchGroup } from './reaper.js';

export interface ProcessOptions {
  /** Names the log file `<directory>/<name>.log` and the process in errors. */
  name: string;
  directory: string;
  path: string;
  args: string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Asked every 50 ms until true. Without it, the process is ready at once. */
  ready?: () => Promise<boolean>;
  /** Milliseconds until `ready` must be true. */
  within?: number;
  /** Milliseconds that `stop` leaves the process before it kills it. */
  stopWithin?: number;
  /** What `stop` begins with. Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** Who it runs as; only root may say so. */
  user?: { uid: number; gid: number };
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  readonly exited: Promise<Exit>;
  running(): boolean;
  /** The last lines of its log. */
  tail(lines?: number): string;
  /** SIGTERM or `stopSignal`, then SIGKILL to its whole group; safe to call twice. */
  stop(): Promise<void>;
  /** `kill -9` of this one process, as a crash would be; its children stay. */
  crash(): Promise<void>;
}

// A program that ran before the reaper knew of it would outlive a starter that was killed in between.
const WHEN_TOLD = 'read -r _ <&3 || exit 1; exec "$0" "$@" 3<&-';

const children = new Set<RunningProcess>();
let ending = false;

/** For an end in the middle of starting: stops every process that this one has started, ready or not, and starts no more. */
export async function stopEverything(): Promise<void> {
  ending = true;
  await Promise.all([...children].map((child) => child.stop()));
}

/**
 * Starts a program in a process group of its own, so that Ctrl-C reaches only this process, which stops its children
 * in order. Throws WorldError with the last lines of the log if it ends or is not ready in time.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  if (ending)
    throw new WorldError('PROGRAM_NOT_READY', `${options.name} is not started any more: everything is ending`);
  if (options.path.includes('/')) {
    try {
      accessSync(options.path, constants.X_OK);
    } catch (error) {
      neverStarted(options, error);
    }
  }
  mkdirSync(options.directory, { recursive: true });
  const logFile = join(options.directory, `${options.name}.log`);
  const log = openSync(logFile, 'a');
  const child = spawn('/bin/sh', ['-c', WHEN_TOLD, options.path, ...options.args], {
    stdio: ['ignore', log, log, 'pipe'],
    detached: true,
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...options.user,
  });
  closeSync(log);
  const pid = await spawned(child).catch((error: unknown) => neverStarted(options, error));
  const running = new ChildOfDevStack(options, child, pid, logFile);
  await watchGroup(pid);
  (child.stdio[3] as Writable).on('error', () => undefined).end('go\n');
  await running.becomeReady();
  return running;
}

function neverStarted(options: ProcessOptions, error: unknown): never {
  throw new WorldError('PROGRAM_NOT_READY', `${options.name} could not be started: ${String(error)}`);
}

function spawned(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid as number));
    child.once('error', reject);
  });
}

class ChildOfDevStack implements RunningProcess {
  readonly name: string;
  readonly exited: Promise<Exit>;
  private ended: Exit | undefined;
  private released = false;

  constructor(
    private readonly options: ProcessOptions,
    child: ChildProcess,
    readonly pid: number,
    readonly logFile: string,
  ) {
    this.name = options.name;
    children.add(this);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.ended = { code, signal };
        resolve(this.ended);
      });
    });
  }

  running(): boolean {
    return this.ended === undefined;
  }

  tail(lines = 20): string {
    const all = readFileSync(this.logFile, 'utf8').trimEnd().split('\n');
    return all.slice(-lines).join('\n');
  }

  async becomeReady(): Promise<void> {
    const { ready, within = 30_000 } = this.options;
    if (!ready) return;
    const deadline = performance.now() + within;
    while (!(await ready().catch(() => false))) {
      if (this.ended || performance.now() > deadline) {
        const message = this.notReady(within);
        await this.stop();
        throw new WorldError('PROGRAM_NOT_READY', message);
      }
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    if (!this.ended) {
      this.signal(this.pid, this.options.stopSignal ?? 'SIGTERM');
      await Promise.race([this.exited, sleep(this.options.stopWithin ?? 5_000, undefined, { ref: false })]);
    }
    if (this.released) return;
    this.released = true;
    // A killed leader leaves its group behind (a killed nginx master its workers).
    this.signal(-this.pid, 'SIGKILL');
    await this.exited;
    forgetGroup(this.pid);
    children.delete(this);
  }

  async crash(): Promise<void> {
    if (!this.ended) this.signal(this.pid, 'SIGKILL');
    await this.exited;
  }

  private notReady(within: number): string {
    const how = this.ended
      ? `ended with ${this.ended.signal ?? `code ${this.ended.code ?? '?'}`} before it was ready`
      : `was not ready within ${within} ms`;
    return `expected ${this.name} to start, it ${how}; the last lines of ${this.logFile}:\n${this.tail()}`;
  }

  private signal(pid: number, signal: NodeJS.Signals): void {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** True once the address answers an HTTP request with the expected status. */
export async function answers(url: string, status = 200): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
  await response?.arrayBuffer();
  return response?.status === status;
}
