/** Keeps a transfer within a bandwidth: a token bucket that begins empty, so that no window begins with a burst. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface PaceClock {
  /** Ms that have passed. */
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const machine: PaceClock = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
};

/** Asked for in one request: so much of the link's time that a round trip is little beside it. */
const SLICE_MS = 2_000;
/** Below it, headers would cost more than what they bring. */
const LEAST_SLICE = 16 * 1024;
const LARGEST_SLICE = 1024 * 1024;

export class Pace {
  /** What may be asked for in one piece, and the most that is saved up. */
  readonly slice: number;
  private tokens = 0;
  private at: number;

  /** `bytesPerSecond` undefined: slices only, as fast as they come. */
  constructor(
    private readonly bytesPerSecond: number | undefined,
    private readonly clock = machine,
  ) {
    const wanted = bytesPerSecond === undefined ? LARGEST_SLICE : Math.round((bytesPerSecond * SLICE_MS) / 1_000);
    this.slice = Math.min(LARGEST_SLICE, Math.max(LEAST_SLICE, wanted));
    this.at = clock.now();
  }

  /** Ends once `bytes` may be asked for; no more than a slice at a time is saved up meanwhile. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.bytesPerSecond === undefined) return;
    const now = this.clock.now();
    const saved = this.tokens + ((now - this.at) * this.bytesPerSecond) / 1_000;
    this.tokens = Math.min(this.slice, saved) - bytes;
    this.at = now;
    if (this.tokens >= 0) return;
    await this.clock.sleep((-this.tokens / this.bytesPerSecond) * 1_000, signal);
  }
}
