/**
 * Virtual time. Node's timers are patched in this process (`syncBuiltinESMExports`), so that the site under test is the
 * product as it is, whatever timer it uses. Time advances only when nothing is left to run.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { performance } from 'node:perf_hooks';
import { machine, never } from './machine.js';

const require = createRequire(import.meta.url);
const realImmediate = setImmediate;

interface Entry {
  at: number;
  order: number;
  owner: 'agent' | 'harness';
  fire: () => void;
  gone: boolean;
}

export class VirtualTime {
  /** Ms since the beginning of the seed, by a clock that nobody can set. */
  now = 0;
  private queue: Entry[] = [];
  private order = 0;

  reset(): void {
    this.now = 0;
    this.order = 0;
    this.queue = [];
  }

  add(owner: Entry['owner'], ms: number, fire: () => void): Entry {
    const entry = { at: this.now + Math.max(0, ms), order: ++this.order, owner, fire, gone: false };
    let [low, high] = [0, this.queue.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.queue[middle]?.at ?? Infinity) <= entry.at) low = middle + 1;
      else high = middle;
    }
    this.queue.splice(low, 0, entry);
    return entry;
  }

  /** Of the harness: survives the death of the process. */
  after(ms: number, fire: () => void): void {
    this.add('harness', ms, fire);
  }

  dropAgentTimers(): void {
    this.queue = this.queue.filter((entry) => entry.owner === 'harness');
  }

  /** Runs the next timer; false if there is none up to `until`. */
  advance(until: number): boolean {
    let next = this.queue[0];
    while (next?.gone === true) {
      this.queue.shift();
      next = this.queue[0];
    }
    if (next === undefined || next.at > until) {
      this.now = Math.max(this.now, until);
      return false;
    }
    this.queue.shift();
    this.now = Math.max(this.now, next.at);
    if (next.owner === 'harness' || !machine.dead) next.fire();
    return true;
  }
}

export const time = new VirtualTime();

/** Everything that waits for nothing has run: promises and ticks come before an immediate. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => realImmediate(resolve));
}

function agentTimer(fire: () => void, ms = 0) {
  if (machine.dead) return { entry: undefined, unref: () => undefined };
  const entry = time.add('agent', ms, fire);
  const handle = {
    entry,
    ref: () => handle,
    unref: () => handle,
    hasRef: () => true,
    refresh: () => handle,
    close: () => handle,
  };
  return handle;
}

function everyTimer(fire: () => void, ms: number) {
  const again = () => {
    // Before `fire`: what it throws does not end the row, and what it clears does.
    handle.entry = time.add('agent', ms, again);
    fire();
  };
  const handle = agentTimer(again, ms);
  return handle;
}

function clear(handle: unknown): void {
  if (typeof handle !== 'object' || handle === null || !('entry' in handle)) return;
  if (handle.entry !== undefined) (handle.entry as Entry).gone = true;
}

async function sleep<T>(ms = 1, value?: T, options: { signal?: AbortSignal } = {}): Promise<T> {
  if (machine.dead) return never<T>();
  const { signal } = options;
  const abortError = () =>
    Object.assign(new Error('The operation was aborted'), { name: 'AbortError', code: 'ABORT_ERR' });
  if (signal?.aborted === true) throw abortError();
  return new Promise<T>((resolve, reject) => {
    const abort = () => {
      entry.gone = true;
      reject(abortError());
    };
    const entry = time.add('agent', Math.max(1, ms), () => {
      signal?.removeEventListener('abort', abort);
      resolve(value as T);
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}

function abortAfter(ms: number): AbortSignal {
  const controller = new AbortController();
  time.add('agent', ms, () => controller.abort(new DOMException('timed out', 'TimeoutError')));
  return controller.signal;
}

/** For good: a process that simulates does nothing else. `wall`: what the machine's clock shows. */
export function patchTime(wall: () => number, random: () => number): void {
  const timers: Record<string, unknown> = require('node:timers') as Record<string, unknown>;
  const promises: Record<string, unknown> = require('node:timers/promises') as Record<string, unknown>;
  const later = (fire: (...given: unknown[]) => void, ms?: number, ...given: unknown[]) =>
    // As Node does; and a loop of empty waits must not stand still in time for ever.
    agentTimer(() => fire(...given), Math.max(1, ms ?? 1));
  const soon = (fire: (...given: unknown[]) => void, ...given: unknown[]) => agentTimer(() => fire(...given), 0);
  const every = (fire: (...given: unknown[]) => void, ms?: number, ...given: unknown[]) =>
    everyTimer(() => fire(...given), Math.max(1, ms ?? 1));
  const patched = {
    ...{ setTimeout: later, clearTimeout: clear, setInterval: every, clearInterval: clear },
    ...{ setImmediate: soon, clearImmediate: clear },
  };
  Object.assign(globalThis, patched);
  Object.assign(timers, patched);
  promises['setTimeout'] = sleep;
  Object.assign(AbortSignal, { timeout: abortAfter });
  Object.defineProperty(performance, 'now', { value: () => time.now, configurable: true });
  Date.now = wall;
  Math.random = random;
  syncBuiltinESMExports();
}
