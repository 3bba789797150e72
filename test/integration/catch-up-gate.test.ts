/** A catch-up batch behind its stage's gate: a real Prometheus that scrapes what the sites of this test export. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPrometheus, type Prometheus } from '../../infra/dev/prometheus.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import { listen, type Listener } from '../activities/gate/stand.js';
import { CatchUpStage } from './catch-up-stage.js';

const QUERY =
  '(sum(rate(http_requests_total{site=~"$sites",code=~"5.."}[$window])) or vector(0)) / sum(rate(http_requests_total{site=~"$sites"}[$window]))';
const metric = {
  ...{ name: 'error-ratio', window: '5s', interval: '1s', count: 8, query: QUERY, pass: 'result < 0.01' },
  // A scrape that a busy machine misses is no verdict.
  consecutiveErrorLimit: 30,
  // The first samples may still reach back to before the switch: by one scrape, and by how late that comes.
  inconclusiveLimit: 6,
};

const directory = mkdtempSync(join(tmpdir(), 'fh-gate-'));
/** Whose answers are bad once they have this version, and how many answers each has given, good and bad. */
const ill = new Map<string, string>();
const answers = new Map<string, [good: number, bad: number]>();
let stage: CatchUpStage;
let exporter: Listener;
let prometheus: Prometheus;
let traffic: NodeJS.Timeout;

function exposition(): string {
  const lines = [...(stage?.sites ?? [])].flatMap(([site, { books }]) => {
    const [good = 0, bad = 0] = answers.get(site) ?? [];
    const { stream, live } = books;
    return [
      ...(live
        ? [`foothold_release_info{site="${site}",stream="${stream}",digest="${live.digest}",state="confirmed"} 1`]
        : []),
      `http_requests_total{site="${site}",code="200"} ${good}`,
      `http_requests_total{site="${site}",code="503"} ${bad}`,
    ];
  });
  return `${lines.join('\n')}\n`;
}

function answer(): void {
  for (const [site, { books }] of stage.sites) {
    const [good, bad] = answers.get(site) ?? [0, 0];
    const isBad = books.live !== undefined && ill.get(site) === books.live.version;
    answers.set(site, isBad ? [good + 5, bad + 5] : [good + 10, bad]);
  }
}

beforeAll(async () => {
  exporter = await listen((_, response) => void response.end(exposition()));
  prometheus = await startPrometheus({ directory, scrapeTargets: [{ address: exporter.url.replace('http://', '') }] });
  stage = await CatchUpStage.open({ prometheus: prometheus.url, gates: { health: { metrics: [metric] } } });
  traffic = setInterval(answer, 100);
}, 120_000);
afterAll(async () => {
  clearInterval(traffic);
  await stage.close();
  await prometheus.stop();
  await exporter.close();
  rmSync(directory, { recursive: true, force: true });
});

/** 2.0.0 is promoted behind its gate at `a` and `b`, while nobody else is there. */
async function promoted(stream: string): Promise<void> {
  await stage.publish(stream, '1.0.0', '2.0.0');
  stage.addSite(`${stream}-a`, stream, { live: '1.0.0', risk: 'low' });
  stage.addSite(`${stream}-b`, stream, { live: '1.0.0' });
  await stage.up(`${stream}-a`, `${stream}-b`);
  expect(await stage.rollOut(stream, '2.0.0', 'gated')).toMatchObject({ outcome: 'promoted' });
}

const ended = (stream: string): Promise<RolloutStatus> =>
  stage.until(
    async () => (await stage.batches(stream)).find(({ state }) => state === 'sealed'),
    'the end of the batch',
    90_000,
  );

const verdicts = async ({ firstRunId }: RolloutStatus) =>
  (await stage.registry.evidence(firstRunId)).flatMap(({ kind, data }) => (kind === 'gate' ? [data] : []));

describe('a catch-up batch of a gated stage', () => {
  it('[A31] [A45] is promoted once the gate has passed on what Prometheus measured', async () => {
    await promoted('good');
    stage.addSite('good-c', 'good', { live: '1.0.0' });
    await stage.up('good-c');
    const batch = await ended('good');
    expect(batch).toMatchObject({ outcome: 'promoted', stages: [{ name: 'rest', sites: 1, confirmed: 1 }] });
    expect(JSON.stringify(await verdicts(batch))).toContain('GATE_PASSED');
    expect(stage.live('good-c')).toBe('2.0.0');
  });

  it('[A31] stops the lane when the gate fails: its sites are undone, and nobody else is commanded', async () => {
    await promoted('bad');
    ill.set('bad-c', '2.0.0');
    stage.addSite('bad-c', 'bad', { live: '1.0.0' });
    stage.addSite('bad-d', 'bad', { live: '1.0.0' });
    await stage.up('bad-c');
    const batch = await ended('bad');
    expect(batch).toMatchObject({ outcome: 'reverted', reason: { code: 'GATE_FAILED' } });
    expect(stage.live('bad-c')).toBe('1.0.0');
    expect(stage.commands('bad-c')).toEqual(['converge 2.0.0', 'revert 2.0.0']);
    await stage.up('bad-d');
    await stage.sweep();
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(stage.commands('bad-d')).toEqual([]);
    expect(await stage.batches('bad')).toHaveLength(1);
    // Those that the rollout had promoted keep what they have.
    expect(stage.live('bad-b')).toBe('2.0.0');
  });
});
