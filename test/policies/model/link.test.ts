import { describe, expect, it } from 'vitest';
import { LINK_NAMES, LINK_TIMERS, retryPause } from '../../../policies/model/link.js';

const { fibre, satellite } = LINK_TIMERS;

describe('the pause before another attempt to connect', () => {
  it('doubles from the first to the longest, and no further however long the link is away', () => {
    const middle = (failures: number) => retryPause(fibre, failures, 0.5);
    expect([1, 2, 3, 4, 5, 90_000].map(middle)).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    expect(retryPause(fibre, 0, 0.5)).toBe(500);
  });

  it('is half as long to half as long again: a thousand sites that lost the centre together come back one by one', () => {
    const pauses = Array.from({ length: 1_000 }, (_, site) => retryPause(satellite, 20, site / 1_000));
    expect([Math.min(...pauses), Math.max(...pauses)]).toEqual([150_000, 449_700]);
    const perSecond = new Map<number, number>();
    for (const ms of pauses) perSecond.set(Math.floor(ms / 1_000), (perSecond.get(Math.floor(ms / 1_000)) ?? 0) + 1);
    expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(5);
  });

  it('is short enough on every link that contact is tried again within what the link calls silence', () => {
    for (const name of LINK_NAMES) {
      const timers = LINK_TIMERS[name];
      expect([name, retryPause(timers, 50, 1) <= timers.contactEvery]).toEqual([name, true]);
    }
  });
});
