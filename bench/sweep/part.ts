/** A part of the bench in a process of its own: started, asked over its channel, ended with the bench. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Part {
  /** Sends an order and resolves with the answer; rejects with the part's own words, or when it ends. */
  ask(order: Order): Promise<Answer>;
  stop(): Promise<void>;
}

export interface Order {
  /** What the part begins with; asked once. */
  open?: unknown;
  /** CPU time used since its start. */
  cpu?: true;
  /** What else the part can do. */
  act?: unknown;
}
export interface Answer {
  /** User and system, all threads, in ms. */
  cpuMs?: number;
  /** What `act` was answered with. */
  told?: unknown;
  failed?: string;
}

const STOP_WITHIN_MS = 20_000;

/** Those that must not outlive this process, however it ends. */
const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Ends the child with this process, or when what is returned is called: which waits for it. */
export function endedWithBench(child: ChildProcess): () => Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  running.add(child);
  return async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await ended;
    clearTimeout(late);
    running.delete(child);
  };
}

/** `name` is a file beside `beside` that serves `serveParent`. Errors that it logs go to standard error. */
export function startPart(name: string, beside = import.meta.url): Part {
  const path = fileURLToPath(new URL(`./${name}.js`, beside));
  const child = fork(path, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { FOOTHOLD_LOG: 'error', ...process.env },
  });
  return { ask: (order) => ask(child, name, order), stop: endedWithBench(child) };
}

/** One order at a time: answers carry no name. */
function ask(child: ChildProcess, name: string, order: Order): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error(`the part ${name} of the bench has ended`));
    child.once('exit', gone);
    child.once('message', (answer: Answer) => {
      child.off('exit', gone);
      if (answer.failed === undefined) resolve(answer);
      else reject(new Error(`the part ${name} of the bench failed: ${answer.failed}`));
    });
    if (child.exitCode === null && child.connected) child.send(order);
    else gone();
  });
}

/** Whether this process was started as the part that is the file `url`, and not for another that only imports it. */
export function isPart(url: string): boolean {
  return process.send !== undefined && process.argv[1] === fileURLToPath(url);
}

/** The other end: what it does is awaited before it is answered; how to end is the part's own affair (SIGTERM). */
export function serveParent<T, A = never>(
  open: (order: T) => Promise<void>,
  act: (what: A) => Promise<unknown> = () => Promise.resolve(),
): void {
  process.on('message', (order: Order) => {
    const opened = order.open === undefined ? Promise.resolve() : open(order.open as T);
    const acted = opened.then(() => (order.act === undefined ? undefined : act(order.act as A)));
    acted.then(
      (told) => answer({ cpuMs: cpuMs(), ...(told === undefined ? {} : { told }) }),
      (error: unknown) => answer({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(1));
}

function answer(what: Answer): void {
  if (process.connected) process.send?.(what);
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
