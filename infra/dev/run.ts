/** Runs a program to its end and returns what it said. */
import { execFile } from 'node:child_process';

export interface Ran {
  /** 124 if it was stopped for taking too long, 127 if it could not be started. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Never throws: a failed program is an answer. `timeout` in ms. `env` is added to this process's. */
export function run(
  path: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string; timeout?: number } = {},
): Promise<Ran> {
  const settings = {
    env: { ...process.env, ...options.env },
    timeout: options.timeout ?? 60_000,
    maxBuffer: 64 * 1024 * 1024,
    killSignal: 'SIGKILL' as const,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  };
  return new Promise((resolve) => {
    execFile(path, args, settings, (error, stdout, stderr) => {
      resolve({ code: exitCode(error), stdout, stderr: stderr || (error && !stdout ? error.message : '') });
    });
  });
}

function exitCode(error: (Error & { code?: unknown; killed?: boolean }) | null): number {
  if (!error) return 0;
  if (typeof error.code === 'number') return error.code;
  return error.killed ? 124 : 127;
}
