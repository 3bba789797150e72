/**
 * Hash-linked chains: evidence (one a rollout) and the journal of a site (one an epoch). An entry's hash is sha256 over
 * the JCS form of all its other fields, the hash before it included; sequences begin at 1 and have no gaps.
 *
 * A chain proves order and content up to its last hash. It cannot show that entries after the last one were cut off, or
 * that all of it was written anew: whoever needs that compares the last entry with a head kept elsewhere.
 */
import type { EvidenceEntry } from '../model/evidence.js';
import type { SiteEvent } from '../model/report.js';
import { canonicalJson, sha256Hex } from './jcs.js';

/** `previous` of a chain's first entry. */
export const NO_PREVIOUS = '0'.repeat(64);

/** The last entry of a chain so far: what the next one is linked to. */
export interface ChainHead {
  sequence: number;
  hash: string;
}
/** `index` counts from 0 in what was judged, and names the first entry that does not hold. */
export type JudgedChain = { ok: true } | { ok: false; index: number; reason: string };

type Unlinked<T> = Omit<T, 'sequence' | 'previous' | 'hash'>;
interface Links extends ChainHead {
  previous: string;
}

/** The hash that an entry should carry. Throws if it holds what JSON cannot carry (NaN, an unpaired surrogate). */
export function hashOfEntry(entry: object): string {
  return sha256Hex(canonicalJson({ ...entry, hash: undefined }));
}

/** Links an evidence entry to `head`; without one it begins the chain. */
export function linkEntry(entry: Unlinked<EvidenceEntry>, head?: ChainHead): EvidenceEntry {
  return link(entry, head);
}

/** Links a site's event to the event before it; without one it begins the chain of its epoch. */
export function linkSiteEvent(event: Unlinked<SiteEvent>, head?: ChainHead): SiteEvent {
  return link(event, head);
}

/** Judges a rollout's evidence from its first entry on; with `head`, also that the chain ends there. */
export function judgeChain(entries: readonly EvidenceEntry[], head?: ChainHead): JudgedChain {
  let before: EvidenceEntry | undefined;
  for (const [index, entry] of entries.entries()) {
    const reason = brokenLink(entry, before) ?? brokenEvidence(entry, before);
    if (reason !== undefined) return { ok: false, index, reason };
    before = entry;
  }
  return head === undefined ? { ok: true } : judgeEnd(entries, head);
}

/**
 * Judges events of one site in order. Without `head` they must begin an epoch; with it, follow that event. A later
 * epoch begins its own chain.
 */
export function judgeSiteEvents(events: readonly SiteEvent[], head?: ChainHead & { epoch: number }): JudgedChain {
  let before: (ChainHead & { epoch: number }) | undefined = head;
  for (const [index, event] of events.entries()) {
    if (event.site !== events[0]?.site) return { ok: false, index, reason: `the event is of site ${event.site}` };
    if (before !== undefined && event.epoch < before.epoch)
      return { ok: false, index, reason: `epoch ${event.epoch} follows epoch ${before.epoch}` };
    const reason = brokenLink(event, before?.epoch === event.epoch ? before : undefined);
    if (reason !== undefined) return { ok: false, index, reason };
    before = event;
  }
  return { ok: true };
}

function link<T extends object>(entry: T, head: ChainHead | undefined): T & Links {
  const linked = { ...entry, sequence: (head?.sequence ?? 0) + 1, previous: head?.hash ?? NO_PREVIOUS };
  return { ...linked, hash: hashOfEntry(linked) };
}

function brokenLink(entry: Links, before: ChainHead | undefined): string | undefined {
  const sequence = (before?.sequence ?? 0) + 1;
  if (entry.sequence !== sequence) return `expected sequence ${sequence}, got ${entry.sequence}`;
  if (entry.previous !== (before?.hash ?? NO_PREVIOUS)) return 'it is not linked to the entry before it';
  return hashHolds(entry) ? undefined : 'its hash does not fit its content';
}

/** The registry never writes an earlier time after a later one, so a back-dated entry shows even when hashed anew. */
function brokenEvidence(entry: EvidenceEntry, before: EvidenceEntry | undefined): string | undefined {
  if (before === undefined) return undefined;
  if (entry.rollout !== before.rollout) return `the entry is of rollout ${entry.rollout}`;
  return entry.at < before.at ? 'it is dated before the entry before it' : undefined;
}

function judgeEnd(entries: readonly EvidenceEntry[], head: ChainHead): JudgedChain {
  const last = entries.at(-1);
  const ends = (last?.sequence ?? 0) === head.sequence && (last?.hash ?? NO_PREVIOUS) === head.hash;
  if (ends) return { ok: true };
  const reason = `expected the chain to end with sequence ${head.sequence}, got ${last?.sequence ?? 'no entry'}`;
  return { ok: false, index: entries.length, reason };
}

function hashHolds(entry: Links): boolean {
  try {
    return entry.hash === hashOfEntry(entry);
  } catch {
    return false;
  }
}
