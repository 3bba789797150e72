/**
 * Judges one measurement of one metric (design §6). Everything that is not a measured value of the new release is an
 * `error` or `inconclusive`; nothing but a condition that holds makes a sample pass.
 */
import type { Metric } from '../model/strategy.js';
import type { Reason, Sample, SampleValue } from '../model/verdict.js';
import { compileCondition, type Condition } from './condition.js';
import { coverageShortfall, someOf, type Coverage } from './coverage.js';

/** One series of an answer. `value` is null if the series holds none that can be read; NaN and ±Inf are kept. */
export interface AnswerSeries {
  labels: Record<string, string>;
  value: number | null;
}
export type Answer = { kind: 'series'; series: AnswerSeries[] } | { kind: 'failed'; detail: string };

/** `answer` is absent if it was never asked for because too few sites are covered. Times in epoch ms. */
export interface Measurement {
  metric: Metric;
  scheduledAt: number;
  takenAt: number;
  confirmedSites: readonly string[];
  coverage: Coverage | { failed: string };
  answer?: Answer;
}

type Judged = Pick<Sample, 'outcome' | 'values'> & { reason?: Reason; covered?: number };

/**
 * Judges coverage before values: a figure that too few sites are in says nothing about the release, good or bad.
 * `values` of the sample holds finite numbers only (JSON has no others); `reason` tells of the rest.
 */
export function judgeSample(measurement: Measurement): Sample {
  const { metric, scheduledAt, takenAt, confirmedSites, coverage } = measurement;
  const judged = judge(measurement);
  const covered = judged.covered ?? ('covered' in coverage ? coverage.covered.length : 0);
  return {
    ...{ metric: metric.name, scheduledAt, takenAt, outcome: judged.outcome },
    ...(judged.reason ? { reason: judged.reason } : {}),
    ...{ values: judged.values, covered, confirmed: new Set(confirmedSites).size },
  };
}

function judge({ metric, confirmedSites, coverage, answer }: Measurement): Judged {
  if ('failed' in coverage) return error('GATE_QUERY_FAILED', `which sites run the release: ${coverage.failed}`);
  const shortfall = coverageShortfall(metric, confirmedSites, coverage);
  if (shortfall) return { outcome: 'inconclusive', reason: shortfall, values: [] };
  if (answer?.kind !== 'series') return error('GATE_QUERY_FAILED', answer?.detail ?? 'the query was not asked');
  if (answer.series.length === 0) return error('GATE_NO_DATA', 'the query returned no series');
  return metric.series === 'one'
    ? judgeOne(metric, answer.series)
    : judgePerSite(metric, answer.series, confirmedSites, coverage);
}

function judgeOne(metric: Metric, series: AnswerSeries[]): Judged {
  const [only] = series;
  if (only === undefined || series.length > 1)
    return error('GATE_SEVERAL_SERIES', `expected one series, got ${series.length}`);
  return judgeValues(metric, [{ value: only.value }]);
}

/**
 * Values of sites that are not covered are no samples of the new release and are left out, good or bad. A covered site
 * without a series is in no figure: it is not covered after all, and coverage is judged again without it.
 */
function judgePerSite(
  metric: Metric,
  series: AnswerSeries[],
  confirmedSites: readonly string[],
  coverage: Coverage,
): Judged {
  if (series.some((one) => !one.labels['site']))
    return error('GATE_NO_DATA', 'expected one series a site, got a series without the label `site`');
  const wanted = new Set(coverage.covered);
  const values = series
    .map((one) => ({ site: one.labels['site'] ?? '', value: one.value }))
    .filter((one) => wanted.has(one.site));
  const covered = [...new Set(values.map((one) => one.site))];
  if (covered.length < values.length)
    return error('GATE_SEVERAL_SERIES', `expected one series a site, got ${values.length} for ${covered.length} sites`);
  if (covered.length === 0) return error('GATE_NO_DATA', 'the query returned no series of a covered site');
  const shortfall = coverageShortfall(metric, confirmedSites, { shown: covered, covered });
  if (shortfall) return { outcome: 'inconclusive', reason: shortfall, values: finite(values), covered: covered.length };
  return { ...judgeValues(metric, values), covered: covered.length };
}

/** Worst first: a site that was measured bad is not excused by another one that could not be measured. */
function judgeValues(metric: Metric, values: { site?: string; value: number | null }[]): Judged {
  const judged = values.map((one) => ({ site: one.site, ...judgeValue(metric, one.value) }));
  for (const outcome of ['fail', 'error', 'inconclusive'] as const) {
    const these = judged.filter((one) => one.outcome === outcome);
    const reason = these[0]?.reason;
    if (!reason) continue;
    const where = these[0]?.site === undefined ? '' : ` (${these.length} of ${values.length} sites: ${sitesOf(these)})`;
    return { outcome, reason: { code: reason.code, detail: reason.detail + where }, values: finite(values) };
  }
  return { outcome: 'pass', values: finite(values) };
}

type JudgedValue = { outcome: 'pass'; reason?: never } | { outcome: 'fail' | 'inconclusive' | 'error'; reason: Reason };

/** Both conditions true contradict each other: the failing one wins. */
function judgeValue(metric: Metric, value: number | null): JudgedValue {
  if (value === null || !Number.isFinite(value))
    return { outcome: 'error', reason: { code: 'GATE_NOT_A_NUMBER', detail: `the value is ${value ?? 'null'}` } };
  const conditions = conditionsOf(metric);
  if ('refused' in conditions) return evaluatorFailed(conditions.refused);
  const pass = conditions.pass.evaluate(value);
  const fail = conditions.fail?.evaluate(value);
  if (pass.kind === 'error') return evaluatorFailed(pass.detail);
  if (fail?.kind === 'error') return evaluatorFailed(fail.detail);
  if (fail?.holds) return failed(`${value} meets \`fail: ${metric.fail ?? ''}\``);
  if (pass.holds) return { outcome: 'pass' };
  if (!fail) return failed(`${value} does not meet \`pass: ${metric.pass}\``);
  return { outcome: 'inconclusive', reason: { code: 'GATE_BETWEEN', detail: `${value} meets neither condition` } };
}

type Conditions = { pass: Condition; fail?: Condition } | { refused: string };
const compiled = new WeakMap<Metric, Conditions>();

function conditionsOf(metric: Metric): Conditions {
  const known = compiled.get(metric) ?? compileBoth(metric);
  compiled.set(metric, known);
  return known;
}

function compileBoth(metric: Metric): Conditions {
  try {
    const pass = compileCondition(metric.pass);
    return metric.fail === undefined ? { pass } : { pass, fail: compileCondition(metric.fail) };
  } catch (refusal) {
    return { refused: refusal instanceof Error ? refusal.message : String(refusal) };
  }
}

function finite(values: { site?: string; value: number | null }[]): SampleValue[] {
  return values.flatMap(({ site, value }) => {
    if (value === null || !Number.isFinite(value)) return [];
    return [site === undefined ? { value } : { site, value }];
  });
}

function sitesOf(values: { site: string | undefined }[]): string {
  return someOf(values.map((one) => one.site ?? ''));
}

function failed(detail: string): JudgedValue {
  return { outcome: 'fail', reason: { code: 'GATE_FAILED', detail } };
}

function evaluatorFailed(detail: string): JudgedValue {
  return { outcome: 'error', reason: { code: 'GATE_EVALUATOR_FAILED', detail } };
}

function error(code: Reason['code'], detail: string): Judged {
  return { outcome: 'error', reason: { code, detail }, values: [] };
}
