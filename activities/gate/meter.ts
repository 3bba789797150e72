/** Takes samples: asks Prometheus which confirmed sites run the release, then the gate's query for those (design §6). */
import {
  coverageOf,
  coverageShortfall,
  releaseQuery,
  type Coverage,
  type ShownRelease,
} from '../../policies/gate/coverage.js';
import { fillQuery } from '../../policies/gate/query.js';
import { judgeSample, type Answer } from '../../policies/gate/sample.js';
import type { Metric } from '../../policies/model/strategy.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { Prometheus } from './prometheus.js';
import type { DueSample } from './sample-book.js';

export interface MeteredWave {
  label: string;
  stream: string;
  digest: string;
  stage: string;
  confirmedSites: string[];
}

export interface Meter {
  /** One sample for each that is due. Rejects only when the signal is aborted: every other fault is in the samples. */
  take(wave: MeteredWave, due: DueSample[]): Promise<Sample[]>;
}

type CoverageAnswer = Coverage | { failed: string };

export function createMeter(parts: {
  prometheus: Prometheus | undefined;
  now: () => number;
  signal: AbortSignal;
}): Meter {
  const ask: Ask = async (query, at) =>
    parts.prometheus?.ask(query, at, parts.signal) ?? {
      kind: 'failed',
      detail: 'no Prometheus is configured: set `prometheus:` in foothold.yaml',
    };
  return {
    async take(wave, due) {
      const shown = new Map<number, Promise<ShownAnswer>>();
      const shownAt = (at: number) => {
        const known = shown.get(at) ?? askShown(ask, wave, at);
        shown.set(at, known);
        return known;
      };
      return Promise.all(due.map((one) => takeOne(ask, shownAt, wave, one, parts.now)));
    },
  };
}

type Ask = (query: string, at: number) => Promise<Answer>;
type ShownAnswer = ShownRelease[] | { failed: string };

async function takeOne(
  ask: Ask,
  shownAt: (at: number) => Promise<ShownAnswer>,
  wave: MeteredWave,
  { metric, scheduledAt }: DueSample,
  now: () => number,
): Promise<Sample> {
  const coverage = await measureCoverage(shownAt, wave, metric, scheduledAt);
  const answer = await askMetric(ask, wave, metric, scheduledAt, coverage);
  const { confirmedSites } = wave;
  return judgeSample({ metric, scheduledAt, takenAt: now(), confirmedSites, coverage, ...(answer ? { answer } : {}) });
}

async function measureCoverage(
  shownAt: (at: number) => Promise<ShownAnswer>,
  wave: MeteredWave,
  { window }: Metric,
  at: number,
): Promise<CoverageAnswer> {
  const { confirmedSites, digest } = wave;
  if (confirmedSites.length === 0) return { shown: [], covered: [] };
  const [now, before] = await Promise.all([shownAt(at), shownAt(at - window)]);
  if ('failed' in now) return now;
  if ('failed' in before) return before;
  return coverageOf({ confirmedSites, digest, at, window, now, before });
}

/** Undefined if too few sites are covered: the figure would not be about the release. */
async function askMetric(
  ask: Ask,
  wave: MeteredWave,
  metric: Metric,
  at: number,
  coverage: CoverageAnswer,
): Promise<Answer | undefined> {
  if ('failed' in coverage || coverageShortfall(metric, wave.confirmedSites, coverage)) return undefined;
  if (metric.source !== 'prometheus')
    return { kind: 'failed', detail: `expected \`source: prometheus\`, got \`${metric.source}\`` };
  const facts = { sites: coverage.covered, release: wave.digest, rollout: wave.label, stage: wave.stage };
  return ask(fillQuery(metric.query, { ...facts, window: metric.window }), at);
}

async function askShown(ask: Ask, wave: MeteredWave, at: number): Promise<ShownAnswer> {
  const answer = await ask(releaseQuery(wave.confirmedSites, wave.stream), at);
  if (answer.kind === 'failed') return { failed: answer.detail };
  return answer.series.flatMap(({ labels, value }) => {
    const { site, digest } = labels;
    return site && digest && value !== null ? [{ site, digest, scrapedAt: value * 1000 }] : [];
  });
}
