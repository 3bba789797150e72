/**
 * The verdict of a gate: a pure function of its samples (design §4.5, §6). Runs in workflows; must not import
 * `condition.ts` or `sample.ts`, which bring in the CEL library.
 *
 * Argo's counters: a failed, inconclusive or passed sample uses up `count`, an error does not and is forgotten at the
 * next measured sample; limits are exceeded, not reached. All samples are judged, however late they arrive: a metric
 * that ended as inconclusive still fails if more of its samples turn out to have failed.
 */
import type { Metric } from '../model/strategy.js';
import type { GateVerdict, MetricVerdict, Reason, Sample, VerdictWord } from '../model/verdict.js';
import { timesBetween, type Soak } from './schedule.js';

/** `soakOver`: sampling went on to `soak.until`. Never true for a gate that was cut off or is paused. */
export interface Progress {
  soakOver: boolean;
  soak: Soak;
}

interface Ending {
  verdict: VerdictWord;
  reason: Reason;
}
interface Tally {
  samples: Sample[];
  counts: MetricVerdict['counts'];
  /** Errors in a row: the most there ever were, and those that nothing measured follows. */
  mostErrors: number;
  lastErrors: number;
}

/** Fails if any metric fails, else is inconclusive if any is, else passes. A gate without a metric is inconclusive. */
export function judgeGate(metrics: readonly Metric[], samples: readonly Sample[], progress: Progress): GateVerdict {
  const judged = metrics.map((metric) => judgeMetric(metric, samples, progress));
  return { ...conjunction(metrics, judged), metrics: judged };
}

/** `samples` may be of any metrics, in any order, and hold repetitions. */
export function judgeMetric(metric: Metric, samples: readonly Sample[], progress: Progress): MetricVerdict {
  const tally = tallyOf(metric, samples);
  const { verdict, reason } = endingOf(metric, tally) ?? endingAtSoak(metric, tally, progress);
  const lastValues = tally.samples.findLast((sample) => sample.values.length > 0)?.values ?? [];
  return { metric: metric.name, verdict, reason, counts: tally.counts, lastValues };
}

/** True if no further sample of this metric is needed: a limit is exceeded, or `count` is reached. */
export function metricEnded(metric: Metric, samples: readonly Sample[]): boolean {
  return endingOf(metric, tallyOf(metric, samples)) !== undefined;
}

/** True if sampling can stop early: a metric ended without passing, or all have ended. */
export function decisive(metrics: readonly Metric[], samples: readonly Sample[]): boolean {
  const endings = metrics.map((metric) => endingOf(metric, tallyOf(metric, samples)));
  return endings.some((ending) => ending && ending.verdict !== 'pass') || endings.every((ending) => ending);
}

function conjunction(metrics: readonly Metric[], judged: MetricVerdict[]): Ending {
  if (judged.length === 0) return inconclusive('GATE_NO_DATA', 'the gate has no metric: nothing was measured');
  if (new Set(metrics.map((metric) => metric.name)).size < metrics.length)
    return inconclusive('GATE_NO_DATA', 'two metrics of the gate have one name: their samples cannot be told apart');
  const worst =
    judged.find((one) => one.verdict === 'fail') ?? judged.find((one) => one.verdict === 'inconclusive') ?? undefined;
  if (!worst) return { verdict: 'pass', reason: { code: 'GATE_PASSED', detail: `${judged.length} of them` } };
  return { verdict: worst.verdict, reason: { ...worst.reason, detail: `${worst.metric}: ${worst.reason.detail}` } };
}

/** What ends a metric before its soak is over. */
function endingOf(metric: Metric, tally: Tally): Ending | undefined {
  const { counts } = tally;
  if (counts.fail > metric.failureLimit)
    return limitEnding(tally, 'fail', `${counts.fail} samples failed, ${metric.failureLimit} may`);
  if (counts.inconclusive > metric.inconclusiveLimit) {
    const told = `${counts.inconclusive} samples were inconclusive, ${metric.inconclusiveLimit} may be`;
    return limitEnding(tally, 'inconclusive', told);
  }
  if (tally.mostErrors > metric.consecutiveErrorLimit) {
    const told = `${tally.mostErrors} errors in a row, ${metric.consecutiveErrorLimit} may be`;
    return limitEnding(tally, 'error', told);
  }
  if (metric.count !== undefined && measured(counts) >= metric.count) return passIfAnyPassed(tally);
  return undefined;
}

