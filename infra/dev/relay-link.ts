/** One direction of a link: when bytes that came at one end may leave at the other. Shared by all connections over it. */
import type { Socket } from 'node:net';

/** What a link lets through now, in one direction. */
export interface Passage {
  open: boolean;
  /** Together for all connections; Infinity: as fast as it comes. */
  bytesPerSecond: number;
  /** From one end to the other: half of what it adds to a round trip. */
  delayMs: number;
}

export const CLEAR: Passage = { open: true, bytesPerSecond: Infinity, delayMs: 0 };

/** So many a second, however late a timer is: what was missed is made up for, up to this long. */
const MADE_UP_MS = 50;
const PIECES_PER_SECOND = 100;

export class Lane {
  private passage = CLEAR;
  private freeAt = 0;
  private readonly pipes = new Set<Pipe>();

  /** `counted` hears of bytes once the system has taken them: what waits here has not passed. */
  constructor(readonly counted: (bytes: number) => void) {}

  get now(): Passage {
    return this.passage;
  }

  set(passage: Passage): void {
    this.passage = passage;
    this.freeAt = performance.now();
    for (const pipe of this.pipes) pipe.pump();
  }

  /** How many bytes may go at this instant, and if none, in how many ms to ask again. */
  take(wanted: number): { bytes: number; waitMs: number } {
    const { bytesPerSecond } = this.passage;
    if (bytesPerSecond === Infinity) return { bytes: wanted, waitMs: 0 };
    const now = performance.now();
    if (this.freeAt > now) return { bytes: 0, waitMs: this.freeAt - now };
    const bytes = Math.min(wanted, Math.max(1, Math.floor(bytesPerSecond / PIECES_PER_SECOND)));
    this.freeAt = Math.max(this.freeAt, now - MADE_UP_MS) + (bytes / bytesPerSecond) * 1_000;
    return { bytes, waitMs: 0 };
  }

  add(pipe: Pipe): void {
    this.pipes.add(pipe);
  }

  delete(pipe: Pipe): void {
    this.pipes.delete(pipe);
  }
}

/** About what such a link and the modems at its ends hold; beyond it, who sends must wait. */
const HELD_BYTES = 128 * 1024;

/** What one connection carries in one direction, in order; its end comes after its last byte. */
export class Pipe {
  private readonly waiting: { bytes: Buffer; dueAt: number }[] = [];
  private held = 0;
  private over: 'ended' | 'failed' | undefined;
  private forgotten = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly lane: Lane,
    private readonly from: Socket,
    private readonly to: Socket,
    /** Hears of bytes once the system has taken them. */
    private readonly passed: (bytes: Buffer) => void = () => undefined,
  ) {
    lane.add(this);
    from.on('data', (bytes) => this.hold(bytes));
    from.on('end', () => this.end('ended'));
    // Closed without an error, both directions have ended, and what is still on its way to `to` must arrive.
    from.on('close', (failed) => this.end(failed ? 'failed' : 'ended'));
    to.on('drain', () => this.pump());
    to.on('close', () => this.drop());
    this.pump();
  }

  /** Whatever comes is lost from now on, and nobody is told. */
  forget(): void {
    this.forgotten = true;
    this.drop();
    this.from.resume();
  }

  /** Hands on what is due, and asks for more only if it could pass. */
  pump(): void {
    clearTimeout(this.timer);
    if (this.forgotten) return;
    while (this.lane.now.open && !this.to.writableNeedDrain && this.waiting[0]) {
      const [{ bytes, dueAt }] = this.waiting as [{ bytes: Buffer; dueAt: number }];
      const early = dueAt - performance.now();
      if (early > 0) return this.later(early);
      const take = this.lane.take(bytes.length);
      if (take.bytes === 0) return this.later(take.waitMs);
      this.handOn(bytes, take.bytes);
    }
    this.carryEnd();
    this.regulate();
  }

  private hold(bytes: Buffer): void {
    if (this.forgotten) return;
    this.waiting.push({ bytes, dueAt: performance.now() + this.lane.now.delayMs });
    this.held += bytes.length;
    this.pump();
  }

  private handOn(bytes: Buffer, count: number): void {
    const [first] = this.waiting;
    if (count === bytes.length) this.waiting.shift();
    else if (first) first.bytes = bytes.subarray(count);
    this.held -= count;
    const part = bytes.subarray(0, count);
    this.to.write(part, (error) => {
      if (error) return;
      this.lane.counted(count);
      this.passed(part);
    });
  }

  private end(how: 'ended' | 'failed'): void {
    if (this.over !== 'failed') this.over = how;
    this.pump();
  }

  /** An end passes as bytes do; a failure loses what is on its way. */
  private carryEnd(): void {
    if (!this.lane.now.open || this.over === undefined) return;
    if (this.over === 'failed') this.to.destroy();
    else if (this.waiting.length === 0) this.to.end();
  }

  private later(ms: number): void {
    this.timer = setTimeout(() => this.pump(), Math.max(1, ms));
    this.regulate();
  }

  private regulate(): void {
    const flows = this.lane.now.open && this.held < HELD_BYTES && !this.to.writableNeedDrain;
    if (flows) this.from.resume();
    else this.from.pause();
  }

  private drop(): void {
    clearTimeout(this.timer);
    this.waiting.length = 0;
    this.held = 0;
    this.lane.delete(this);
  }
}
