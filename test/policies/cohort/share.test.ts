import { describe, expect, test } from 'vitest';
import { isZero, sitesOf } from '../../../policies/cohort/share.js';

describe('a share of a cohort', () => {
  test.each([
    ['10%', 9, 0],
    ['10%', 10, 1],
    ['10%', 19, 1],
    ['99%', 100, 99],
    ['100%', 7, 7],
    ['0%', 7, 0],
    ['2.5%', 40, 1],
    ['2.5%', 39, 0],
    // in floating point 4.35 * 2000 / 100 and 1.1 * 3000 / 100 fall beside the whole number
    ['4.35%', 2000, 87],
    ['1.1%', 3000, 33],
    ['33.333333333333333333%', 3, 0],
    [3, 10, 3],
    [30, 10, 10],
    [0, 10, 0],
  ])('%s of %i sites is %i, rounded down', (share, total, expected) => {
    expect(sitesOf(share, total)).toBe(expected);
  });

  test('zero is written as 0, 0% or 0.0%', () => {
    expect([0, '0%', '0.0%'].map(isZero)).toEqual([true, true, true]);
    expect([1, '0.1%', '10%'].map(isZero)).toEqual([false, false, false]);
  });
});
