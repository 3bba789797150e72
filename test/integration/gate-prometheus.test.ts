/** The gate against a real Prometheus that scrapes sites which this test plays, and against addresses that are none. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGateActivities } from '../../activities/gate/sample-gate.js';
import { startPrometheus, type Prometheus } from '../../infra/dev/prometheus.js';
import { judgeGate } from '../../policies/gate/judge.js';
import { activityRun, listen, sampleStore, type Listener } from '../activities/gate/stand.js';
import { metric } from '../policies/gate/metric.js';

const NEW = `sha256:${'a'.repeat(64)}`;
const OLD = `sha256:${'b'.repeat(64)}`;
const WINDOW = 5_000;

interface PlayedSite extends Listener {
  id: string;
  digest: string;
  good: number;
  bad: number;
}

/** A dot in an id must be literal in every query: `s.2` must not match `sx2`. */
const IDS = ['s-1', 's.2', 's-3', 'sx2'];
const directory = mkdtempSync(join(tmpdir(), 'foothold-gate-'));
let sites: PlayedSite[] = [];
let prometheus: Prometheus;
let traffic: NodeJS.Timeout;

async function playSite(id: string): Promise<PlayedSite> {
  const listener = await listen((_, response) => response.end(exposition(site)));
  const site: PlayedSite = { ...listener, id, digest: id === 'sx2' ? OLD : NEW, good: 0, bad: 0 };
  return site;
}
const exposition = ({ id, digest, good, bad }: PlayedSite) =>
  [
    `foothold_release_info{site="${id}",stream="edge-proxy",digest="${digest}",state="confirmed"} 1`,
    `http_requests_total{site="${id}",code="200"} ${good}`,
    `http_requests_total{site="${id}",code="503"} ${bad}`,
    `idle_total{site="${id}"} 0\n`,
  ].join('\n');
const targets = () => sites.map(({ url }) => ({ address: url.replace('http://', '') }));
const site = (id: string) => sites.find((one) => one.id === id) as PlayedSite;

beforeAll(async () => {
  sites = await Promise.all(IDS.map(playSite));
  // One answer in twenty of s-3 is bad; everything of sx2, which runs another release.
  traffic = setInterval(() => {
    for (const one of sites) {
      one.good += one.id === 'sx2' ? 0 : 19;
      one.bad += one.id === 'sx2' ? 20 : one.id === 's-3' ? 1 : 0;
    }
  }, 100);
  prometheus = await startPrometheus({ directory, scrapeTargets: targets() });
  await until(async () => (await measure({}, ['s-1', 's.2', 's-3'])).sample?.outcome === 'fail');
});

afterAll(async () => {
  clearInterval(traffic);
  await (prometheus as Prometheus | undefined)?.stop();
  await Promise.all(sites.map((one) => one.close()));
  rmSync(directory, { recursive: true, force: true });
});

async function until(done: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await done()); await sleep(250))
    if (Date.now() > deadline) throw new Error('expected the played sites to be scraped within a minute');
}

const RATIO =
  '(sum(rate(http_requests_total{site=~"$sites",code=~"5.."}[$window])) or vector(0)) / sum(rate(http_requests_total{site=~"$sites"}[$window]))';

/** One sample, now: of a soak that began one window ago. */
async function measure(
  file: Record<string, unknown>,
  confirmedSites: string[],
  url = prometheus.url,
  patience = 5_000,
) {
  const gate = { window: `${WINDOW}ms`, interval: '1s', query: RATIO, consecutiveErrorLimit: 0, ...file };
  const metrics = [metric(gate)];
  const soak = { from: Date.now() - WINDOW, until: Date.now() };
  const wave = {
    firstRunId: 'run',
    label: 'edge-proxy-2.4.0-1',
    stream: 'edge-proxy',
    digest: NEW,
    stage: 'canary',
    wave: 0,
  };
  const options = { prometheusUrl: url, registry: sampleStore(), now: Date.now, queryTimeout: patience };
  const { sampleGate } = createGateActivities(options);
  const { samples, soakOver } = await activityRun().inside(() =>
    sampleGate({ ...wave, metrics, confirmedSites, ...soak }),
  );
  const { verdict, reason } = judgeGate(metrics, samples, { soakOver, soak });
  return { sample: samples[0], verdict: `${verdict} ${reason.code}` };
}

