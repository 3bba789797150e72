/** What a site measured and logged, as it travelled in its outbox, and what it dropped of it. */
import type { MetricWindow, OutboxEntry, OutboxGap } from '../../policies/model/telemetry.js';
import { harmless } from './paint.js';
import { clock, span } from './times.js';

export function outboxLine({ at, record }: OutboxEntry, now: number): string {
  const words = record.kind === 'metric' ? windowWords(record) : `${record.severityText} ${record.body}`;
  const about = Object.entries(record.attributes).map(([key, value]) => `${key}=${String(value)}`);
  return harmless([clock(at, now), words, ...about].join('  '));
}

function windowWords({ name, unit, count, min, max, sum, last, startTimeUnixMs, timeUnixMs }: MetricWindow): string {
  const over = span(timeUnixMs - startTimeUnixMs);
  const mean = count === 0 ? 'no' : String(Math.round((sum / count) * 1_000) / 1_000);
  const of = unit === '1' ? '' : ` ${unit}`;
  return `${name} ${last}${of} (${count} samples in ${over}, ${min} to ${max}, mean ${mean})`;
}

export function gapLine({ priority, from, to, count }: OutboxGap): string {
  return `${count} of priority ${priority} were dropped before they could be sent: ${from} to ${to}`;
}
