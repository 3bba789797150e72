/** The process as commands see it. Everything that a test wants to watch or to replace goes through here. */
import process from 'node:process';

export interface Io {
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Standard output: the answer, nothing else. */
  out(text: string): void;
  /** Standard error: progress, logs, errors. */
  err(text: string): void;
  /** Whether standard output / standard error is a terminal. */
  outTerminal: boolean;
  errTerminal: boolean;
  columns: number;
  now(): number;
  /** Aborted by the first SIGINT or SIGTERM once it was asked for; a second one ends the process the hard way. */
  interrupted: AbortSignal;
}

/** The real process. A closed pipe (`foothold … | head`) ends the command silently. */
export function processIo(): Io {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    cwd: process.cwd(),
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    outTerminal: process.stdout.isTTY,
    errTerminal: process.stderr.isTTY,
    columns: process.stdout.columns || 100,
    now: Date.now,
    get interrupted() {
      return listenOnce();
    },
  };
}

let listening: AbortSignal | undefined;

/** Only commands that end tidily listen: all others die of the first Ctrl-C, as one expects. */
function listenOnce(): AbortSignal {
  if (listening) return listening;
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      interrupt.abort();
    });
  }
  listening = interrupt.signal;
  return listening;
}

/** Resolves after `ms`, or at once when the command is interrupted. */
export async function pause(ms: number, interrupted: AbortSignal): Promise<void> {
  if (interrupted.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(finish, ms);
    function finish(): void {
      clearTimeout(timer);
      interrupted.removeEventListener('abort', finish);
      resolve();
    }
    interrupted.addEventListener('abort', finish);
  });
}

/** Resolves when the command is interrupted. */
export async function untilInterrupted(interrupted: AbortSignal): Promise<void> {
  if (interrupted.aborted) return;
  await new Promise<void>((resolve) => {
    interrupted.addEventListener('abort', () => {
      resolve();
    });
  });
}
