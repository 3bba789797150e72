/** A control worker in a process of its own, as the sweep sees it: it takes seeds, is killed, and is there again. */
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Counts, FromPart, OpenOrder, SeedOrder, ToPart } from './orders.js';

export interface Injected {
  stream: string;
  index: number;
  what: string;
}

export interface ControlListener {
  onInjected(injected: Injected): void;
  /** Acts at a workflow task, which waits for it. */
  onAsk(injected: Injected): Promise<void>;
}

const NOTHING: Counts = { activity: 0, task: 0, 'rollout-task': 0 };

/** Those that must not outlive this process, however it ends. */
const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class Control {
  private child: ChildProcess | undefined;
  private readonly orders = new Map<string, SeedOrder>();
  private readonly waiting = new Map<string, ((error?: Error) => void)[]>();
  /** The process that runs now has every seed that it is to have. */
  private ready: Promise<void> = Promise.resolve();
  private closing = false;
  restarts = 0;
  /** What each seed that is over had of calls and tasks, by stream. */
  readonly counted = new Map<string, Counts>();

  constructor(
    private readonly opening: OpenOrder,
    private readonly listeners: Map<string, ControlListener>,
  ) {}

  async open(): Promise<void> {
    const child = fork(partPath(), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.child = child;
    running.add(child);
    child.on('message', (message: FromPart) => this.take(message));
    let opened = false;
    child.once('exit', (code, signal) => {
      running.delete(child);
      // Killed by a fault it comes again; what ends before it began would do so for ever.
      if (!opened) this.fail(`the control worker did not begin: ${signal ?? `exit code ${code}`}`);
      else if (!this.closing) this.ready = this.again().catch((error: unknown) => this.fail(String(error)));
    });
    await this.ask('open', { open: this.opening });
    opened = true;
  }

  /** `faults` are those that have not come yet. */
  async seed(order: Omit<SeedOrder, 'counts'>): Promise<void> {
    const whole = { ...order, counts: NOTHING };
    await this.untilReady();
    this.orders.set(order.stream, whole);
    await this.ask(order.stream, { seed: whole });
  }

  forget(stream: string): void {
    this.orders.delete(stream);
    this.answer(stream);
    this.send({ forget: stream });
  }

  async close(): Promise<void> {
    this.closing = true;
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await ended;
  }

  /** What ended a seed's faults so far is known: the next process takes up where this one was killed. */
  private async again(): Promise<void> {
    this.restarts += 1;
    await this.open();
    const { child } = this;
    for (const order of this.orders.values()) {
      await this.ask(order.stream, { seed: order });
      // Killed meanwhile, by what the first seeds did: the next process is told everything.
      if (this.child !== child) return;
    }
  }

  /** A seed that came while a process begins would be refused by it. */
  private async untilReady(): Promise<void> {
    for (let known; known !== this.ready; await known) known = this.ready;
  }

  private take(message: FromPart): void {
    if ('opened' in message) this.answer('open');
    else if ('took' in message) this.answer(message.took);
    else if ('failed' in message) this.fail(message.failed);
    else if ('counted' in message) this.counted.set(message.counted.stream, message.counted.counts);
    else this.heed(message.injected);
  }

  private heed({ stream, index, counts, what, ask }: Extract<FromPart, { injected: unknown }>['injected']): void {
    const order = this.orders.get(stream);
    if (order) {
      order.counts = counts;
      order.faults = order.faults.filter((fault) => fault.index !== index);
    }
    const listener = this.listeners.get(stream);
    if (ask === undefined) return listener?.onInjected({ stream, index, what });
    const acting = listener?.onAsk({ stream, index, what }) ?? Promise.resolve();
    void acting.catch(() => undefined).then(() => this.send({ acted: ask }));
  }

  /** Nobody waits for an answer that cannot come. */
  private fail(why: string): void {
    for (const key of [...this.waiting.keys()]) this.answer(key, why);
  }

  private ask(key: string, order: ToPart): Promise<void> {
    return new Promise((resolve, reject) => {
      const waits = this.waiting.get(key) ?? [];
      this.waiting.set(key, [...waits, (error) => (error ? reject(error) : resolve())]);
      this.send(order);
    });
  }

  private answer(key: string, failed?: string): void {
    const waits = this.waiting.get(key) ?? [];
    this.waiting.delete(key);
    for (const wait of waits) wait(failed === undefined ? undefined : new Error(failed));
  }

  /** A process that is gone hears nothing; the next one is told everything again. */
  private send(order: ToPart): void {
    if (this.child?.connected) this.child.send(order, () => undefined);
  }
}

/** Beside this file once it is built; from the sources, in the build. */
function partPath(): string {
  const beside = fileURLToPath(new URL('./control-part.js', import.meta.url));
  return existsSync(beside)
    ? beside
    : fileURLToPath(new URL('../../dist/test/faults/control-part.js', import.meta.url));
}
