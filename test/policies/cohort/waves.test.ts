import { describe, expect, test } from 'vitest';
import { inOrder, planWaves } from '../../../policies/cohort/waves.js';
import type { Share } from '../../../policies/model/strategy.js';
import { site } from './fleet-of.js';

/** How many sites each wave adds; a hold is `hold`. */
function shape(count: number, entries: Share[]): (number | 'hold')[] {
  const sites = Array.from({ length: count }, (_, i) => site(`s${i}`));
  return planWaves(sites, entries).map((wave) => (wave.hold ? 'hold' : wave.sites.length));
}

describe('[A29] waves are cumulative', () => {
  test.each<[number, Share[], (number | 'hold')[]]>([
    [20, ['10%', '50%', '100%'], [2, 8, 10]],
    [20, ['100%'], [20]],
    // what is left after the last entry is one more wave
    [20, ['10%'], [2, 18]],
    [20, [1, 5], [1, 4, 15]],
    // a wave adds at least one site, rounded down or already reached
    [5, ['10%', '50%', '100%'], [1, 1, 3]],
    [3, ['1%', '2%', '3%'], [1, 1, 1]],
    [8, [1, '1%', '100%'], [1, 1, 6]],
    [2, [1, '25%', '100%'], [1, 1]],
    // entries beyond the end add nothing
    [1, ['10%', '50%', '100%'], [1]],
    [3, [10, 20], [3]],
    // 0 waits where it stands
    [10, [1, 0, '100%'], [1, 'hold', 9]],
    [10, [0, '100%'], ['hold', 10]],
    [10, ['100%', 0], [10, 'hold']],
    [10, ['10%', '0%'], [1, 'hold', 9]],
    [1, [1, 0, '100%'], [1, 'hold']],
    [0, [1, 0, '100%'], []],
  ])('%i sites, waves %j: %j', (count, entries, expected) => {
    expect(shape(count, entries)).toEqual(expected);
  });

  test('[A33] every site is in exactly one wave, whatever the entries', () => {
    const entries: Share[][] = [['10%'], [1, '25%', '100%'], ['7%', '7%', 3, 0, '60%'], [1]];
    for (const written of entries) {
      for (let count = 0; count < 40; count++) {
        const sites = Array.from({ length: count }, (_, i) =>
          site(`s${i}`, i % 3 ? {} : { redundancyGroup: `g${i % 4}` }),
        );
        const waves = planWaves(sites, written);
        const ids = waves.flatMap((wave) => wave.sites.map((one) => one.id)).sort();
        expect(ids).toEqual(sites.map((one) => one.id).sort());
        expect(waves.every((wave) => wave.hold === true || wave.sites.length > 0)).toBe(true);
      }
    }
  });
});

describe('redundancy groups', () => {
  const pair = (id: string, group: string): ReturnType<typeof site> => site(id, { redundancyGroup: group });
  const ids = (sites: ReturnType<typeof site>[], entries: Share[]): string[][] =>
    planWaves(sites, entries).map((wave) => wave.sites.map((one) => one.id));

  test('[A33] two members are never in one wave', () => {
    const sites = [pair('a1', 'a'), pair('a2', 'a'), site('b'), pair('c1', 'c'), pair('c2', 'c'), pair('c3', 'c')];
    expect(ids(sites, ['100%'])).toEqual([['a1', 'b', 'c1'], ['a2', 'c2'], ['c3']]);
  });

  test('members that the declared waves part already need no further wave', () => {
    expect(ids([pair('a1', 'a'), pair('a2', 'a')], [1, 2])).toEqual([['a1'], ['a2']]);
  });

  test('each declared wave is split on its own, and holds keep their place', () => {
    const sites = [pair('a1', 'a'), pair('a2', 'a'), pair('b1', 'b'), pair('b2', 'b')];
    expect(ids(sites, [2, 0, 4])).toEqual([['a1'], ['a2'], [], ['b1'], ['b2']]);
  });
});

test('[A29] order within a cohort is risk, low first, then id by code point', () => {
  const sites = [
    site('b', { risk: 'low' }),
    site('a10', { risk: 'high' }),
    site('a2', { risk: 'high' }),
    site('z', { risk: 'medium' }),
    site('a-b', { risk: 'low' }),
  ];
  expect(inOrder(sites).map((one) => one.id)).toEqual(['a-b', 'b', 'z', 'a10', 'a2']);
});
