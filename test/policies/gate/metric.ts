/** Plain metrics and samples for the gate's tests. */
import { Metric } from '../../../policies/model/strategy.js';
import type { Sample } from '../../../policies/model/verdict.js';
import type { ReasonCode } from '../../../policies/model/reasons.js';

/** A metric as a file states it, with every default filled by the schema. */
export function metric(file: Record<string, unknown> = {}): Metric {
  return Metric.parse({
    name: 'error-ratio',
    query: 'sum(errors{site=~"$sites"})',
    pass: 'result < 0.01',
    ...file,
  });
}

export type Word = Sample['outcome'];
const CODES: Record<Word, ReasonCode | undefined> = {
  pass: undefined,
  fail: 'GATE_FAILED',
  inconclusive: 'GATE_COVERAGE',
  error: 'GATE_NO_DATA',
};

/** Samples of these outcomes, one an interval, the first one window after time 0. */
export function samples(of: Metric, words: Word[]): Sample[] {
  return words.map((outcome, index) => {
    const at = of.window + index * of.interval;
    const code = CODES[outcome];
    return {
      ...{
        metric: of.name,
        scheduledAt: at,
        takenAt: at,
        outcome,
        values: [{ value: index }],
        covered: 1,
        confirmed: 1,
      },
      ...(code ? { reason: { code, detail: `sample ${index}` } } : {}),
    };
  });
}
