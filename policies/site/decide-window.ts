/**
 * Whether a maintenance window is open: read off the clock on the wall of its zone. So an hour that comes twice in autumn is
 * in a window twice, and one that spring leaves out opens none.
 */
import { DAYS, type Window } from '../model/window.js';

/** A clock that lies further behind what the centre has signed is wrong, and nobody knows which hour it is. */
export const CLOCK_BEHIND_MS = 300_000;

/** Undefined where no window is declared: nothing is ever closed. Times in epoch ms; no time before the floor can be true. */
export function decideWindow(
  windows: readonly Window[],
  { now, timeFloor }: { now: number; timeFloor: number },
): 'open' | 'closed' | undefined {
  if (windows.length === 0) return undefined;
  if (timeFloor - now > CLOCK_BEHIND_MS) return 'closed';
  return windows.some((window) => isOpen(window, now)) ? 'open' : 'closed';
}

function isOpen({ days = [...DAYS], from, to, zone }: Window, now: number): boolean {
  const { day, time } = wallClock(zone, now);
  const isOn = (index: number) => days.includes(DAYS[(index + 7) % 7] ?? 'mon');
  if (from < to) return isOn(day) && time >= from && time < to;
  return (isOn(day) && time >= from) || (isOn(day - 1) && time < to);
}

/** `time` as `HH:MM`, which is ordered as times are. */
function wallClock(zone: string, now: number): { day: number; time: string } {
  const parts = new Intl.DateTimeFormat('en-GB', {
    ...{ timeZone: zone, weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  } as const).formatToParts(now);
  const part = (type: string) => parts.find((one) => one.type === type)?.value ?? '';
  const day = DAYS.findIndex((name) => name === part('weekday').toLowerCase());
  return { day, time: `${part('hour')}:${part('minute')}` };
}
