/**
 * Group commit: what comes while others are being recorded waits, and is recorded together with all that came meanwhile.
 * Nobody waits for company: the first goes alone, and under load a transaction serves many.
 */
import { WorldError } from '../../policies/model/failure.js';

interface Waiting<T, R> {
  item: T;
  name: string;
  resolve: (result: R) => void;
  reject: (error: unknown) => void;
}

export interface Gathering<T, R> {
  /** All or nothing; answers in the order of `items`. */
  record: (items: T[]) => Promise<R[]>;
  /** Two items with the same name never go together. */
  nameOf: (item: T) => string;
  /** So many at once at most. */
  most?: number;
}

const MOST = 100;

export class Gathered<T, R> {
  #waiting: Waiting<T, R>[] = [];
  #recording = false;

  constructor(readonly gathering: Gathering<T, R>) {}

  do(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      // Here, where a name that cannot be had fails its own caller, and not all that wait.
      const name = this.gathering.nameOf(item);
      this.#waiting.push({ item, name, resolve, reject });
      if (!this.#recording) void this.#recordAll();
    });
  }

  async #recordAll(): Promise<void> {
    this.#recording = true;
    while (this.#waiting.length > 0) await this.#recordThese(this.#takeNext());
    this.#recording = false;
  }

  /** First come, first served, but for those that would meet their own name. */
  #takeNext(): Waiting<T, R>[] {
    const { most = MOST } = this.gathering;
    const [taken, left] = [new Map<string, Waiting<T, R>>(), [] as Waiting<T, R>[]];
    for (const one of this.#waiting) {
      if (taken.size < most && !taken.has(one.name)) taken.set(one.name, one);
      else left.push(one);
    }
    this.#waiting = left;
    return [...taken.values()];
  }

  /** One that cannot be recorded must not take the others with it, also where the database calls it a failure of its own. */
  async #recordThese(some: Waiting<T, R>[]): Promise<void> {
    const failure = await this.#record(some);
    if (failure === undefined) return;
    if (some.length === 1) return some[0]?.reject(failure.error);
    let inARow = 0;
    for (const [index, one] of some.entries()) {
      const again = await this.#record([one]);
      if (again) one.reject(again.error);
      inARow = again?.error instanceof WorldError ? inARow + 1 : 0;
      // What the world refuses to two it refuses to all.
      if (inARow === 2) return some.slice(index + 1).forEach(({ reject }) => reject(again?.error));
    }
  }

  async #record(some: Waiting<T, R>[]): Promise<{ error: unknown } | undefined> {
    try {
      const results = await this.gathering.record(some.map(({ item }) => item));
      some.forEach(({ resolve }, index) => resolve(results[index] as R));
      return undefined;
    } catch (error) {
      return { error };
    }
  }
}
