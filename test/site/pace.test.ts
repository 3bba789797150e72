/** The token bucket of a prefetch, by a clock of its own. */
import { describe, expect, it } from 'vitest';
import { Pace, type PaceClock } from '../../site/fetch/pace.js';

class FakeClock implements PaceClock {
  at = 0;
  now = () => this.at;
  sleep = async (ms: number, signal: AbortSignal) => {
    signal.throwIfAborted();
    this.at += ms;
  };
}

const never = new AbortController().signal;

describe('a pace', () => {
  it.each([2_000, 16_000, 187_500, 12_500_000])('%i bytes a second: no more, from the first byte on', async (rate) => {
    const clock = new FakeClock();
    const pace = new Pace(rate, clock);
    let bytes = 0;
    for (let n = 0; n < 200; n++) {
      await pace.take(pace.slice, never);
      bytes += pace.slice;
      expect(bytes / (clock.at / 1_000)).toBeLessThanOrEqual(rate * 1.000001);
      // As long as the answer takes, which the next slice has not to wait for.
      clock.at += (pace.slice / rate) * 700;
    }
    expect(bytes / (clock.at / 1_000)).toBeGreaterThan(rate * 0.9);
  });

  it('saves up no more than one slice, however long nothing was asked for', async () => {
    const clock = new FakeClock();
    const pace = new Pace(16_000, clock);
    clock.at = 3_600_000;
    await pace.take(pace.slice, never);
    expect(clock.at).toBe(3_600_000);
    await pace.take(pace.slice, never);
    expect(clock.at - 3_600_000).toBeCloseTo((pace.slice / 16_000) * 1_000);
  });

  it('asks in slices that are little beside what a request costs, and never in large ones', () => {
    expect(new Pace(125).slice).toBe(16 * 1024);
    expect(new Pace(16_000).slice).toBe(32_000);
    expect(new Pace(125_000_000).slice).toBe(1024 * 1024);
    expect(new Pace(undefined).slice).toBe(1024 * 1024);
  });

  it('without a bandwidth waits for nothing, and ends with its signal otherwise', async () => {
    const clock = new FakeClock();
    await new Pace(undefined, clock).take(1e9, never);
    expect(clock.at).toBe(0);
    await expect(new Pace(1_000).take(16_384, AbortSignal.timeout(20))).rejects.toThrow();
  });
});
