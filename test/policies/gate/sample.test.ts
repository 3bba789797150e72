import { describe, expect, it } from 'vitest';
import { judgeSample, type Answer, type AnswerSeries } from '../../../policies/gate/sample.js';
import type { Coverage } from '../../../policies/gate/coverage.js';
import { metric } from './metric.js';

const SITES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
const full: Coverage = { shown: SITES, covered: SITES };
const one = (value: number | null): Answer => ({ kind: 'series', series: [{ labels: {}, value }] });
const perSite = (values: Record<string, number | null>): Answer => ({
  kind: 'series',
  series: Object.entries(values).map(([site, value]) => ({ labels: { site }, value })),
});
const everySite = (value: number, except: Record<string, number | null> = {}) =>
  perSite({ ...Object.fromEntries(SITES.map((site) => [site, value])), ...except });

function judge(
  file: Record<string, unknown>,
  answer: Answer | undefined,
  coverage: Coverage | { failed: string } = full,
  confirmedSites = SITES,
) {
  const times = { scheduledAt: 1_000, takenAt: 1_001 };
  return judgeSample({ metric: metric(file), ...times, confirmedSites, coverage, ...(answer ? { answer } : {}) });
}
const verdict = (...args: Parameters<typeof judge>) => {
  const { outcome, reason } = judge(...args);
  return reason ? `${outcome} ${reason.code}` : outcome;
};

describe('judgeSample with one series', () => {
  const series = (list: AnswerSeries[]): Answer => ({ kind: 'series', series: list });

  it.each<[string, Answer | undefined, string]>([
    ['a good value', one(0.001), 'pass'],
    ['a bad value', one(0.06), 'fail GATE_FAILED'],
    ['a value on the limit', one(0.01), 'fail GATE_FAILED'],
    ['[peers: Kayenta, missing data is Pass] nothing', series([]), 'error GATE_NO_DATA'],
    ['[peers: Argo, NaN meets no condition] NaN', one(NaN), 'error GATE_NOT_A_NUMBER'],
    ['+Inf', one(Infinity), 'error GATE_NOT_A_NUMBER'],
    ['-Inf, which is below every limit', one(-Infinity), 'error GATE_NOT_A_NUMBER'],
    ['null, which is 0 in arithmetic', one(null), 'error GATE_NOT_A_NUMBER'],
    [
      '[peers: Flagger, the last of several series wins] two series, both good',
      series([
        { labels: { site: 'a' }, value: 0 },
        { labels: { site: 'b' }, value: 0 },
      ]),
      'error GATE_SEVERAL_SERIES',
    ],
    ['a query that failed', { kind: 'failed', detail: 'HTTP status 500' }, 'error GATE_QUERY_FAILED'],
    ['a query that was never asked', undefined, 'error GATE_QUERY_FAILED'],
  ])('[A31] [B6] %s', (_, answer, expected) => {
    expect(verdict({}, answer)).toBe(expected);
  });

  it.each([
    ['result < 0.01', 'result > 0.05', 0.001, 'pass'],
    ['result < 0.01', 'result > 0.05', 0.06, 'fail GATE_FAILED'],
    ['result < 0.01', 'result > 0.05', 0.03, 'inconclusive GATE_BETWEEN'],
    ['result < 0.05', 'result > 0.01', 0.03, 'fail GATE_FAILED'],
    ['int(result) < 5', undefined, 1e300, 'error GATE_EVALUATOR_FAILED'],
    ['result < 1.0', 'int(result) > 5', -1e300, 'error GATE_EVALUATOR_FAILED'],
    ['result <', undefined, 0, 'error GATE_EVALUATOR_FAILED'],
    ['result < 1.0', 'resutl > 5.0', 0, 'error GATE_EVALUATOR_FAILED'],
    ['true', undefined, 0, 'error GATE_EVALUATOR_FAILED'],
  ])('[A31] pass: %s, fail: %s, value %d: %s', (pass, fail, value, expected) => {
    expect(verdict({ pass, ...(fail ? { fail } : {}) }, one(value))).toBe(expected);
  });

  it('keeps only numbers that JSON can carry', () => {
    expect(judge({}, one(NaN)).values).toEqual([]);
    expect(judge({}, one(0.06))).toEqual({
      ...{ metric: 'error-ratio', scheduledAt: 1_000, takenAt: 1_001, outcome: 'fail' },
      reason: { code: 'GATE_FAILED', detail: '0.06 does not meet `pass: result < 0.01`' },
      ...{ values: [{ value: 0.06 }], covered: 10, confirmed: 10 },
    });
  });
});

