/** Many samples of one series as one window: what a thin link can carry. */
import type { MetricWindow, Sample } from '../model/telemetry.js';

/** One window for each series, in the order in which the series first came. Samples that are no numbers are passed over. */
export function aggregate(samples: readonly Sample[]): MetricWindow[] {
  const windows = new Map<string, MetricWindow>();
  for (const sample of samples) {
    if (!Number.isFinite(sample.value)) continue;
    const { scope, name, unit, attributes } = sample;
    // The order in which attributes were set means nothing.
    const ordered = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([scope.name, scope.version, name, unit, ordered]);
    const known = windows.get(key);
    windows.set(key, known === undefined ? begin(sample) : add(known, sample));
  }
  return [...windows.values()];
}

function begin({ value, timeUnixMs, ...series }: Sample): MetricWindow {
  const ends = { startTimeUnixMs: timeUnixMs, timeUnixMs };
  return { kind: 'metric', ...series, ...ends, count: 1, min: value, max: value, sum: value, last: value };
}

/** Samples may come out of order: `last` is that of the latest time. */
function add(window: MetricWindow, { value, timeUnixMs }: Sample): MetricWindow {
  return {
    ...window,
    startTimeUnixMs: Math.min(window.startTimeUnixMs, timeUnixMs),
    timeUnixMs: Math.max(window.timeUnixMs, timeUnixMs),
    count: window.count + 1,
    min: Math.min(window.min, value),
    max: Math.max(window.max, value),
    sum: window.sum + value,
    last: timeUnixMs >= window.timeUnixMs ? value : window.last,
  };
}
