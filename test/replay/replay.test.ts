/**
 * Histories of real runs, replayed against today's workflow code: a change that would break a rollout in flight fails
 * here. `npm run demo -- --record test` makes them anew; a new one is added, an old one is kept while runs of it may live.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Runtime, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import { beforeAll, describe, expect, it } from 'vitest';
import { workflowBundle } from '../infra/bundle.js';

const HISTORIES = fileURLToPath(new URL('./histories/', import.meta.url));
const silent = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} };

interface Recorded {
  workflowId: string;
  history: { events: Record<string, unknown>[] };
}

function read(file: string): Recorded {
  return JSON.parse(readFileSync(`${HISTORIES}${file}`, 'utf8')) as Recorded;
}

async function replay(bundle: WorkflowBundleOption, { workflowId, history }: Recorded): Promise<Error | undefined> {
  const options = { workflowBundle: bundle };
  const histories = [{ workflowId, history: historyFromJSON(history) }];
  for await (const { error } of Worker.runReplayHistories(options, histories)) return error;
  throw new Error('nothing was replayed');
}

function patchOf(event: Record<string, unknown>): string[] {
  const marker = event['markerRecordedEventAttributes'] as
    { markerName: string; details?: Record<string, { payloads: { data: string }[] }> } | undefined;
  const payloads = marker?.markerName === 'core_patch' ? (marker.details?.['patch-data']?.payloads ?? []) : [];
  return payloads.map(({ data }) => (JSON.parse(Buffer.from(data, 'base64').toString()) as { id: string }).id);
}

const files = readdirSync(HISTORIES).filter((file) => file.endsWith('.json'));
let bundle: WorkflowBundleOption;
beforeAll(async () => {
  Runtime.install({ shutdownSignals: [], logger: silent });
  bundle = await workflowBundle();
}, 60_000);

describe('recorded histories', () => {
  it('cover the rollout, the shards, the undo and the inbox of all three acts', () => {
    for (const act of ['act-1', 'act-2', 'act-3']) {
      const types = files.filter((file) => file.startsWith(act)).map((file) => file.split('.')[1]);
      expect(types).toContain('rollout');
      expect(types).toContain('shard');
    }
    expect(files.some((file) => file.includes('.revert.'))).toBe(true);
    expect(files.some((file) => file.includes('.inbox.'))).toBe(true);
  });

  it('cover a reconciler that starts a lost carrier again and begins a batch, the batch, and the sweep', () => {
    const children = read('catch-up.catchUp.1.json').history.events.flatMap((event) => {
      const child = event['startChildWorkflowExecutionInitiatedEventAttributes'] as { workflowId: string } | undefined;
      return child ? [child.workflowId] : [];
    });
    expect(children).toEqual(['edge-proxy-3.0.0-1/rest/revert/1', 'foothold/catch-up/edge-proxy/batch']);
    expect(read('catch-up.rollout.1.json').workflowId).toBe(children[1]);
    expect(files).toContain('catch-up.sweep.1.json');
  });

  it('cover the seam of continue-as-new, a reset, a retry, a supersede, a newcomer that finds a rival, a withdrawal, arrivals', () => {
    const tells = (file: string, words: string) => expect(JSON.stringify(read(file).history), file).toContain(words);
    tells('seam.rollout.1.json', 'workflowExecutionContinuedAsNewEventAttributes');
    tells('seam.rollout.2.json', '"continuedExecutionRunId"');
    tells('reset.rollout.1.json', 'resetWorkflowFailureInfo');
    tells('retry.rollout.1.json', '"name":"retry"');
    for (const file of ['supersede.rollout.1.json', 'supersede.rollout.2.json']) tells(file, 'supersede');
    tells('rival.rollout.1.json', 'rivalOf');
    tells('withdrawn.shard.1.json', '"name":"judgeWithdrawal"');
    tells('arrivals.arrivals.1.json', '"name":"recordArrivals"');
    tells('arrivals.arrivals.2.json', '"continuedExecutionRunId"');
    tells('arrivals.arrivals.3.json', '"startToFireTimeout":"0.001s"');
    tells('arrivals.arrivals.5.json', 'WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND');
    tells('long.shard.1.json', '"continuedExecutionRunId"');
  });

  it('cover both sides of every patch', () => {
    const sources = readdirSync(new URL('../../workflows/', import.meta.url)).map((file) =>
      readFileSync(new URL(`../../workflows/${file}`, import.meta.url), 'utf8'),
    );
    const patches = sources.flatMap((text) => [...text.matchAll(/\bpatched\('([^']+)'\)/g)].map(([, id]) => id));
    expect(patches.length).toBeGreaterThan(0);
    const marked = new Set(files.flatMap((file) => read(file).history.events.flatMap(patchOf)));
    expect(patches.filter((id) => !marked.has(id ?? ''))).toEqual([]);
    // Those of before have none of them.
    expect(read('act-1.rollout.json').history.events.flatMap(patchOf)).toEqual([]);
  });

  it.each(files)('[A58] %s replays', async (file) => {
    expect(await replay(bundle, read(file))).toBeUndefined();
  });

  it.each([
    ['act-1.rollout.json', 'runPreflight'],
    ['arrivals.arrivals.1.json', 'recordArrivals'],
    ['catch-up.catchUp.1.json', 'catchUpFacts'],
    ['catch-up.sweep.1.json', 'sweep'],
  ])('a replay of %s can say no: an activity of another name in the history is found', async (file, name) => {
    const text = JSON.stringify(read(file)).replaceAll(
      `"activityType":{"name":"${name}"}`,
      '"activityType":{"name":"x"}',
    );
    const error = await replay(bundle, JSON.parse(text) as Recorded);
    expect(String(error)).toMatch(/[Nn]ondeterminism/);
  });
});
