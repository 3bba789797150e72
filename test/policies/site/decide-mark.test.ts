import { describe, expect, it } from 'vitest';
import { isMarkDue, MARK_LEAST_MS, MARK_OTHERS_MS, MARK_TRIAL_MS } from '../../../policies/site/decide-mark.js';
import { marked, type Mark, type Moment } from '../../../policies/site/elapsed.js';

const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];
const since: Mark = { bootId: 'a', now: 5 * DAY, elapsed: DAY };
const after = (ms: number): Moment => ({ bootId: 'a', now: 0, elapsed: since.elapsed + ms });

/** Ms after which the mark is due for the first time. */
function dueAfter(mark: Mark, of: { lasts: number; every: number }): number {
  for (let ms = 0; ms <= DAY; ms += SECOND) {
    if (isMarkDue(mark, { bootId: mark.bootId, now: 0, elapsed: mark.elapsed + ms }, of)) return ms;
  }
  return Infinity;
}

describe('the mark of what counts time', () => {
  const trial = (lasts: number) => ({ lasts, every: MARK_TRIAL_MS });
  const others = (lasts: number) => ({ lasts, every: MARK_OTHERS_MS });

  it.each([
    ['a trial of twenty seconds, no more often than is worth it', trial(20 * SECOND), MARK_LEAST_MS],
    ['a trial of five minutes, after a tenth of it', trial(5 * MINUTE), 30 * SECOND],
    ['a trial of an hour, each minute', trial(HOUR), MINUTE],
    ['a watch of an hour, after a tenth of it', others(HOUR), 6 * MINUTE],
    ['a watch of a day, after ten minutes', others(DAY), 10 * MINUTE],
  ])('is moved: %s', (_what, of, ms) => {
    expect(dueAfter(since, of)).toBe(ms);
  });

  it('is moved at once on another boot, whatever the clocks say', () => {
    for (const now of [0, since.now + 1, since.now + 90 * DAY]) {
      expect(isMarkDue(since, { bootId: 'b', now, elapsed: 0 }, others(DAY))).toBe(true);
    }
  });

  it('is moved once more at the end, and then no more', () => {
    const of = trial(58 * SECOND);
    const last = marked(since, after(55 * SECOND));
    expect(isMarkDue(last, after(57 * SECOND), of)).toBe(false);
    expect(isMarkDue(last, after(58 * SECOND), of)).toBe(true);
    const over = marked(last, after(58 * SECOND));
    expect(isMarkDue(over, after(DAY), of)).toBe(false);
    expect(isMarkDue(over, { bootId: 'b', now: 0, elapsed: 20 }, of)).toBe(false);
  });

  it('gets on by most of each boot, also where none of them lasts for as long as a mark may stay', () => {
    const of = others(DAY);
    const lasts = 4 * MINUTE;
    let mark: Mark = { ...since, elapsed: 20 * SECOND };
    for (let boot = 0; boot < 10; boot += 1) {
      mark = marked(mark, { bootId: String(boot), now: 0, elapsed: 20 * SECOND });
      for (let up = 20 * SECOND; up < lasts; up += MARK_LEAST_MS) {
        const at = { bootId: String(boot), now: 0, elapsed: up };
        if (isMarkDue(mark, at, of)) mark = marked(mark, at);
      }
    }
    expect(mark.served).toBeGreaterThan(10 * lasts * 0.85);
    expect(mark.served).toBeLessThanOrEqual(10 * lasts);
  });
});
