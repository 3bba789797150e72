/** The chains of the outbox: one for each priority that may be dropped, verifiable over its recorded gaps. */
import type { OutboxEntry, OutboxGap } from '../model/telemetry.js';
import { hashOfEntry, NO_PREVIOUS, type ChainHead, type JudgedChain } from './chain.js';

export type Link = { entry: OutboxEntry } | { gap: OutboxGap };

/** Links an entry to `head`; without one it begins the chain of its epoch and priority. */
export function linkOutboxEntry(
  entry: Omit<OutboxEntry, 'sequence' | 'previous' | 'hash'>,
  head?: ChainHead,
): OutboxEntry {
  const linked = { ...entry, sequence: (head?.sequence ?? 0) + 1, previous: head?.hash ?? NO_PREVIOUS };
  return { ...linked, hash: hashOfEntry(linked) };
}

/** Judges entries and gaps of one priority, in order, from `head` or the beginning. */
export function judgeOutbox(links: readonly Link[], head?: ChainHead): JudgedChain {
  let at: ChainHead = head ?? { sequence: 0, hash: NO_PREVIOUS };
  for (const [index, link] of links.entries()) {
    const next = 'gap' in link ? overGap(link.gap, at) : overEntry(link.entry, at);
    if (typeof next === 'string') return { ok: false, index, reason: next };
    at = next;
  }
  return { ok: true };
}

function overGap(gap: OutboxGap, at: ChainHead): ChainHead | string {
  if (gap.from !== at.sequence + 1) return `expected a gap from ${at.sequence + 1}, got one from ${gap.from}`;
  if (gap.previous !== at.hash) return 'the gap is not linked to what was before it';
  if (gap.to < gap.from || gap.count !== gap.to - gap.from + 1) return 'the gap does not count what it spans';
  return { sequence: gap.to, hash: gap.last };
}

function overEntry(entry: OutboxEntry, at: ChainHead): ChainHead | string {
  if (entry.sequence !== at.sequence + 1) return `expected sequence ${at.sequence + 1}, got ${entry.sequence}`;
  if (entry.previous !== at.hash) return 'it is not linked to the entry before it';
  return outboxHashHolds(entry) ? entry : 'its hash does not fit its content';
}

export function outboxHashHolds(entry: OutboxEntry): boolean {
  try {
    return entry.hash === hashOfEntry(entry);
  } catch {
    return false;
  }
}
