/** The site door: the one interface through which any link brings commands to a site's agent (design §3, §4). */
import type { Envelope, Settled, SiteState } from './command.js';
import type { PrefetchEnvelope } from './prefetch.js';
import type { Reason } from './verdict.js';
import type { SiteEvent, SiteReport } from './report.js';
import type { InboxEnd, OutboxEntry, OutboxPage, SparePriority } from './telemetry.js';

export interface SiteDoor {
  /** Takes a command durably, idempotent by command id. A refused one has the journaled result `rejected`. */
  accept(envelope: Envelope): Promise<{ commandId: string; state: SiteState }>;
  /**
   * Watches a command to its journaled result; calls `onState` at once and at every change. A newer observer of the
   * same command, or `signal`, ends this one as unsettled; the agent carries on either way.
   */
  observe(commandId: string, signal: AbortSignal, onState: (state: SiteState) => void): Promise<Settled>;
  /** Takes a wish for files durably; they come in the background. A reason: it was not taken. Nothing is answered for it. */
  prefetch?(envelope: PrefetchEnvelope): Promise<Reason | undefined>;
  report(): Promise<SiteReport>;
  /** Events not acknowledged yet, oldest first, at most `limit`; given `after`, only those with a sequence above it. */
  unacknowledged(limit: number, after?: number): SiteEvent[];
  /**
   * True if a result will carry this event: an observer is attached to its command, or it was journaled while a command
   * was taken in, which is observed next. Asked from within `onEvent`.
   */
  observed(event: SiteEvent): boolean;
  /** Calls back after each journaled event; returns how to stop. */
  onEvent(listener: (event: SiteEvent) => void): () => void;
  /** The link reports each proven contact with the centre. */
  contacted(at: number): void;
  /** Samples and log lines: sent after the journal, and acknowledged by what the inbox has recorded. */
  readonly outbox?: OutboxDoor;
}

export interface OutboxDoor {
  /** Oldest first, of the current epoch, with a sequence above `after`. */
  waiting(priority: SparePriority, after: number, limit: number): OutboxEntry[];
  page(entries: OutboxEntry[]): OutboxPage;
  /** Deletes what the centre has recorded. */
  acknowledge(acks: InboxEnd): void;
}
