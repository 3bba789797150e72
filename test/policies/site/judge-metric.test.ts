import { describe, expect, it } from 'vitest';
import { judgeMetric, keepScrapes, type MetricQuestion, type Scrape } from '../../../policies/site/judge-metric.js';

const at = (when: number, value: number | Record<string, number>, per?: number): Scrape => ({
  at: when,
  series: new Map(Object.entries(typeof value === 'number' ? { e: value } : value)),
  ...(per === undefined ? {} : { per: new Map([['p', per]]) }),
});
const asked = (more: Partial<MetricQuestion>): MetricQuestion => ({ series: 'e', below: 10, ...more });
const word = (scrapes: Scrape[], question: MetricQuestion) => {
  const { passed, inconclusive, notYet } = judgeMetric(scrapes, question);
  return notYet ? 'not yet' : inconclusive ? 'inconclusive' : passed ? 'pass' : 'fail';
};

describe('a metric', () => {
  it.each<[string, Scrape[], Partial<MetricQuestion>, string]>([
    ['nothing scraped', [], {}, 'inconclusive'],
    ['below', [at(0, 9)], {}, 'pass'],
    ['at the limit', [at(0, 10)], {}, 'fail'],
    ['above', [at(0, 5)], { below: undefined, above: 4 }, 'pass'],
    ['at the lower limit', [at(0, 4)], { below: undefined, above: 4 }, 'fail'],
    ['NaN', [at(0, NaN)], {}, 'inconclusive'],
    ['infinite, though above', [at(0, Infinity)], { below: undefined, above: 1 }, 'inconclusive'],
    ['missing', [at(0, {})], {}, 'inconclusive'],
    ['several', [at(0, { a: 1, b: 2 })], {}, 'inconclusive'],
    ['several summed', [at(0, { a: 6, b: 6 })], { several: 'sum' }, 'fail'],
    ['only the newest counts', [at(0, 1), at(1, 11)], {}, 'fail'],
    ['a ratio', [at(0, 1, 4)], { per: 'p', below: 0.3 }, 'pass'],
    ['a ratio to nothing', [at(0, 0, 0)], { per: 'p' }, 'inconclusive'],
    ['a ratio to a missing series', [at(0, 1)], { per: 'p' }, 'inconclusive'],
    ['a rate without a window', [at(0, 1), at(900, 1)], { rate: 1_000 }, 'not yet'],
    ['a rate', [at(0, 100), at(1_000, 109)], { rate: 1_000 }, 'pass'],
    ['a rate too high', [at(0, 100), at(1_000, 110)], { rate: 1_000 }, 'fail'],
    ['a rate over a counter begun anew', [at(0, 100), at(500, 4), at(1_000, 9)], { rate: 1_000 }, 'pass'],
    ['the same, too high', [at(0, 100), at(500, 4), at(1_000, 10)], { rate: 1_000 }, 'fail'],
    ['a window stretched by a pause', [at(0, 1), at(2_001, 2)], { rate: 1_000 }, 'not yet'],
    ['NaN inside the window', [at(0, 1), at(500, NaN), at(1_000, 2)], { rate: 1_000 }, 'inconclusive'],
    [
      'a rate of series that come',
      [at(0, { a: 1 }), at(1_000, { a: 2, b: 900 })],
      { rate: 1_000, several: 'sum' },
      'pass',
    ],
    ['a ratio of rates', [at(0, 0, 0), at(1_000, 5, 10)], { per: 'p', rate: 1_000, below: 0.6 }, 'pass'],
    ['no traffic in the window', [at(0, 0, 7), at(1_000, 0, 7)], { per: 'p', rate: 1_000 }, 'inconclusive'],
  ])('%s', (_, scrapes, question, expected) => {
    expect(word(scrapes, asked(question))).toBe(expected);
  });

  it.each([
    ['900 of 1000 ms are covered', [at(0, 1), at(900, 1)]],
    ['scrapes are missing in it', [at(0, 1), at(2_001, 2)]],
  ])('says why there is no window yet: %s', (why, scrapes) => {
    expect(judgeMetric(scrapes, asked({ rate: 1_000 }))).toMatchObject({
      notYet: true,
      detail: `no window yet: ${why}`,
    });
  });

  it('keeps what a rate needs and no more', () => {
    const all = [0, 400, 800, 1_200, 1_600].map((when) => at(when, when));
    expect(keepScrapes(all, undefined).map((one) => one.at)).toEqual([1_600]);
    expect(keepScrapes(all, 1_000).map((one) => one.at)).toEqual([400, 800, 1_200, 1_600]);
    expect(keepScrapes(all, 5_000)).toHaveLength(5);
    for (const rate of [1, 399, 400, 1_000, 1_600]) {
      expect(judgeMetric(keepScrapes(all, rate), asked({ rate }))).toEqual(judgeMetric(all, asked({ rate })));
    }
  });
});
