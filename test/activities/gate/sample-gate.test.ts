import { afterEach, describe, expect, it } from 'vitest';
import { createGateActivities, type SampleGateInput } from '../../../activities/gate/sample-gate.js';
import { judgeGate } from '../../../policies/gate/judge.js';
import type { Sample } from '../../../policies/model/verdict.js';
import { metric } from '../../policies/gate/metric.js';
import { activityRun, clock, listen, sampleStore, type Listener } from './stand.js';

const NEW = `sha256:${'a'.repeat(64)}`;
const START = 1_700_000_000_000;
const SITES = ['s0', 's1'];

/** An address that speaks Prometheus's protocol: `live` since when, and the figure, both by the time asked about. */
interface Told {
  liveSince: number;
  value: (at: number) => string | undefined;
  queries: { query: string; at: number }[];
  /** Answers HTTP 500 to what is asked about this time. */
  failsAt?: number;
}

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

async function told(value: Told['value'] = () => '0'): Promise<{ url: string; told: Told }> {
  const state: Told = { liveSince: START - 1_000, value, queries: [] };
  const listener = await listen((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const form = new URLSearchParams(body);
      const [query, at] = [form.get('query') ?? '', Number(form.get('time')) * 1000];
      state.queries.push({ query, at });
      if (at === state.failsAt) response.statusCode = 500;
      const result = query.includes('foothold_release_info') ? release(state, at) : figure(state, at);
      response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }));
    });
  });
  open.push(listener);
  return { url: listener.url, told: state };
}
const release = (state: Told, at: number) =>
  at < state.liveSince
    ? []
    : SITES.map((site) => ({ metric: { site, digest: NEW }, value: [at / 1000, `${at / 1000}`] }));
const figure = (state: Told, at: number) => {
  const value = state.value(at);
  return value === undefined ? [] : [{ metric: {}, value: [at / 1000, value] }];
};

const input = (changes: Partial<SampleGateInput> = {}): SampleGateInput => ({
  ...{ firstRunId: 'run-1', label: 'edge-proxy-2.4.0-1', stream: 'edge-proxy', digest: NEW, stage: 'canary', wave: 0 },
  ...{ metrics: [metric({ window: '5s', interval: '10s' })], confirmedSites: SITES },
  ...{ from: START, until: START + 60_000 },
  ...changes,
});

async function run(url: string | undefined, wave: SampleGateInput, registry = sampleStore(), from = START) {
  const time = clock(from);
  const activity = activityRun();
  const { sampleGate } = createGateActivities({ prometheusUrl: url, registry, ...time, queryTimeout: 1_000 });
  const { samples, soakOver } = await activity.inside(() => sampleGate(wave));
  const verdict = judgeGate(wave.metrics, samples, { soakOver, soak: wave });
  return { samples, soakOver, verdict, registry, time, activity };
}
const words = (samples: Sample[]) => samples.map((sample) => sample.reason?.code ?? sample.outcome);
const times = (samples: Sample[]) => samples.map((sample) => (sample.scheduledAt - START) / 1_000);

