/** A window is open by the clock on the wall of its zone, also where that clock is changed. */
import { describe, expect, it } from 'vitest';
import { Window } from '../../../policies/model/window.js';
import { CLOCK_BEHIND_MS, decideWindow } from '../../../policies/site/decide-window.js';

const night = { from: '22:00', to: '04:00', zone: 'Europe/Oslo' };
const at = (time: string, windows: Window[], timeFloor = 0) =>
  decideWindow(windows, { now: Date.parse(time), timeFloor });

describe('a maintenance window', () => {
  it('that nobody declared closes nothing', () => {
    expect(at('2031-06-04T12:00Z', [])).toBeUndefined();
  });

  it.each([
    ['2031-06-04T19:59:59Z', 'closed'],
    ['2031-06-04T20:00:00Z', 'open'],
    ['2031-06-05T01:59:59Z', 'open'],
    ['2031-06-05T02:00:00Z', 'closed'],
    // In winter Oslo is an hour nearer to UTC.
    ['2031-12-04T20:30:00Z', 'closed'],
    ['2031-12-04T21:00:00Z', 'open'],
  ])('[A46] past midnight in Oslo: at %s it is %s', (time, word) => {
    expect(at(time, [night])).toBe(word);
  });

  it('is of the day on which it began', () => {
    // A Wednesday.
    const wednesday = [{ ...night, days: ['wed' as const] }];
    expect(at('2031-06-04T21:00Z', wednesday)).toBe('open');
    expect(at('2031-06-05T01:00Z', wednesday)).toBe('open');
    expect(at('2031-06-05T21:00Z', wednesday)).toBe('closed');
    expect(at('2031-06-04T01:00Z', wednesday)).toBe('closed');
    const sunday = [{ ...night, days: ['sun' as const] }];
    expect(at('2031-06-09T01:00Z', sunday)).toBe('open');
  });

  it('that spring leaves out does not open, and lasts twice as long in autumn', () => {
    const window = [{ from: '02:00', to: '03:00', zone: 'Europe/Oslo' }];
    const open = (day: string) =>
      Array.from({ length: 24 * 60 }, (_, minute) => Date.parse(`${day}T00:00Z`) - 7_200_000 + minute * 60_000).filter(
        (now) => decideWindow(window, { now, timeFloor: 0 }) === 'open',
      ).length;
    expect(open('2031-03-30')).toBe(0);
    expect(open('2031-10-26')).toBe(120);
    expect(open('2031-06-04')).toBe(60);
  });

  it('over the change of the clocks begins and ends by the new clock', () => {
    // 2031-03-30, 01:00 UTC: 02:00 in Oslo becomes 03:00; 04:00 is then 02:00 UTC.
    expect(at('2031-03-30T01:59Z', [night])).toBe('open');
    expect(at('2031-03-30T02:00Z', [night])).toBe('closed');
    // 2031-10-26, 01:00 UTC: 03:00 becomes 02:00; 04:00 is 03:00 UTC.
    expect(at('2031-10-26T02:59Z', [night])).toBe('open');
    expect(at('2031-10-26T03:00Z', [night])).toBe('closed');
  });

  it('is open if one of them is, and until the end of the day with 24:00', () => {
    const evening = { from: '20:00', to: '24:00', zone: 'UTC' };
    expect(at('2031-06-04T23:59Z', [night, evening])).toBe('open');
    expect(at('2031-06-05T03:00Z', [evening, night])).toBe('closed');
    expect(at('2031-06-05T00:00Z', [evening])).toBe('closed');
  });

  it('is closed to a clock that is behind what the centre has signed', () => {
    const now = '2031-06-04T21:00Z';
    expect(at(now, [night], Date.parse(now) + CLOCK_BEHIND_MS)).toBe('open');
    expect(at(now, [night], Date.parse(now) + CLOCK_BEHIND_MS + 1)).toBe('closed');
  });

  it.each([
    [{ ...night, zone: 'Europe/Olso' }],
    [{ ...night, from: '25:00' }],
    [{ ...night, to: '22:00' }],
    [{ ...night, from: '24:00' }],
    [{ ...night, days: [] }],
    [{ from: '22:00', to: '04:00' }],
  ])('is refused as %j', (written) => {
    expect(Window.safeParse(written).success).toBe(false);
    expect(Window.safeParse(night).success).toBe(true);
  });
});
