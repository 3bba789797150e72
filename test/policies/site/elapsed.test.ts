import { describe, expect, it } from 'vitest';
import { elapsedSince, marked, onThisBoot, type Mark, type Moment } from '../../../policies/site/elapsed.js';

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

describe('what had passed before a reboot', () => {
  const nineteenSeventy = nextBoot(20, 20);
  const kept: Mark = { ...since, served: 50_000 };

  it.each([
    ['with the clock in 1970', nineteenSeventy, 20],
    ['with a clock that is back by a day', nextBoot(since.now - DAY, 20), 20],
    ['with a clock that nobody ever set', nextBoot(since.now + 730 * DAY, 20), 20],
    ['that a plausible clock tells', nextBoot(since.now + 7_000, 20), 7_000],
    ['that was none', sameBoot(0, 8_000), 3_000],
  ])('[B17] is added to what has passed since: %s', (_, at, passed) => {
    expect(elapsedSince(kept, at)).toBe(50_000 + passed);
    expect(onThisBoot(kept, at)).toBe(at.elapsed - 50_000 - passed);
  });

  it('is none where the books do not say it, as older ones do not', () => {
    expect(elapsedSince(since, sameBoot(0, 8_000))).toBe(3_000);
    expect(marked(since, sameBoot(9, 8_000))).toEqual({ bootId: 'a', now: 9, elapsed: 8_000, served: 3_000 });
  });

  it('moving the mark changes nothing of what has passed, at that moment and later in that boot', () => {
    for (const at of [sameBoot(0, 8_000), nineteenSeventy, nextBoot(since.now + 7_000, 20)]) {
      const moved = marked(kept, at);
      expect(elapsedSince(moved, at)).toBe(elapsedSince(kept, at));
      const later = { ...at, elapsed: at.elapsed + 1_000 };
      expect(elapsedSince(moved, later)).toBe(elapsedSince(kept, at) + 1_000);
    }
  });

  it('[B17] a mark of this boot asks no wall clock, however far it is set later', () => {
    const moved = marked(kept, nineteenSeventy);
    expect(elapsedSince(moved, { ...nineteenSeventy, now: since.now + 90 * DAY })).toBe(50_020);
  });

  it('comes to no more than the truth, and is short of it by what no mark saw, over any reboots without a clock', () => {
    let mark: Mark = { bootId: '0', now: 20, elapsed: 20 };
    let truly = 0;
    for (let boot = 1; boot <= 100; boot += 1) {
      mark = marked(mark, { ...mark, elapsed: mark.elapsed + 60_000 });
      // Ten seconds more, and the power is gone.
      truly += 70_000;
      mark = marked(mark, { bootId: String(boot), now: 20, elapsed: 20 });
      truly += 20;
    }
    expect(mark.served).toBe(truly - 100 * 10_000);
  });
});