describe('sampleGate, its samples and their verdict', () => {
  it('[A31] samples at its times through the whole soak, and the verdict is a pass', async () => {
    const { url, told: prometheus } = await told();
    const { samples, soakOver, verdict, registry, time } = await run(url, input());
    expect(times(samples)).toEqual([5, 15, 25, 35, 45, 55]);
    expect(words(samples)).toEqual(Array(6).fill('pass'));
    expect([soakOver, verdict.verdict, time.time >= START + 60_000]).toEqual([true, 'pass', true]);
    expect(registry.rows.size).toBe(6);
    expect(samples[0]).toMatchObject({ covered: 2, confirmed: 2, values: [{ value: 0 }] });
    expect(prometheus.queries.map(({ query }) => query)).toContain('sum(errors{site=~"s0|s1"})');
  });

  it('[A31] [B1] asks for the release at the time of the sample and one window before, by Prometheus alone', async () => {
    const { url, told: prometheus } = await told();
    await run(url, input({ until: START + 5_000 }));
    const asked = prometheus.queries.filter(({ query }) => query.includes('foothold_release_info'));
    expect(asked.map(({ at }) => at).sort()).toEqual([START, START + 5_000]);
  });

  it('[A31] returns as soon as the counters decide', async () => {
    const { url } = await told((at) => (at > START + 20_000 ? '0.06' : '0'));
    const { samples, soakOver, verdict, time } = await run(url, input());
    expect(words(samples)).toEqual(['pass', 'pass', 'GATE_FAILED']);
    expect([soakOver, verdict.verdict, time.time]).toEqual([false, 'fail', START + 25_000]);
  });

  it('[B1] a sample whose window reaches back before the switch is inconclusive, and the query is not even asked', async () => {
    const { url, told: prometheus } = await told();
    prometheus.liveSince = START + 2_000;
    const { samples, verdict } = await run(url, input());
    expect(words(samples)).toEqual(['SAMPLES_PREDATE_SWITCH']);
    expect(verdict).toMatchObject({ verdict: 'inconclusive', reason: { code: 'SAMPLES_PREDATE_SWITCH' } });
    expect(prometheus.queries.every(({ query }) => query.includes('foothold_release_info'))).toBe(true);
  });

  it('[B6] not to know what ran one window before is an error, which heals', async () => {
    const { url, told: prometheus } = await told();
    prometheus.failsAt = START;
    const { samples, verdict } = await run(url, input());
    expect(words(samples)).toEqual(['GATE_QUERY_FAILED', ...Array<string>(5).fill('pass')]);
    expect([samples[0]?.covered, verdict.verdict]).toEqual([0, 'pass']);
  });

  it('[A31] [B6] with Prometheus down for its whole life only errors are recorded, time passes, nothing passes', async () => {
    const gone = await told();
    await open.pop()?.close();
    const { samples, verdict } = await run(gone.url, input());
    expect(words(samples)).toEqual(Array(5).fill('GATE_QUERY_FAILED'));
    expect(verdict).toMatchObject({ verdict: 'inconclusive', reason: { code: 'GATE_QUERY_FAILED' } });
    const patient = input({ metrics: [metric({ window: '5s', interval: '10s', consecutiveErrorLimit: 100 })] });
    const long = await run(gone.url, patient);
    expect([long.samples.length, long.soakOver, long.verdict.verdict]).toEqual([6, true, 'inconclusive']);
  });

  it('[A31] without a configured Prometheus it says so and nothing passes', async () => {
    const { samples, verdict } = await run(undefined, input());
    expect(samples[0]?.reason?.detail).toContain('no Prometheus is configured');
    expect(verdict.verdict).toBe('inconclusive');
  });

  it('[A31] an outage heals: errors use up neither count nor the soak', async () => {
    const { url } = await told((at) => (at < START + 40_000 ? undefined : '0'));
    const { samples, verdict } = await run(url, input());
    expect(words(samples)).toEqual([...Array<string>(4).fill('GATE_NO_DATA'), 'pass', 'pass']);
    expect(verdict.verdict).toBe('pass');
  });
});

describe('sampleGate, again and for several metrics', () => {
  it('resumes from the registry, and asks late for every time that was missed while the worker was away', async () => {
    const { url, told: prometheus } = await told();
    const registry = sampleStore();
    await run(url, input({ until: START + 15_000 }), registry);
    const asked = prometheus.queries.length;
    const resumed = await run(url, input(), registry, START + 47_000);
    expect(times(resumed.samples)).toEqual([5, 15, 25, 35, 45, 55]);
    expect(resumed.samples[2]).toMatchObject({ takenAt: START + 47_000, outcome: 'pass' });
    const late = await run(url, input({ until: START + 100_000 }), registry, START + 500_000);
    expect(times(late.samples)).toEqual([5, 15, 25, 35, 45, 55, 65, 75, 85, 95]);
    // Two looks at who runs what, and the query, for each sample that was still missing.
    expect(prometheus.queries.length - asked).toBe(8 * 3);
  });

  it('keeps samples of other waves and rollouts apart', async () => {
    const { url } = await told();
    const registry = sampleStore();
    for (const wave of [input(), input({ wave: 1 }), input({ firstRunId: 'run-2' })])
      expect((await run(url, wave, registry)).samples).toHaveLength(6);
    expect(registry.rows.size).toBe(18);
  });

  it('stops sampling a metric that reached its count while others go on', async () => {
    const { url } = await told();
    const counted = metric({ name: 'counted', window: '5s', interval: '10s', count: 2 });
    const soaking = metric({ name: 'soaking', window: '10s', interval: '20s' });
    const { samples, verdict } = await run(url, input({ metrics: [counted, soaking] }));
    expect(times(samples.filter((sample) => sample.metric === 'counted'))).toEqual([5, 15]);
    expect(times(samples.filter((sample) => sample.metric === 'soaking'))).toEqual([10, 30, 50]);
    expect(verdict.verdict).toBe('pass');
  });
});

