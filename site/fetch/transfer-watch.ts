/** Watches one transfer: it ends at once with its signal, and is given up if too little comes. */

/** The least that has to come. */
export interface Speed {
  bytes: number;
  withinMs: number;
}

/** Counts only time in which something is waited for: whoever takes its time here does not blame the other end. */
export class TransferWatch {
  private readonly controller = new AbortController();
  private readonly ended: Promise<never>;
  private readonly follow = () => this.controller.abort(this.wanted.reason);
  private bytes = 0;
  private waited = 0;

  constructor(
    private readonly slowest: Speed,
    private readonly wanted: AbortSignal,
  ) {
    this.ended = new Promise((_, reject) => {
      this.signal.addEventListener('abort', () => reject(this.signal.reason as Error), { once: true });
    });
    // Nobody may be waiting when it comes.
    this.ended.catch(() => undefined);
    if (wanted.aborted) this.follow();
    else wanted.addEventListener('abort', this.follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /**
   * `work`, or the error that ended the transfer. Measured: a `fetch` that is aborted between the last byte of a body and its
   * end neither ends nor fails, so its word alone is not waited for.
   */
  async over<T>(work: Promise<T>): Promise<T> {
    const since = performance.now();
    const timer = setTimeout(() => this.giveUp(), Math.max(0, this.slowest.withinMs - this.waited));
    try {
      return await Promise.race([work, this.ended]);
    } finally {
      clearTimeout(timer);
      this.waited += performance.now() - since;
      work.catch(() => undefined);
    }
  }

  came(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes < this.slowest.bytes) return;
    this.bytes = 0;
    this.waited = 0;
  }

  /** Nothing more is wanted of it; `closing` is not waited for. */
  end(closing?: Promise<unknown>): void {
    this.wanted.removeEventListener('abort', this.follow);
    closing?.catch(() => undefined);
  }

  private giveUp(): void {
    this.controller.abort(new Error(`only ${this.bytes} bytes came within ${this.slowest.withinMs} ms`));
  }
}
