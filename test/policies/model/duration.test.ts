import { describe, expect, it } from 'vitest';
import {
  Duration,
  formatDuration,
  parseDuration,
  PositiveDuration,
  TimerDuration,
} from '../../../policies/model/duration.js';

describe('[A20] durations', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['21d', 1_814_400_000],
    ['0s', 0],
  ])('%s is %i ms, and is written so again', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    expect(formatDuration(ms)).toBe(text);
  });

  it.each(['5', '1.5h', '-1s', '1 h', '1H', '01s', '1w', '', '1h30m', '9999999999999999s'])('%s is none', (text) => {
    expect(parseDuration(text)).toBeUndefined();
    expect(Duration.safeParse(text).success).toBe(false);
  });

  it('that something is judged by are above 0, and a timer can count them', () => {
    expect(PositiveDuration.safeParse('0s').success).toBe(false);
    expect(PositiveDuration.safeParse('300d').success).toBe(true);
    expect(TimerDuration.safeParse('0ms').success).toBe(false);
    expect(TimerDuration.safeParse('25d').success).toBe(false);
    expect(TimerDuration.safeParse('24d').success).toBe(true);
    expect(Duration.safeParse('999999999999d').success).toBe(false);
  });
});
