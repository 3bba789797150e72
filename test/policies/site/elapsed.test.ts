import { describe, expect, it } from 'vitest';
import { elapsedSince, onThisBoot, type Moment } from '../../../policies/site/elapsed.js';

const DAY = 86_400_000;
const since: Moment = { bootId: 'a', now: 100 * DAY, elapsed: 5_000 };
const sameBoot = (now: number, elapsed: number): Moment => ({ bootId: 'a', now, elapsed });
const nextBoot = (now: number, elapsed: number): Moment => ({ bootId: 'b', now, elapsed });

describe('time that has passed at a site', () => {
  it.each([
    ['the elapsed clock tells, whatever the wall says', sameBoot(since.now + 10 * DAY, 8_000), 3_000],
    ['also when the wall was set back', sameBoot(0, 8_000), 3_000],
    ['an elapsed clock that went back has not moved', sameBoot(since.now, 4_000), 0],
    ['across a reboot the wall difference', nextBoot(since.now + 7_000, 20), 7_000],
    ['a wall that went back counts nothing but this boot', nextBoot(0, 20), 20],
    ['a boot in 1970 that has lasted', nextBoot(12_000, 12_000), 12_000],
    ['a wall before this boot’s own length is behind', nextBoot(since.now + 1_000, 30_000), 30_000],
    ['off for ninety days is plausible', nextBoot(since.now + 90 * DAY, 20), 90 * DAY],
    ['off for two years is a clock that was never set', nextBoot(since.now + 730 * DAY, 20), 20],
  ])('[B17] %s', (_, at, passed) => {
    expect(elapsedSince(since, at)).toBe(passed);
    expect(onThisBoot(since, at)).toBe(at.elapsed - passed);
  });

  it('never goes back within one boot, however the wall clock is stepped', () => {
    let last = 0;
    for (let step = 0; step < 200; step += 1) {
      const wall = since.now + (step % 7 === 0 ? -step : step) * DAY;
      const passed = elapsedSince(since, sameBoot(wall, since.elapsed + step * 10));
      expect(passed).toBeGreaterThanOrEqual(last);
      last = passed;
    }
    expect(last).toBe(1_990);
  });
});
