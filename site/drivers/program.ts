/** Runs a program without a shell, with a time limit over its whole process group. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { WorldError } from '../../policies/model/failure.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import { endOf } from '../../policies/site/cut-text.js';

export interface ProgramCall {
  argv: string[];
  cwd: string;
  env?: Record<string, string>;
  /** Ms; at its end the whole process group is killed. */
  timeout: number;
  signal?: AbortSignal;
  /** Children that outlive it are killed at its end: a check that leaves one behind would leave one for each sample. */
  leavesNothing?: boolean;
}

export interface ProgramEnd {
  ok: boolean;
  /** `exit`: it ended by itself and has said something. */
  how: 'exit' | 'signal' | 'killed' | 'not started';
  /** `exit 3: last words`, `killed after 10000 ms`, `could not be started: …`. */
  detail: string;
  output: string;
}

/** What is kept of a program's output; the rest is read and thrown away. */
const OUTPUT_KEPT = 2_048;
/** How long after the exit of a failed program its last words are waited for: a grandchild may hold the pipe for ever. */
const LAST_WORDS_MS = 100;

/** What a release's program needs of the agent's surroundings. The agent's credentials are not among it. */
const PASSED_ON = /^(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH)$/;

/** Everything else stays with the agent: a program's last words go to the centre, and into histories. */
export function environmentFor(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(own).filter(([name]) => PASSED_ON.test(name)));
}

/** Runs it to its end; never throws, whatever the program does. */
export async function runProgram(call: ProgramCall): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    let output = '';
    let ended = false;
    const child = start(call);
    if (child instanceof Error) {
      const detail = `could not be started: ${child.message}`;
      return resolve({ ok: false, how: 'not started', detail, output });
    }
    const kill = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // the group is gone already
      }
    };
    const end = (how: ProgramEnd['how'], ok: boolean, detail: string) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', abort);
      if (call.leavesNothing) kill();
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ ok, how, detail: withLastWords(detail, ok, output), output });
    };
    const stop = (detail: string) => {
      kill();
      end('killed', false, detail);
    };
    const done = (code: number | null, signal: NodeJS.Signals | null) =>
      code === null ? end('signal', false, `ended by ${signal}`) : end('exit', code === 0, `exit ${code}`);
    const abort = () => stop('stopped because it was no longer wanted');
    const timer = setTimeout(() => stop(`killed after ${call.timeout} ms`), call.timeout);
    if (call.signal?.aborted) abort();
    else call.signal?.addEventListener('abort', abort, { once: true });
    const keep = (chunk: Buffer) => (output = (output + chunk.toString('utf8')).slice(-OUTPUT_KEPT));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => end('not started', false, `could not be started: ${error.message}`));
    child.on('close', done);
    child.on('exit', (code, signal) => {
      if (code === 0) setImmediate(() => done(code, signal));
      else setTimeout(() => done(code, signal), LAST_WORDS_MS);
    });
  });
}

/** With no file descriptor or process left, or a zero byte in an argument, there is no child at all. */
function start({ argv, cwd, env }: ProgramCall): ChildProcessByStdio<null, Readable, Readable> | Error {
  const [command = '', ...rest] = argv;
  try {
    // `detached` makes it the leader of its own process group, so that its children die with it.
    const child = spawn(command, rest, {
      cwd,
      env: { ...environmentFor(process.env), ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    if ((child.stdout as Readable | undefined) === undefined) {
      child.on('error', () => undefined);
      return new Error('the machine has no room for another program');
    }
    return child;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Runs it and throws `code` unless it ends well; `what` names it for people. */
export async function demandProgram(call: ProgramCall, code: ReasonCode, what: string): Promise<void> {
  const end = await runProgram(call);
  if (!end.ok) throw new WorldError(code, `${what} (${call.argv.join(' ')}): ${end.detail}`);
}

function withLastWords(detail: string, ok: boolean, output: string): string {
  const words = output.trim();
  return ok || words === '' ? detail : `${detail}: ${endOf(words, 400)}`;
}
