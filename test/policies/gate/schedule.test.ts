import { describe, expect, it } from 'vitest';
import { dueSampleTime, nextSampleTime, samplesInSoak } from '../../../policies/gate/schedule.js';

const timing = { window: 60, interval: 150 };
const soak = { from: 1_000, until: 1_600 };

describe('the times of samples', () => {
  it('[B1] begins one window after the switch, so that no window reaches back before it', () => {
    expect(nextSampleTime(timing, soak, 1_000)).toBe(1_060);
    expect(dueSampleTime(timing, soak, 1_059, undefined)).toBeUndefined();
    expect(dueSampleTime(timing, soak, 1_060, undefined)).toBe(1_060);
  });

  it('goes on every interval, up to and including the end of the soak', () => {
    expect([1_060, 1_209, 1_210, 1_510, 5_000].map((now) => nextSampleTime(timing, soak, now))).toEqual([
      ...[1_210, 1_210, 1_360, undefined, undefined],
    ]);
    expect(nextSampleTime(timing, { from: 1_000, until: 1_210 }, 1_100)).toBe(1_210);
  });

  it('takes no time twice, and the times that were missed late and in their order', () => {
    expect(dueSampleTime(timing, soak, 1_220, 1_210)).toBeUndefined();
    expect(dueSampleTime(timing, soak, 1_520, 1_060)).toBe(1_210);
  });

  it('still takes the last time of a soak that is over', () => {
    expect(dueSampleTime(timing, soak, 9_999, 1_360)).toBe(1_510);
    expect(dueSampleTime(timing, soak, 9_999, 1_510)).toBeUndefined();
  });

  it('counts what the soak holds; a soak shorter than the window holds none', () => {
    expect(samplesInSoak(timing, soak)).toBe(4);
    expect(samplesInSoak(timing, { from: 1_000, until: 1_059 })).toBe(0);
    expect(nextSampleTime(timing, { from: 1_000, until: 1_059 }, 1_000)).toBeUndefined();
  });

  it('does not stand still for an interval of zero', () => {
    expect(nextSampleTime({ window: 0, interval: 0 }, soak, 1_000)).toBe(1_100);
  });
});
