/** The time in which files travel, on a real server: nobody is switched in it, and whoever waits can end it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PlanOutline } from '../../policies/model/outline.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import {
  asker as verb,
  commandsOf,
  failureOf,
  freeTheStream,
  offered,
  resetTo,
  seen,
  until,
  waitFor,
} from './workflow-asserts.js';
import { openWorkflowStage, outlineOf, type WorkflowStage } from './workflow-stage.js';

let stage: WorkflowStage;
beforeAll(async () => {
  stage = await openWorkflowStage();
}, 120_000);
afterEach(async () => {
  delete stage.faults.issuePrefetches;
  delete stage.faults.countPrefetched;
  await freeTheStream(stage);
});
afterAll(async () => {
  await stage.close();
});

const told = (sites: string[]) => commandsOf(stage, sites);

function travelling(label: string, stages: Record<string, string[][]>, prefetch: number): PlanOutline {
  const outline = outlineOf(label, stages);
  return { ...outline, strategy: { ...outline.strategy, prefetch } };
}

const isTravelling = ({ state, prefetch }: RolloutStatus) => state === 'prefetching' && prefetch?.until !== undefined;
const entry = (kind: string, from: number) => stage.seen.drafts.slice(from).find((draft) => draft.kind === kind);

describe('files travel before the first switch', () => {
  it('to every site of the plan for the time of the strategy, and only then somebody is commanded', async () => {
    const from = stage.seen.drafts.length;
    for (const site of ['a1', 'a2', 'a3']) await stage.bringUp(site, { converge: 'confirmed' });
    const began = Date.now();
    const handle = await stage.start(
      travelling('edge-proxy-2.0.0-1', { canary: [['a1']], rest: [['a2', 'a3']] }, 4_000),
    );
    const status = await seen(handle, isTravelling, 'the time in which files travel');
    expect(status.prefetch?.until).toBeGreaterThanOrEqual(began + 4_000);
    await until(() => told(['a1', 'a2', 'a3']).length === 3 || undefined, 'the wishes');
    expect(new Set(told(['a1', 'a2', 'a3']))).toEqual(new Set(['prefetch a1', 'prefetch a2', 'prefetch a3']));
    const label = 'edge-proxy-2.0.0-1';
    expect(await offered(handle)).toEqual(['promote', 'pause', 'abort', 'revert'].map((one) => `${one} ${label}`));
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 3 });
    expect(Date.now() - began).toBeGreaterThanOrEqual(4_000);
    expect(told(['a1', 'a2', 'a3']).slice(3)).toHaveLength(3);
    expect(entry('prefetch', from)?.data).toEqual({ within: 4_000, sites: 3 });
    expect(entry('prefetched', from)?.data).toEqual({ end: 'over', sites: 9, whole: 7, underWay: 1 });
  });

  it('until a person promotes it: the first wave begins at once', async () => {
    const from = stage.seen.drafts.length;
    await stage.bringUp('b1', { converge: 'confirmed' });
    const handle = await stage.start(travelling('edge-proxy-2.0.1-1', { all: [['b1', 'b2']] }, 3_600_000));
    await seen(handle, isTravelling, 'the time in which files travel');
    expect(await handle.executeUpdate('promote', { args: [verb] })).toMatchObject({ accepted: true });
    await until(() => told(['b1']).includes('converge b1') || undefined, 'the converge');
    expect(entry('prefetched', from)?.data).toMatchObject({ end: 'promoted', by: 'test', why: verb.reason });
    // b2 never came up: what it was to fetch ahead is forgotten, its converge waits for it.
    await until(async () => {
      const { status } = await stage.client.workflow.getHandle('edge-proxy-2.0.1-1/prefetch/1').describe();
      return status.name !== 'RUNNING' || undefined;
    }, 'the end of the telling');
    await stage.bringUp('b2', { converge: 'confirmed' });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 2 });
    expect(told(['b2'])).toEqual(['converge b2']);
  });

  it('and a dark site that comes back meanwhile is told too', async () => {
    const handle = await stage.start(travelling('edge-proxy-2.0.2-1', { all: [['c1']] }, 3_600_000));
    await seen(handle, isTravelling, 'the time in which files travel');
    await stage.bringUp('c1', { converge: 'confirmed' });
    await until(() => told(['c1']).length > 0 || undefined, 'the wish');
    expect(told(['c1'])).toEqual(['prefetch c1']);
    await handle.executeUpdate('promote', { args: [verb] });
    await handle.result();
  });

  it('an abort ends it, with nobody commanded and nothing to undo; a registry that signs no wish does not hold it', async () => {
    const from = stage.seen.drafts.length;
    stage.faults.issuePrefetches = () => {
      throw new Error('the registry is away');
    };
    const handle = await stage.start(travelling('edge-proxy-2.0.3-1', { all: [['d1']] }, 3_600_000));
    await seen(handle, isTravelling, 'the time in which files travel');
    await handle.executeUpdate('abort', { args: [verb] });
    expect((await failureOf(handle.result())).type).toBe('RolloutAborted');
    expect(told(['d1'])).toEqual([]);
    expect(entry('prefetched', from)?.data).toEqual({ end: 'stopped' });
  });

  it('whose end is not counted because the registry is away is ended by an abort all the same', async () => {
    const from = stage.seen.drafts.length;
    await stage.bringUp('h1', { converge: 'confirmed' });
    stage.faults.countPrefetched = () => {
      throw new Error('the registry is away');
    };
    const handle = await stage.start(travelling('edge-proxy-2.0.7-1', { all: [['h1']] }, 3_600_000));
    await seen(handle, isTravelling, 'the time in which files travel');
    await until(() => told(['h1']).length > 0 || undefined, 'the wish');
    await handle.executeUpdate('promote', { args: [verb] });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(told(['h1'])).toEqual(['prefetch h1']);
    await handle.executeUpdate('abort', { args: [verb] });
    expect((await failureOf(handle.result())).type).toBe('RolloutAborted');
    expect(told(['h1'])).toEqual(['prefetch h1']);
    expect(entry('prefetched', from)?.data).toEqual({ end: 'promoted', by: 'test', why: verb.reason });
  });

  it('a pause stops its clock', async () => {
    await stage.bringUp('e1', { converge: 'confirmed' });
    const handle = await stage.start(travelling('edge-proxy-2.0.4-1', { all: [['e1']] }, 3_000));
    const { prefetch } = await seen(handle, isTravelling, 'the time in which files travel');
    await handle.executeUpdate('pause', { args: [verb] });
    const paused = await seen(handle, ({ state, prefetch }) => state === 'paused' && !prefetch?.until, 'the pause');
    expect(paused.prefetch?.since).toBe(prefetch?.since);
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(told(['e1'])).toEqual(['prefetch e1']);
    await handle.executeUpdate('resume', { args: [verb] });
    const resumed = await seen(handle, isTravelling, 'what is left of it');
    expect((resumed.prefetch?.until ?? 0) - (prefetch?.until ?? 0)).toBeGreaterThan(3_000);
    expect(await handle.result()).toMatchObject({ outcome: 'promoted' });
  });

  it('a reset in it, once adopted, keeps what is left of it', async () => {
    await stage.bringUp('f1', { converge: 'confirmed' });
    const handle = await stage.start(travelling('edge-proxy-2.0.5-1', { all: [['f1']] }, 3_600_000));
    const before = await seen(handle, isTravelling, 'the time in which files travel');
    await until(() => told(['f1']).length > 0 || undefined, 'the wish');
    await resetTo(stage, handle.workflowId, (events) =>
      events.findLast((event) => event.workflowTaskCompletedEventAttributes),
    );
    const now = stage.client.workflow.getHandle(handle.workflowId);
    // What makes it tell of itself: a reset run alone has nothing to say.
    await now.signal('tell');
    await waitFor(now, 'RUN_WAS_RESET');
    await now.executeUpdate('promote', { args: [verb] });
    const after = await seen(now, isTravelling, 'the time in which files travel, again');
    expect(after.prefetch?.since).toBe(before.prefetch?.since);
    expect(told(['f1']).filter((line) => line.startsWith('converge'))).toEqual([]);
    await now.executeUpdate('promote', { args: [verb] });
    expect(await now.result()).toMatchObject({ outcome: 'promoted' });
    expect(told(['f1']).filter((line) => line.startsWith('converge'))).toHaveLength(1);
  });

  it('not for a batch of the reconciler, which brings what its sites miss already', async () => {
    await stage.bringUp('g1', { converge: 'confirmed' });
    const outline = travelling('edge-proxy-2.0.6-1', { all: [['g1']] }, 3_600_000);
    const handle = await stage.start(outline, undefined, undefined, { catchUp: { of: 'run', sites: ['g1'] } });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted' });
    expect(told(['g1'])).toEqual(['converge g1']);
  });
});