/** Without `count` the soak decides, and only if it was sampled to its end. */
function endingAtSoak(metric: Metric, tally: Tally, { soakOver, soak }: Progress): Ending {
  const { counts } = tally;
  const last = tally.samples.at(-1);
  if (!last) return inconclusive('GATE_STOPPED_SHORT', 'no sample was taken');
  if (metric.count !== undefined)
    return inconclusive('GATE_STOPPED_SHORT', `${measured(counts)} samples measured, ${metric.count} are needed`);
  if (!soakOver)
    return inconclusive('GATE_STOPPED_SHORT', `${measured(counts)} samples measured, the soak is not over`);
  const before = timesBetween(metric, soak.from + metric.window, tally.samples[0]?.scheduledAt ?? soak.until);
  if (before > metric.consecutiveErrorLimit) {
    const told = `the first ${before} sample times of the soak were not measured, ${metric.consecutiveErrorLimit} may be`;
    return inconclusive('GATE_STOPPED_SHORT', told);
  }
  const unmeasured = tally.lastErrors + timesBetween(metric, last.scheduledAt, soak.until);
  if (unmeasured > metric.consecutiveErrorLimit) {
    const told = `the last ${unmeasured} sample times of the soak were not measured, ${metric.consecutiveErrorLimit} may be`;
    return inconclusive(tally.lastErrors > 0 ? (last.reason?.code ?? 'GATE_NO_DATA') : 'GATE_STOPPED_SHORT', told);
  }
  return passIfAnyPassed(tally);
}

function passIfAnyPassed(tally: Tally): Ending {
  const { counts } = tally;
  if (counts.pass === 0) {
    const last = tally.samples.findLast((sample) => sample.outcome !== 'fail');
    return inconclusive(last?.reason?.code ?? 'GATE_STOPPED_SHORT', `no sample passed; ${last?.reason?.detail ?? ''}`);
  }
  const told = `${counts.pass} samples passed, ${counts.fail} failed, ${counts.inconclusive} inconclusive, ${counts.error} errors`;
  return { verdict: 'pass', reason: { code: 'GATE_PASSED', detail: told } };
}

/** A limit was exceeded: the code and words of the last sample that did it, after the numbers. */
function limitEnding(tally: Tally, outcome: 'fail' | 'inconclusive' | 'error', told: string): Ending {
  const last = tally.samples.findLast((sample) => sample.outcome === outcome);
  const code = last?.reason?.code ?? (outcome === 'fail' ? 'GATE_FAILED' : 'GATE_NO_DATA');
  const detail = last?.reason ? `${told}; the last: ${last.reason.detail}` : told;
  return { verdict: outcome === 'fail' ? 'fail' : 'inconclusive', reason: { code, detail } };
}

/** A time that nobody sampled is no better than one that ended in an error. */
function missedBefore(metric: Metric, previous: Sample | undefined, sample: Sample): number {
  return previous ? Math.max(0, timesBetween(metric, previous.scheduledAt, sample.scheduledAt) - 1) : 0;
}

function tallyOf(metric: Metric, samples: readonly Sample[]): Tally {
  const tally: Tally = {
    samples: ownSamples(metric, samples),
    counts: { pass: 0, fail: 0, inconclusive: 0, error: 0 },
    mostErrors: 0,
    lastErrors: 0,
  };
  let previous: Sample | undefined;
  for (const sample of tally.samples) {
    // An outcome that is not one of the four came from damaged records: no pass, and no healing of errors either.
    const outcome = WORST_FIRST.includes(sample.outcome) ? sample.outcome : 'error';
    tally.lastErrors += missedBefore(metric, previous, sample);
    tally.mostErrors = Math.max(tally.mostErrors, tally.lastErrors);
    previous = sample;
    tally.counts[outcome] += 1;
    tally.lastErrors = outcome === 'error' ? tally.lastErrors + 1 : 0;
    tally.mostErrors = Math.max(tally.mostErrors, tally.lastErrors);
  }
  return tally;
}

const WORST_FIRST = ['fail', 'inconclusive', 'error', 'pass'] as const;

/** This metric's samples by time, one for each time. Of two that differ the worse one counts, whichever came first. */
function ownSamples(metric: Metric, samples: readonly Sample[]): Sample[] {
  const byTime = new Map<number, Sample>();
  for (const sample of samples.filter((one) => one.metric === metric.name)) {
    const rival = byTime.get(sample.scheduledAt);
    if (!rival || isWorse(sample, rival)) byTime.set(sample.scheduledAt, sample);
  }
  return [...byTime.values()].sort((a, b) => a.scheduledAt - b.scheduledAt);
}

function isWorse(sample: Sample, rival: Sample): boolean {
  const [rank, rivalRank] = [WORST_FIRST.indexOf(sample.outcome), WORST_FIRST.indexOf(rival.outcome)];
  return rank < rivalRank || (rank === rivalRank && sample.takenAt < rival.takenAt);
}

function measured(counts: MetricVerdict['counts']): number {
  return counts.pass + counts.fail + counts.inconclusive;
}

function inconclusive(code: Reason['code'], detail: string): Ending {
  return { verdict: 'inconclusive', reason: { code, detail } };
}
