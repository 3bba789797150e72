import { describe, expect, it } from 'vitest';
import { Bandwidth, formatBandwidth, parseBandwidth } from '../../../policies/model/bandwidth.js';

describe('[A20] bandwidths', () => {
  it.each([
    ['1kbit', 1_000],
    ['64kbit', 64_000],
    ['128kbit', 128_000],
    ['9.6kbit', 9_600],
    ['1.5Mbit', 1_500_000],
    ['2.048Mbit', 2_048_000],
    ['10Mbit', 10_000_000],
    ['1Gbit', 1_000_000_000],
  ])('%s is %i bit a second, and is written so again', (text, bits) => {
    expect(parseBandwidth(text)).toBe(bits);
    expect(formatBandwidth(bits)).toBe(text);
    expect(Bandwidth.parse(text)).toBe(bits);
  });

  it.each([
    ...['128', '128k', '128kB', '128kbps', '128 kbit', '128Kbit', '128KBIT', '1mbit', '-1kbit', '01kbit', '.5Mbit'],
    ...['1.2345Mbit', '1e3kbit', '', 'fast', '9999999Gbit'],
  ])('%j is none', (text) => {
    expect(parseBandwidth(text)).toBeUndefined();
    expect(Bandwidth.safeParse(text).success).toBe(false);
  });

  it('of nothing, or next to nothing, is refused: files would never come', () => {
    for (const text of ['0kbit', '0Mbit', '0.5kbit']) {
      expect(Bandwidth.safeParse(text).error?.issues[0]?.message).toBe('expected a bandwidth of at least 1kbit');
    }
    expect(Bandwidth.safeParse('0.001Mbit').success).toBe(true);
  });
});
