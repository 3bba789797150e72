/** The samples of one wave, taken so far: what is due next, and what goes back to the workflow. */
import { metricEnded } from '../../policies/gate/judge.js';
import { dueSampleTime, nextSampleTime, type Soak } from '../../policies/gate/schedule.js';
import type { Metric } from '../../policies/model/strategy.js';
import type { Sample } from '../../policies/model/verdict.js';

export interface DueSample {
  metric: Metric;
  scheduledAt: number;
}

export interface SampleBook {
  /** By scheduled time. */
  all(): Sample[];
  add(samples: Sample[]): void;
  /** At most one for each metric, the earliest that is missing. */
  due(now: number): DueSample[];
  /** When to look again, epoch ms: the next sample of any metric, or the end of the soak. */
  next(now: number): number;
  /** `all()` with values cut short: the registry has them, and a workflow's history must not grow with the fleet. */
  forWorkflow(): Sample[];
}

/** Values of a sample that go to the workflow, and of how many samples of a metric any go at all. */
const VALUES_KEPT = 20;
const SAMPLES_WITH_VALUES = 20;

export function createSampleBook(
  wave: { metrics: Metric[] } & Soak,
  stored: (Sample & { stage?: string; wave?: number })[],
): SampleBook {
  const names = new Set(wave.metrics.map((metric) => metric.name));
  const samples = new Map<string, Sample>();
  const add = (more: Sample[]) => {
    for (const sample of more) samples.set(`${sample.metric} ${sample.scheduledAt}`, sample);
  };
  add(
    stored
      .filter((one) => names.has(one.metric) && one.scheduledAt >= wave.from)
      .map(({ stage: _stage, wave: _wave, ...sample }) => sample),
  );
  const all = () => [...samples.values()].sort((a, b) => a.scheduledAt - b.scheduledAt);
  const open = () => wave.metrics.filter((metric) => !metricEnded(metric, all()));

  return {
    all,
    add,
    due(now) {
      return open().flatMap((metric) => {
        const last = all().findLast((sample) => sample.metric === metric.name)?.scheduledAt;
        const scheduledAt = dueSampleTime(metric, wave, now, last);
        return scheduledAt === undefined ? [] : [{ metric, scheduledAt }];
      });
    },
    next(now) {
      const times = open().map((metric) => nextSampleTime(metric, wave, now) ?? wave.until);
      return Math.min(wave.until, ...times);
    },
    forWorkflow() {
      const rest = new Map<string, number>();
      const newestFirst = all().reverse();
      return newestFirst
        .map((sample) => {
          const before = rest.get(sample.metric) ?? 0;
          rest.set(sample.metric, before + 1);
          return { ...sample, values: before < SAMPLES_WITH_VALUES ? sample.values.slice(0, VALUES_KEPT) : [] };
        })
        .reverse();
    },
  };
}
