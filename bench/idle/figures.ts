/** From a measured span to an hour. Pure. */
import { LINK_TIMERS, type LinkName } from '../../policies/model/link.js';
import { median } from '../sweep/figures.js';
import type { Kind, Spent } from './frames.js';

const HOUR = 3_600_000;

export interface Span {
  /** Epoch ms. */
  from: number;
  to: number;
}

/** What is rarer than a span can show, measured one by one over the fibre link: the same calls in every class. */
export interface Rare {
  contactBytes: number;
  /** A report without samples, and what a window of samples adds to one. */
  reportBytes: number;
  windowBytes: number;
  keysetBytes: number;
}

/** Two reports, and how many windows of samples each had to carry. */
export function rareOf(contacts: number[], reports: { bytes: number; windows: number }[], keysetBytes: number): Rare {
  const [few, many] = reports.toSorted((a, b) => a.windows - b.windows);
  if (!few || !many || few.windows === many.windows) throw new Error('expected two reports with unequal samples');
  const windowBytes = Math.max(0, (many.bytes - few.bytes) / (many.windows - few.windows));
  const reportBytes = few.bytes - windowBytes * few.windows;
  return { contactBytes: median(contacts), reportBytes, windowBytes, keysetBytes };
}

/** Of calls and frames that come every minute or oftener the span is scaled; what is rarer is reckoned by the timers. */
export function bytesPerHour(link: LinkName, spent: Spent[], { from, to }: Span, rare: Rare): Record<string, number> {
  const { contactEvery, reportEvery, sampleEvery } = LINK_TIMERS[link];
  const within = (kind: Kind) =>
    spent
      .filter((one) => one.kind === kind && one.at >= from && one.at < to)
      .reduce((sum, { bytes }) => sum + bytes, 0);
  const scaled = (kind: Kind) => Math.round((within(kind) * HOUR) / (to - from));
  const kinds = {
    longPolls: scaled('poll'),
    keepalive: scaled('ping'),
    workerHeartbeats: scaled('heartbeat'),
    contact: Math.round((rare.contactBytes * HOUR) / contactEvery),
    reports: Math.round((rare.reportBytes * HOUR) / reportEvery + (rare.windowBytes * HOUR) / sampleEvery),
    keyset: Math.round(rare.keysetBytes),
    other: scaled('other') + scaled('settings'),
  };
  return { total: Object.values(kinds).reduce((sum, bytes) => sum + bytes, 0), ...kinds };
}
