import { describe, expect, it } from 'vitest';
import { coverageOf, coverageShortfall, releaseQuery, type ShownRelease } from '../../../policies/gate/coverage.js';
import { metric } from './metric.js';

const NEW = `sha256:${'a'.repeat(64)}`;
const OLD = `sha256:${'b'.repeat(64)}`;
const AT = 1_000_000;
const WINDOW = 60_000;
const show = (site: string, digest = NEW, scrapedAt = AT - 500): ShownRelease => ({ site, digest, scrapedAt });
const before = (site: string, digest = NEW, scrapedAt = AT - WINDOW - 500): ShownRelease => ({
  site,
  digest,
  scrapedAt,
});

const cover = (confirmedSites: string[], now: ShownRelease[], then: ShownRelease[]) =>
  coverageOf({ confirmedSites, digest: NEW, at: AT, window: WINDOW, now, before: then });

describe('coverageOf', () => {
  it('[A31] [B6] covers a site that Prometheus shows with the digest both at t and at t − window', () => {
    expect(cover(['a'], [show('a')], [before('a')])).toEqual({ shown: ['a'], covered: ['a'] });
  });

  it('[peers: Argo CD, health of the previous revision] shows but does not cover a site that switched within the window', () => {
    expect(cover(['a'], [show('a')], [before('a', OLD)])).toEqual({ shown: ['a'], covered: [] });
    expect(cover(['a'], [show('a')], [])).toEqual({ shown: ['a'], covered: [] });
  });

  it('[B6] does not cover a site that runs another digest now, has vanished, or was never confirmed', () => {
    expect(
      cover(
        ['a', 'b'],
        [show('a', OLD), show('c')],
        ['a', 'b', 'c'].map((site) => before(site)),
      ),
    ).toEqual({
      shown: [],
      covered: [],
    });
  });

  it('[B1] does not take a scrape for news that is older than a window: Prometheus repeats itself for five minutes', () => {
    expect(cover(['a'], [show('a', NEW, AT - WINDOW - 1)], [before('a')]).shown).toEqual([]);
    expect(cover(['a'], [show('a', NEW, AT - WINDOW)], [before('a')]).covered).toEqual(['a']);
    expect(cover(['a'], [show('a')], [before('a', NEW, AT - 2 * WINDOW - 1)]).covered).toEqual([]);
  });

  it('[B6] does not cover a site that shows two digests at once, unless the other one is an old scrape', () => {
    expect(cover(['a'], [show('a'), show('a', OLD)], [before('a')]).shown).toEqual([]);
    expect(cover(['a'], [show('a'), show('a', OLD, AT - WINDOW - 1)], [before('a')]).shown).toEqual(['a']);
  });

  it('counts a site once, whatever repetitions there are', () => {
    expect(cover(['a', 'a'], [show('a'), show('a')], [before('a')])).toEqual({ shown: ['a'], covered: ['a'] });
  });
});

describe('coverageShortfall', () => {
  const sites = Array.from({ length: 10 }, (_, index) => `s${index}`);
  const code = (shown: number, covered: number, coverage = '90%', confirmed = sites) =>
    coverageShortfall(metric({ coverage }), confirmed, {
      shown: sites.slice(0, shown),
      covered: sites.slice(0, covered),
    })?.code;

  it.each([
    [10, 10, '90%', undefined],
    [9, 9, '90%', undefined],
    [8, 8, '90%', 'GATE_COVERAGE'],
    [10, 8, '90%', 'SAMPLES_PREDATE_SWITCH'],
    [8, 7, '90%', 'GATE_COVERAGE'],
    [10, 0, '0%', 'SAMPLES_PREDATE_SWITCH'],
    [0, 0, '0%', 'GATE_COVERAGE'],
    [1, 1, '0%', undefined],
    [9, 9, '90.1%', 'GATE_COVERAGE'],
    [10, 10, '100%', undefined],
    [7, 7, '70%', undefined],
  ])('[A31] %d shown and %d covered of 10 for %s: %s', (shown, covered, coverage, expected) => {
    expect(code(shown, covered, coverage)).toBe(expected);
  });

  it('[peers: hawkBit, a group with no targets succeeds] no confirmed site is a shortfall', () => {
    expect(code(0, 0, '0%', [])).toBe('NO_CONFIRMED_SITE');
  });

  it('[peers: hawkBit, a deleted action shrinks the denominator] the share is of all confirmed sites', () => {
    expect(coverageShortfall(metric(), sites, { shown: ['s0'], covered: ['s0'] })?.detail).toContain('1 of 10');
  });

  it('names a few missing sites, not thousands', () => {
    const many = Array.from({ length: 5_000 }, (_, index) => `site-${index}`);
    const detail = coverageShortfall(metric(), many, { shown: [], covered: [] })?.detail ?? '';
    expect(detail).toContain('site-0, site-1, site-2, site-3, site-4 and 4995 more');
    expect(detail.length).toBeLessThan(400);
  });
});

it('asks whatever the digest and the state: both are judged, not selected', () => {
  expect(releaseQuery(['osl.1'], 'edge-proxy')).toBe(
    'max by (site, digest) (timestamp(foothold_release_info{site=~"osl[.]1",stream="edge-proxy"}))',
  );
});