describe('judgeSample and coverage', () => {
  const some = (shown: number, covered: number): Coverage => ({
    ...{ shown: SITES.slice(0, shown), covered: SITES.slice(0, covered) },
  });

  it('[A31] [B1] too few covered sites are inconclusive, be the value good, bad or absent', () => {
    for (const answer of [one(0), one(1), undefined]) {
      expect(verdict({}, answer, some(8, 8))).toBe('inconclusive GATE_COVERAGE');
      expect(verdict({}, answer, some(10, 8))).toBe('inconclusive SAMPLES_PREDATE_SWITCH');
    }
    expect(verdict({}, one(0), some(9, 9))).toBe('pass');
  });

  it('[peers: hawkBit, a group with no targets succeeds] no site at all never passes', () => {
    expect(verdict({ coverage: '0%' }, one(0), some(0, 0))).toBe('inconclusive GATE_COVERAGE');
    expect(verdict({ coverage: '0%' }, one(0), some(0, 0), [])).toBe('inconclusive NO_CONFIRMED_SITE');
  });

  it('[B6] not to know the coverage is an error, which heals', () => {
    expect(verdict({}, one(0), { failed: 'HTTP status 503' })).toBe('error GATE_QUERY_FAILED');
  });

  it('tells how many were covered', () => {
    expect(judge({}, one(0), some(10, 9))).toMatchObject({ covered: 9, confirmed: 10 });
  });
});

describe('judgeSample with a series per site', () => {
  const file = { series: 'per-site' };

  it.each<[string, Answer, string]>([
    ['every value good', everySite(0), 'pass'],
    ['one bad value among good ones', everySite(0, { c: 0.5 }), 'fail GATE_FAILED'],
    ['one NaN among good ones', everySite(0, { c: NaN }), 'error GATE_NOT_A_NUMBER'],
    ['a bad value is not excused by a NaN elsewhere', everySite(0, { c: NaN, d: 0.5 }), 'fail GATE_FAILED'],
    ['no series', perSite({}), 'error GATE_NO_DATA'],
    ['only series of other sites', perSite({ x: 0, y: 0 }), 'error GATE_NO_DATA'],
    ['a series without the label', { kind: 'series', series: [{ labels: {}, value: 0 }] }, 'error GATE_NO_DATA'],
    ['a bad value of a site that is not covered', everySite(0, { x: 0.5 }), 'pass'],
  ])('[A31] %s', (_, answer, expected) => {
    expect(verdict(file, answer)).toBe(expected);
  });

  it('[B6] a series that belongs to no site spoils the answer, however good the others are', () => {
    const good = everySite(0) as Extract<Answer, { kind: 'series' }>;
    expect(verdict(file, { kind: 'series', series: [...good.series, { labels: {}, value: 0.5 }] })).toBe(
      'error GATE_NO_DATA',
    );
  });

  it('[peers: Flagger, the last of several series wins] two series for one site are an error', () => {
    const good = everySite(0) as Extract<Answer, { kind: 'series' }>;
    const twice: Answer = { kind: 'series', series: [...good.series, { labels: { site: 'a', code: '5' }, value: 0 }] };
    expect(verdict(file, twice)).toBe('error GATE_SEVERAL_SERIES');
  });

  it('[B6] a covered site without a series is not covered: one of ten may be missing, two may not', () => {
    const without = (...gone: string[]) =>
      perSite(Object.fromEntries(SITES.filter((site) => !gone.includes(site)).map((site) => [site, 0])));
    expect(judge(file, without('a'))).toMatchObject({ outcome: 'pass', covered: 9 });
    expect(verdict(file, without('a', 'b'))).toBe('inconclusive GATE_COVERAGE');
  });

  it('with a fail condition too, one value in between makes the sample inconclusive', () => {
    const both = { ...file, fail: 'result > 0.05' };
    expect(verdict(both, everySite(0, { c: 0.03 }))).toBe('inconclusive GATE_BETWEEN');
    expect(verdict(both, everySite(0, { c: 0.03, d: 0.06 }))).toBe('fail GATE_FAILED');
  });

  it('names the sites that failed', () => {
    const reason = judge(file, everySite(0, { c: 0.5, d: 0.7 })).reason?.detail;
    expect(reason).toBe('0.5 does not meet `pass: result < 0.01` (2 of 10 sites: c, d)');
  });
});