/**
 * As `measure`, once the sites are in the figure: on a busy machine Prometheus gives up on a scrape now and then, and
 * the site is then rightly left out for a moment.
 */
async function measureCovered(file: Record<string, unknown>, confirmedSites: string[]) {
  for (const deadline = Date.now() + 20_000; ; await sleep(250)) {
    const measured = await measure(file, confirmedSites);
    const uncovered = /GATE_COVERAGE|SAMPLES_PREDATE_SWITCH/.test(measured.verdict);
    if (!uncovered || Date.now() > deadline) return measured;
  }
}

describe('the gate on a real Prometheus', () => {
  it('[A31] passes a cohort whose new release answers well', async () => {
    const { sample, verdict } = await measureCovered({}, ['s-1', 's.2']);
    expect([verdict, sample?.values[0]?.value]).toEqual(['pass GATE_PASSED', 0]);
    expect(sample).toMatchObject({ covered: 2, confirmed: 2 });
  });

  it('[A31] fails a cohort that only metrics can see is ill', async () => {
    const { sample, verdict } = await measureCovered({}, ['s-3']);
    expect(verdict).toBe('fail GATE_FAILED');
    expect(sample?.values[0]?.value).toBeCloseTo(0.05, 2);
  });

  it.each([
    ['double quotes', 'sum(rate(http_requests_total{site=~"$sites",code="503"}[$window]))'],
    ['single quotes', "sum(rate(http_requests_total{site=~'$sites',code='503'}[$window]))"],
    ['raw quotes', 'sum(rate(http_requests_total{site=~`$sites`,code=`503`}[$window]))'],
  ])('[B6] a dot in a site id matches only a dot, in %s', async (_, query) => {
    expect((await measureCovered({ query, pass: 'result == 0' }, ['s.2'])).verdict).toBe('pass GATE_PASSED');
  });

  it.each([
    ['no such series', { query: 'sum(nothing_total{site=~"$sites"})' }, 'inconclusive GATE_NO_DATA'],
    [
      'a ratio without traffic',
      { query: 'sum(rate(idle_total{site=~"$sites"}[$window])) / sum(rate(idle_total{site=~"$sites"}[$window]))' },
      'inconclusive GATE_NOT_A_NUMBER',
    ],
    ['infinity', { query: 'vector(1) / 0' }, 'inconclusive GATE_NOT_A_NUMBER'],
    ['minus infinity', { query: 'vector(-1) / 0' }, 'inconclusive GATE_NOT_A_NUMBER'],
    [
      'several series',
      { query: 'rate(http_requests_total{site=~"$sites"}[$window]) * 0' },
      'inconclusive GATE_SEVERAL_SERIES',
    ],
    ['a range', { query: 'http_requests_total[1m]' }, 'inconclusive GATE_QUERY_FAILED'],
    ['a query that is none', { query: 'sum(rate(' }, 'inconclusive GATE_QUERY_FAILED'],
    ['a string', { query: '"0"' }, 'inconclusive GATE_QUERY_FAILED'],
    ['a condition that fails', { pass: 'int(result + 1e300) < 5' }, 'inconclusive GATE_EVALUATOR_FAILED'],
    ['a scalar', { query: 'scalar(vector(0))' }, 'pass GATE_PASSED'],
  ])('[A31] [B6] %s', async (_, file, expected) => {
    expect((await measureCovered(file, ['s-1', 's.2'])).verdict).toBe(expected);
  });
});

