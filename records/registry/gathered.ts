/**
 * Group commit: what comes while others are being recorded waits, and is recorded together with all that came meanwhile.
 * Nobody waits for company: the first goes alone, and under load a transaction serves many.
 */
import { WorldError } from '../../policies/model/failure.js';

interface Waiting<T, R> {
  item: T;
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
      this.#waiting.push({ item, resolve, reject });
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
    const { nameOf, most = MOST } = this.gathering;
    const [taken, left] = [new Map<string, Waiting<T, R>>(), [] as Waiting<T, R>[]];
    for (const one of this.#waiting) {
      const name = nameOf(one.item);
      if (taken.size < most && !taken.has(name)) taken.set(name, one);
      else left.push(one);
    }
    this.#waiting = left;
    return [...taken.values()];
  }

  /** One that cannot be recorded must not take the others with it; what the world refuses, it refuses to all. */
  async #recordThese(some: Waiting<T, R>[]): Promise<void> {
    try {
      const results = await this.gathering.record(some.map(({ item }) => item));
      some.forEach(({ resolve }, index) => resolve(results[index] as R));
    } catch (error) {
      if (some.length === 1 || error instanceof WorldError) some.forEach(({ reject }) => reject(error));
      else for (const one of some) await this.#recordThese([one]);
    }
  }
}
