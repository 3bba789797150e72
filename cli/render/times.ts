/** Instants and spans as people read them, in the zone of the machine that the command runs on. */
import { DateTime } from 'luxon';
import { formatDuration } from '../../policies/model/duration.js';

/** Said when a time is made: without it the machine's own locale is looked up first, which takes longer than a reader may. */
const LOCALE = 'en';

/** `04:10` today (relative to `now`), else `23 Nov 04:10`. */
export function clock(at: number, now: number, zone = 'local'): string {
  const then = DateTime.fromMillis(at, { zone, locale: LOCALE });
  // `hasSame` calculates with durations, which look the locale up after all.
  const sameDay = then.toISODate() === DateTime.fromMillis(now, { zone, locale: LOCALE }).toISODate();
  return then.toFormat(sameDay ? 'HH:mm' : 'd LLL HH:mm');
}

/** `04:10:07`, for lines of progress. */
export function clockWithSeconds(at: number, zone = 'local'): string {
  return DateTime.fromMillis(at, { zone, locale: LOCALE }).toFormat('HH:mm:ss');
}

const STEPS: [unit: number, least: number][] = [
  [86_400_000, 2 * 86_400_000],
  [3_600_000, 2 * 3_600_000],
  [60_000, 2 * 60_000],
  [1_000, 0],
];

/** A span in one unit: `45s`, `12m`, `30h`, `3d`. Negative spans (clocks that differ) read `0s`. */
export function span(ms: number): string {
  const [unit] = STEPS.find(([, least]) => ms >= least) ?? [1_000];
  const rounded = Math.max(0, Math.floor(ms / unit)) * unit;
  return rounded === 0 ? '0s' : formatDuration(rounded);
}