describe('the gate on a real Prometheus, and which sites are in the figure', () => {
  it('[A31] judges each site on its own', async () => {
    const perSite = {
      series: 'per-site',
      query:
        'sum by (site) (rate(http_requests_total{code="503"}[$window])) / sum by (site) (rate(http_requests_total[$window]))',
    };
    expect((await measureCovered(perSite, ['s-1', 's.2'])).verdict).toBe('pass GATE_PASSED');
    const { sample, verdict } = await measureCovered(perSite, ['s-1', 's.2', 's-3']);
    expect(verdict).toBe('fail GATE_FAILED');
    expect(sample?.reason?.detail).toContain('1 of 3 sites: s-3');
  });

  it('[peers: Argo CD, health of the previous revision] a site with another release is in no figure', async () => {
    expect((await measure({}, ['s-1', 'sx2'])).verdict).toBe('inconclusive GATE_COVERAGE');
    expect((await measureCovered({ coverage: '50%' }, ['s-1', 'sx2'])).verdict).toBe('pass GATE_PASSED');
  });

  it('asks about thousands of sites in one query', async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => `never-scraped-${index}`);
    const { sample, verdict } = await measureCovered({ coverage: '0.03%' }, ['s-1', 's.2', ...many]);
    expect([verdict, sample?.covered, sample?.confirmed]).toEqual(['pass GATE_PASSED', 2, 5_002]);
  });

  it('[B1] samples predate the switch until one window has passed, then belong to the new release', async () => {
    const switchedAt = Date.now();
    site('sx2').digest = NEW;
    const codes = new Set<string>();
    let passedAt = 0;
    await until(async () => {
      const { sample, verdict } = await measure({ pass: 'result > 0.5' }, ['sx2']);
      codes.add(verdict);
      if (sample?.outcome === 'pass') passedAt = sample.scheduledAt;
      return passedAt > 0;
    });
    expect(passedAt - switchedAt).toBeGreaterThanOrEqual(WINDOW);
    expect(codes).toContain('inconclusive SAMPLES_PREDATE_SWITCH');
    expect([...codes].every((code) => /GATE_COVERAGE|SAMPLES_PREDATE_SWITCH|GATE_PASSED/.test(code))).toBe(true);
  });

  it('[B1] a site that falls silent leaves the figure', async () => {
    await site('s.2').close();
    let silent = await measure({}, ['s-1', 's.2']);
    await until(async () => {
      silent = await measure({}, ['s-1', 's.2']);
      return silent.sample?.reason?.detail.endsWith('missing: s.2') ?? false;
    });
    expect(silent.verdict).toBe('inconclusive GATE_COVERAGE');
    expect((await measureCovered({}, ['s-1'])).verdict).toBe('pass GATE_PASSED');
  });

  it('[B1] what a restarted Prometheus remembers is not taken for news', async () => {
    process.kill(prometheus.pid, 'SIGKILL');
    await prometheus.stop();
    prometheus = await startPrometheus({ directory, scrapeTargets: [] });
    await sleep(Math.max(0, WINDOW));
    const remembered = await fetch(`${prometheus.url}/api/v1/query?query=foothold_release_info{site="s-1"}`);
    expect(await remembered.text()).toContain(NEW);
    expect((await measure({ query: 'vector(0)' }, ['s-1'])).verdict).toBe('inconclusive GATE_COVERAGE');
  });

  it('[A31] a Prometheus that is gone promotes nothing', async () => {
    await prometheus.stop();
    const { sample, verdict } = await measureCovered({}, ['s-1']);
    expect(verdict).toBe('inconclusive GATE_QUERY_FAILED');
    expect(sample?.reason?.detail).toContain('ECONNREFUSED');
  });
});

describe('the gate on an address that is no Prometheus', () => {
  const fiftyMegabytes = (response: ServerResponse) => {
    const chunk = Buffer.alloc(1024 * 1024, '1');
    let left = 50;
    const more = () => {
      while (left-- > 0 && !response.destroyed) if (!response.write(chunk)) return;
      response.end();
    };
    response.on('drain', more);
    more();
  };

  it.each<[string, (response: ServerResponse) => void, string]>([
    ['an HTML page', (response) => void response.end('<html>sign in</html>'), 'expected JSON'],
    ['an error', (response) => void response.writeHead(500).end(), 'HTTP status 500'],
    ['50 MB', fiftyMegabytes, 'larger than 16777216 bytes'],
    ['nothing for a long time', () => undefined, 'no answer within 1s'],
  ])('[A31] %s promotes nothing', async (_, respond, detail) => {
    const listener = await listen((request, response) => {
      request.resume();
      respond(response);
    });
    try {
      const { sample, verdict } = await measure({}, ['s-1'], listener.url, 1_000);
      expect(verdict).toBe('inconclusive GATE_QUERY_FAILED');
      expect(sample?.reason?.detail).toContain(detail);
    } finally {
      await listener.close();
    }
  });
});
