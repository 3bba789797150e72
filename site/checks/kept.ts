/**
 * A connection that stays open between samples: its end is news before the next sample is due. It judges nothing: whatever
 * ended it, the next sample is taken at once, over a connection of its own.
 */
import type { Socket } from 'node:net';

/**
 * Within one period of the check. Several, because what dies may still take a connection that nobody answers; not more,
 * because many services let go of whoever says nothing.
 */
const MOST_NEWS = 3;

export class KeptConnection {
  private kept: Socket | undefined;
  private listener: (() => void) | undefined;
  private news: number[] = [];
  /** It has ended while nobody listened. */
  private pending = false;

  constructor(private readonly every: number) {}

  /** Of a sample that passed. False: one is kept already, and this one has to be closed. */
  offer(socket: Socket): boolean {
    if (this.kept) return false;
    this.kept = socket;
    this.pending = false;
    // What the service says is not read, but without reading its end is not seen.
    socket.resume();
    socket.once('close', () => this.ended(socket));
    return true;
  }

  /** Called back at the end of the connection, at once if it has ended since the last call. */
  onEnd(listener: (() => void) | undefined): void {
    this.listener = listener;
    if (this.pending && listener) this.tell();
  }

  drop(): void {
    this.listener = undefined;
    this.pending = false;
    this.kept?.destroy();
  }

  private ended(socket: Socket): void {
    if (this.kept === socket) this.kept = undefined;
    this.tell();
  }

  private tell(): void {
    const now = performance.now();
    this.news = this.news.filter((at) => now - at < this.every);
    this.pending = this.listener === undefined;
    if (this.pending || this.news.length >= MOST_NEWS) return;
    this.news.push(now);
    this.listener?.();
  }
}
