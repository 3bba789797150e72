/** Warnings and errors of the agent go to the centre as well, as log records of the lowest priority. */
import { SEVERITY, type Attributes, type LogRecord } from '../../policies/model/telemetry.js';
import { beginningOf } from '../../policies/site/cut-text.js';
import type { Log } from '../context.js';
import type { Outbox } from './outbox.js';

const SCOPE = { name: 'foothold.agent' };
const SPAN_MS = 600_000;
/** In one span: a fault that repeats every second must not push out what was measured. */
const MOST_IN_SPAN = 60;
const LONGEST = 500;

/** Says everything to `log` first, and never throws. */
export function tellingLog(log: Log, outbox: Pick<Outbox, 'append'>, now: () => number): Log {
  const span = { since: now(), told: 0, suppressed: 0 };
  const tell = (severity: 'WARN' | 'ERROR', detail: object, message: string): void => {
    const at = now();
    // A clock that was set back begins a new span.
    if (at - span.since >= SPAN_MS || at < span.since) Object.assign(span, { since: at, told: 0 });
    span.told += 1;
    if (span.told > MOST_IN_SPAN) return void (span.suppressed += 1);
    const suppressed = span.suppressed > 0 ? { 'foothold.suppressed': span.suppressed } : {};
    span.suppressed = 0;
    outbox.append('routine', [recordOf(severity, { ...attributesOf(detail), ...suppressed }, message, at)]);
  };
  return {
    debug: (detail, message) => log.debug(detail, message),
    info: (detail, message) => log.info(detail, message),
    warn(detail, message) {
      log.warn(detail, message);
      tell('WARN', detail, message);
    },
    error(detail, message) {
      log.error(detail, message);
      tell('ERROR', detail, message);
    },
  };
}

function recordOf(severity: 'WARN' | 'ERROR', attributes: Attributes, body: string, at: number): LogRecord {
  return {
    kind: 'log',
    scope: SCOPE,
    attributes,
    timeUnixMs: at,
    severityNumber: SEVERITY[severity],
    severityText: severity,
    body: beginningOf(body, LONGEST),
  };
}

/** Plain values alone: what is nested is for whoever reads the log at the site. */
function attributesOf(detail: object): Attributes {
  const plain = Object.entries(detail).flatMap(([key, value]): [string, string | number | boolean][] => {
    if (typeof value === 'string') return [[key, beginningOf(value, LONGEST)]];
    return typeof value === 'number' || typeof value === 'boolean' ? [[key, value]] : [];
  });
  return Object.fromEntries(plain);
}
