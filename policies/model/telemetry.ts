/**
 * What a site says besides its journal: samples, log lines, results of checks. One model, with OpenTelemetry's names;
 * times are in ms and say so.
 */
import type { SiteEvent } from './report.js';

/** In the order in which they are sent; dropped in the opposite one, and safety never. The journal is the safety class. */
export const PRIORITIES = ['safety', 'performance', 'routine'] as const;
export type Priority = (typeof PRIORITIES)[number];
/** What may be dropped, the first to go last. */
export const SPARE = ['performance', 'routine'] as const;
export type SparePriority = (typeof SPARE)[number];

export type AttributeValue = string | number | boolean;
export type Attributes = Record<string, AttributeValue>;
export interface Resource {
  attributes: Attributes;
}
export interface Scope {
  name: string;
  version?: string;
}

/** As OpenTelemetry numbers them. */
export const SEVERITY = { DEBUG: 5, INFO: 9, WARN: 13, ERROR: 17 } as const;

interface Recorded {
  scope: Scope;
  attributes: Attributes;
  timeUnixMs: number;
}
/** Samples of one series over [startTimeUnixMs, timeUnixMs], aggregated at the site. `last`: the latest sample. */
export interface MetricWindow extends Recorded {
  kind: 'metric';
  name: string;
  unit: string;
  startTimeUnixMs: number;
  count: number;
  min: number;
  max: number;
  sum: number;
  last: number;
}
export interface LogRecord extends Recorded {
  kind: 'log';
  severityNumber: number;
  severityText: string;
  body: string;
}
export type TelemetryRecord = MetricWindow | LogRecord;

/** A sample before aggregation. */
export interface Sample {
  scope: Scope;
  name: string;
  unit: string;
  attributes: Attributes;
  timeUnixMs: number;
  value: number;
}

/**
 * One entry of the outbox. Each spare priority of an epoch has a chain of its own: `sequence` from 1, `hash` over all
 * other fields in their JCS form, `previous` the hash before it.
 */
export interface OutboxEntry {
  site: string;
  epoch: number;
  priority: SparePriority;
  sequence: number;
  at: number;
  record: TelemetryRecord;
  previous: string;
  hash: string;
}

/**
 * Entries that were dropped before they were acknowledged: the detail of an `outbox-gap` event of the journal. The chain
 * goes on over it: `previous` is the hash before `from`, `last` the hash of `to`.
 */
export interface OutboxGap {
  priority: SparePriority;
  from: number;
  to: number;
  count: number;
  previous: string;
  last: string;
}

/** A page of the outbox beside a page of the journal. */
export interface OutboxPage {
  resource: Resource;
  entries: OutboxEntry[];
}
/** By priority the sequence up to which the centre has recorded everything that there is, or its gap. */
export interface OutboxAcks {
  epoch: number;
  performance: number;
  routine: number;
}

/**
 * What the inbox of a site ends with. `journal`: the sequence up to which the registry has its journal without a hole. It
 * is not signed: a site repeats by it what was lost, and deletes nothing of its journal.
 */
export type InboxEnd = Pick<OutboxAcks, 'epoch'> & Partial<OutboxAcks> & { journal?: number };

export function isGapEvent(event: SiteEvent): event is SiteEvent & { detail: OutboxGap & Record<string, unknown> } {
  const { priority, from, to, count, previous, last } = event.detail;
  const numbers = [from, to, count].every((one) => Number.isSafeInteger(one) && (one as number) > 0);
  const hashes = [previous, last].every((one) => typeof one === 'string' && /^[0-9a-f]{64}$/.test(one));
  const known = SPARE.some((one) => one === priority);
  return event.kind === 'outbox-gap' && numbers && hashes && known && (from as number) <= (to as number);
}
