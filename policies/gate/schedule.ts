/**
 * When a metric is sampled: first one window after the switch, then every `interval`, up to the end of the soak
 * (design §6). Times that were missed are taken late, in their order: Prometheus is asked for its values at the scheduled
 * time, so that a worker that was away leaves no gap. Times in epoch ms.
 */
import type { Metric } from '../model/strategy.js';

/** From the wave's last switch as the control worker saw it, to the end of the soak. */
export interface Soak {
  from: number;
  until: number;
}

type Timing = Pick<Metric, 'window' | 'interval'>;

/** An interval of zero would ask without pause. */
const SHORTEST_INTERVAL = 100;

export function intervalOf(metric: Pick<Metric, 'interval'>): number {
  return Math.max(metric.interval, SHORTEST_INTERVAL);
}

/** The first scheduled time that has come and lies after `last`, the time of the last sample. */
export function dueSampleTime(metric: Timing, soak: Soak, now: number, last: number | undefined): number | undefined {
  const time = last === undefined ? soak.from + metric.window : last + intervalOf(metric);
  return time <= Math.min(now, soak.until) ? time : undefined;
}

/** The first scheduled time after `now`, or undefined if the soak holds no more. */
export function nextSampleTime(metric: Timing, soak: Soak, now: number): number | undefined {
  const latest = latestTime(metric, soak, now);
  const time = latest === undefined ? soak.from + metric.window : latest + intervalOf(metric);
  return time <= soak.until ? time : undefined;
}

/** How many samples the soak holds: what `count` is when a metric does not state it, and the most it may be. */
export function samplesInSoak(metric: Timing, soak: Soak): number {
  const latest = latestTime(metric, soak, soak.until);
  return latest === undefined ? 0 : timesBetween(metric, soak.from + metric.window, latest) + 1;
}

/** Scheduled times after `after`, up to and including `until`. */
export function timesBetween(metric: Pick<Metric, 'interval'>, after: number, until: number): number {
  return Math.max(0, Math.floor((until - after) / intervalOf(metric)));
}

function latestTime(metric: Timing, soak: Soak, now: number): number | undefined {
  const first = soak.from + metric.window;
  return now < first ? undefined : first + timesBetween(metric, first, now) * intervalOf(metric);
}
