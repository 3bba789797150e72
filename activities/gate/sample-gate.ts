/**
 * One heartbeating activity for each wave: samples the gate's metrics through the soak (design §4.5). Returns facts;
 * `policies/gate/judge.ts` gives the verdict. Prometheus may be down for its whole life: then every sample is an error.
 */
import { Context } from '@temporalio/activity';
import { decisive } from '../../policies/gate/judge.js';
import type { Metric } from '../../policies/model/strategy.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { Registry } from '../../records/registry/registry.js';
import { createMeter, type Meter } from './meter.js';
import { createPrometheus } from './prometheus.js';
import { createSampleBook, type SampleBook } from './sample-book.js';

/**
 * Plain JSON; times in epoch ms by the control worker's clock. `from`: when the wave's last result arrived.
 * `confirmedSites`: all confirmed sites of the stage, those of earlier waves too.
 */
export interface SampleGateInput {
  firstRunId: string;
  label: string;
  stream: string;
  digest: string;
  stage: string;
  wave: number;
  metrics: Metric[];
  confirmedSites: string[];
  from: number;
  until: number;
}

/**
 * All samples of the wave by scheduled time, those of earlier attempts and calls too. `soakOver`: sampling went on to
 * `until`; else the samples are decisive.
 */
export interface SampleGateOutput {
  samples: Sample[];
  soakOver: boolean;
}

export interface GateActivityOptions {
  /** Absent: every sample is an error that says so. */
  prometheusUrl: string | undefined;
  registry: Pick<Registry, 'samples' | 'putSamples'>;
  now: () => number;
  /** Rejects when the activity is cancelled. Default: that of the activity's context. */
  sleep?: (ms: number) => Promise<void>;
  /** Patience for one query, ms. */
  queryTimeout?: number;
}

export interface GateActivities {
  sampleGate: (input: SampleGateInput) => Promise<SampleGateOutput>;
}

/** What a heartbeat tells of the progress. */
export interface SamplingProgress {
  taken: number;
  last: Record<string, string>;
  next: number;
  until: number;
}

/** Far below the heartbeat timeout of 10 s, and not tied to samples: a query may take as long. */
const HEARTBEAT_EVERY = 2_000;
/** Sleeps are cut up, so that a clock that jumps cannot oversleep the soak. */
const LONGEST_SLEEP = 30_000;

export function createGateActivities(options: GateActivityOptions): GateActivities {
  const { prometheusUrl, queryTimeout } = options;
  const prometheus =
    prometheusUrl === undefined
      ? undefined
      : createPrometheus({ url: prometheusUrl, ...(queryTimeout === undefined ? {} : { timeout: queryTimeout }) });
  return {
    async sampleGate(input) {
      const context = Context.current();
      const meter = createMeter({ prometheus, now: options.now, signal: context.cancellationSignal });
      const book = createSampleBook(input, await options.registry.samples(input.firstRunId, input.stage, input.wave));
      const sleep = options.sleep ?? ((ms: number) => context.sleep(ms));
      const beat = () => context.heartbeat(progressOf(input, book, options.now()));
      const beating = setInterval(beat, HEARTBEAT_EVERY);
      try {
        beat();
        return await sampleThroughSoak(input, { ...options, book, meter, sleep, beat });
      } finally {
        clearInterval(beating);
      }
    },
  };
}

interface Parts extends Pick<GateActivityOptions, 'registry' | 'now'> {
  book: SampleBook;
  meter: Meter;
  sleep: (ms: number) => Promise<void>;
  beat: () => void;
}

/** Ends when the samples decide or the soak is over; the soak's last time is taken even if it comes late. */
async function sampleThroughSoak(input: SampleGateInput, parts: Parts): Promise<SampleGateOutput> {
  const { book, meter, registry } = parts;
  for (;;) {
    if (decisive(input.metrics, book.all())) return { samples: book.forWorkflow(), soakOver: false };
    const now = parts.now();
    const due = book.due(now);
    if (due.length > 0) {
      const taken = await meter.take(input, due);
      await registry.putSamples(input.firstRunId, input.stage, input.wave, taken);
      book.add(taken);
      parts.beat();
    } else if (now >= input.until) {
      return { samples: book.forWorkflow(), soakOver: true };
    } else {
      await parts.sleep(Math.min(LONGEST_SLEEP, book.next(now) - now));
    }
  }
}

function progressOf(input: SampleGateInput, book: SampleBook, now: number): SamplingProgress {
  const last = book.all().map((sample): [string, string] => [sample.metric, sample.reason?.code ?? sample.outcome]);
  return { taken: last.length, last: Object.fromEntries(last), next: book.next(now), until: input.until };
}