describe('sampleGate with nothing to go by', () => {
  it('[peers: Flagger, no analysis means "skip analysis"] without a metric it returns at once and nothing passes', async () => {
    const { url } = await told();
    const { samples, verdict } = await run(url, input({ metrics: [] }));
    expect([samples.length, verdict.verdict]).toEqual([0, 'inconclusive']);
  });

  it('[peers: hawkBit, a group with no targets succeeds] without a confirmed site nothing is asked and nothing passes', async () => {
    const { url, told: prometheus } = await told();
    const { samples, verdict } = await run(url, input({ confirmedSites: [] }));
    expect([words(samples), verdict.verdict, prometheus.queries.length]).toEqual([
      ['NO_CONFIRMED_SITE'],
      'inconclusive',
      0,
    ]);
  });

  it('[A31] a soak shorter than the window takes no sample and does not pass', async () => {
    const { url } = await told();
    const { samples, soakOver, verdict } = await run(url, input({ until: START + 4_999 }));
    expect([samples.length, soakOver, verdict.verdict]).toEqual([0, true, 'inconclusive']);
  });

  it('fails, for the retry to carry on, when a sample cannot be kept', async () => {
    const { url } = await told();
    const registry = { ...sampleStore(), putSamples: () => Promise.reject(new Error('disk full')) };
    await expect(run(url, input(), registry)).rejects.toThrow('disk full');
  });
});

describe('sampleGate as an activity', () => {
  it('heartbeats its progress before the first sample and after each', async () => {
    const { url } = await told();
    const { activity } = await run(url, input({ until: START + 15_000 }));
    expect(activity.heartbeats[0]).toEqual({ taken: 0, last: {}, next: START + 5_000, until: START + 15_000 });
    expect(activity.heartbeats.at(-1)).toMatchObject({ taken: 2, last: { 'error-ratio': 'pass' } });
  });

  it('heartbeats while a query hangs, and a cancel ends it at once with nothing recorded', async () => {
    const hanging = await listen(() => undefined);
    open.push(hanging);
    const registry = sampleStore();
    const activity = activityRun();
    const { sampleGate } = createGateActivities({ prometheusUrl: hanging.url, registry, ...clock(START) });
    setTimeout(() => activity.cancel(), 2_300);
    const began = performance.now();
    await expect(activity.inside(() => sampleGate(input()))).rejects.toThrow('CANCELLED');
    expect(performance.now() - began).toBeLessThan(4_000);
    expect(activity.heartbeats.length).toBeGreaterThanOrEqual(2);
    expect(registry.rows.size).toBe(0);
  });

  it('a cancel ends the sleep between samples', async () => {
    const { url } = await told();
    const activity = activityRun();
    const registry = sampleStore();
    const { sampleGate } = createGateActivities({ prometheusUrl: url, registry, now: Date.now });
    setTimeout(() => activity.cancel(), 50);
    const soak = { from: Date.now(), until: Date.now() + 60_000 };
    await expect(activity.inside(() => sampleGate(input(soak)))).rejects.toThrow('CANCELLED');
  });

  it('gives the workflow few values, and the registry all of them', async () => {
    const many = Array.from({ length: 200 }, (_, index) => `m${index}`);
    const { url } = await told();
    const registry = sampleStore();
    const one = metric({ series: 'per-site', window: '5s', interval: '10s' });
    const values = many.map((site) => ({ site, value: 0 }));
    const stored = [5, 15].map((second): Sample => {
      const at = START + second * 1_000;
      return { metric: one.name, scheduledAt: at, takenAt: at, outcome: 'pass', values, covered: 200, confirmed: 200 };
    });
    await registry.putSamples('run-1', 'canary', 0, stored);
    const { samples } = await run(url, input({ metrics: [one], until: START + 15_000 }), registry, START + 15_000);
    expect(samples.map((sample) => sample.values.length)).toEqual([20, 20]);
    expect([...registry.rows.values()].map((row) => row.values.length)).toEqual([200, 200]);
  });
});
