/** The lock of a stream in its narrow moments, on a real server: slow to go, let go of in vain, free at the seam. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LockHolder } from '../../activities/contract.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { openWorkflowStage, outlineOf, type WorkflowStage } from './workflow-stage.js';
import {
  asker,
  commandsOf,
  failureOf,
  freeTheStream,
  historyOf,
  pause,
  received,
  until,
  waitFor,
} from './workflow-asserts.js';

let stage: WorkflowStage;
beforeAll(async () => {
  stage = await openWorkflowStage('./slow-lock.ts');
}, 120_000);
afterEach(async () => {
  delete stage.faults.rivalOf;
  delete stage.faults.readOutline;
  await freeTheStream(stage);
});
afterAll(async () => {
  await stage.close();
});

const lock = async () => {
  const described = await stage.client.workflow.getHandle('foothold/stream/edge-proxy').describe();
  const holder = described.memo?.['holder'] as LockHolder | undefined;
  return { runId: described.runId, running: described.status.name === 'RUNNING', holder: holder?.workflowId };
};

const cancelRequests = async (runId: string) =>
  (await historyOf(stage, 'foothold/stream/edge-proxy', runId)).filter(
    (event) => event.workflowExecutionCancelRequestedEventAttributes,
  ).length;

describe('rollouts that something starts at one instant, as schedules do', () => {
  it('H14 [B36]: one has the stream, each other is refused by name, and the site is commanded once', async () => {
    await stage.bringUp('h1', { converge: 'confirmed', afterMs: 3_000 });
    const planned = [1, 2, 3, 4, 5].map((n) => outlineOf(`edge-proxy-5.0.${n}-1`, { all: [['h1']] }));
    const started = await Promise.all(planned.map((outline, n) => stage.start(outline, `cron/${n}`)));
    const ends = await Promise.allSettled(started.map((handle) => handle.result()));
    const refused = started.filter((_, n) => ends[n]?.status === 'rejected');
    expect(refused).toHaveLength(4);
    for (const handle of refused) {
      expect((await failureOf(handle.result())).message).toMatch(/STREAM_LOCKED.*cron\/\d/);
    }
    expect(ends).toContainEqual(
      expect.objectContaining({ value: expect.objectContaining({ outcome: 'promoted' }) as object }),
    );
    expect(commandsOf(stage, ['h1'])).toEqual(['converge h1']);
    await stage.bringDown('h1');
  });
});

describe('a lock that is slow to go', () => {
  it('is looked after by its own run: the lock that the successor has taken by then is not cancelled', async () => {
    for (const site of ['a1', 'a2']) await stage.bringUp(site, { converge: 'confirmed' });
    const soaking = outlineOf('edge-proxy-6.0.0-1', { one: [['a1']] });
    soaking.stages = soaking.stages.map((one) => ({ ...one, soak: 30_000 }));
    const first = await stage.start(soaking, 'rollout/slow-7s');
    await received(stage, 'converge a1');
    const next = outlineOf('edge-proxy-6.0.1-1', { all: [['a1', 'a2']] });
    next.stages = next.stages.map((one) => ({ ...one, soak: 4_000 }));
    const second = await stage.start(next, 'rollout/next', undefined, { supersede: 'rollout/slow-7s' });
    expect((await failureOf(first.result())).message).toContain('SUPERSEDED');
    const taken = await until(async () => {
      const now = await lock();
      return now.running && now.holder === 'rollout/next' ? now : undefined;
    }, 'the lock of the successor');
    expect(await second.result()).toMatchObject({ outcome: 'promoted' });
    // Its own release, and nobody else's.
    expect(await cancelRequests(taken.runId)).toBe(1);
  });
});

describe('the seam of continue-as-new', () => {
  it('news that comes while the lock is being let go keeps the rollout in its run, and it takes the lock again', async () => {
    for (const site of ['b1', 'b2']) await stage.bringUp(site, { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-6.1.0-1', { one: [['b1', 'b3']], two: [['b2']] });
    outline.stages = outline.stages.map((one) => ({
      ...{ ...one, settleWithin: 1_500 },
      budget: { failed: '50%', owed: '100%' },
    }));
    // What waits for the lock to go sees it go: the news comes within those seconds.
    const handle = await stage.start(outline, 'rollout/slow-3s', 10);
    const held = await until(async () => {
      const now = await lock().catch(() => undefined);
      return now?.running && now.holder === handle.workflowId && (await cancelRequests(now.runId)) > 0
        ? now
        : undefined;
    }, 'the lock being let go');
    const lost = { site: 'b3', outcome: 'reverted', cause: 'uplink', stage: 'one', wave: 0, at: Date.now() };
    await handle.signal('lateNews', { firstRunId: handle.firstExecutionRunId, outcomes: [lost], answers: [] });
    // Decided after a minute: nobody was watched beside it, so that it counts as lost together, and a person decides.
    await waitFor(handle, 'UPLINK_LOST', 100_000);
    expect(await lock()).toMatchObject({ running: true, holder: handle.workflowId });
    await handle.executeUpdate('promote', { args: [{ ...asker, override: true }] });
    await received(stage, 'converge b2');
    const now = await lock();
    expect(now).toMatchObject({ running: true, holder: handle.workflowId });
    expect(now.runId).not.toBe(held.runId);
    const noted = stage.seen.drafts.map(({ kind }) => kind);
    expect(noted).toContain('uplink');
    await handle.result();
  });

  it('a rollout that is superseded while it reads what it had carried answers once it has read', async () => {
    await stage.bringUp('c1', { converge: 'confirmed' });
    await stage.bringUp('c2', { converge: 'confirmed' });
    let away = true;
    stage.faults.readOutline = () => {
      if (away) throw new Error('the registry is away');
    };
    const first = await stage.start(outlineOf('edge-proxy-6.2.0-1', { one: [['c1']], two: [['c2']] }), undefined, 10);
    await until(async () => {
      const { runId } = await stage.client.workflow.getHandle(first.workflowId).describe();
      return runId !== first.firstExecutionRunId;
    }, 'the second run');
    const answer = stage.client.workflow
      .getHandle(first.workflowId)
      .executeUpdate('supersede', { args: [{ ...asker, leftOut: [] }] });
    await pause(1_000);
    away = false;
    expect(await answer).toMatchObject({ accepted: true });
    expect((await failureOf(stage.client.workflow.getHandle(first.workflowId).result())).message).toContain(
      'SUPERSEDED',
    );
    expect(commandsOf(stage, ['c2'])).toEqual([]);
  });
});

describe('a revert that was accepted', () => {
  it('at the seam, before anything is undone, is taken back by no abort', async () => {
    await stage.bringUp('r1', { converge: 'confirmed' });
    await stage.bringUp('r2', { converge: 'confirmed' });
    let away = true;
    stage.faults.readOutline = () => {
      if (away) throw new Error('the registry is away');
    };
    const first = await stage.start(outlineOf('edge-proxy-6.6.0-1', { one: [['r1']], two: [['r2']] }), undefined, 40);
    const latest = stage.client.workflow.getHandle(first.workflowId);
    await received(stage, 'converge r1');
    await until(async () => (await latest.describe()).runId !== first.firstExecutionRunId, 'the second run');
    expect(await latest.executeUpdate('revert', { args: [asker] })).toMatchObject({ accepted: true });
    await expect(latest.executeUpdate('abort', { args: [asker] })).rejects.toThrow();
    await latest.signal('abort', asker);
    away = false;
    expect((await failureOf(latest.result())).type).toBe('RolloutReverted');
    expect(commandsOf(stage, ['r1', 'r2'])).toEqual(['converge r1', 'revert r1']);
  });
});

describe('a lock that is free although a rollout of the stream lives', () => {
  const rival = (workflowId: string): LockHolder => ({
    workflowId,
    firstRunId: 'another-run',
    label: 'edge-proxy-0.0.9-1',
  });

  it('is given back, and the newcomer is refused and told who lives', async () => {
    stage.faults.rivalOf = () => rival('rollout/lives');
    const newcomer = await stage.start(outlineOf('edge-proxy-6.3.0-1', { all: [['d1']] }));
    const failure = await failureOf(newcomer.result());
    expect(failure.message).toContain('STREAM_LOCKED');
    expect(failure.message).toContain('edge-proxy-0.0.9-1 (rollout/lives)');
    expect((await lock()).running).toBe(false);
    expect(commandsOf(stage, ['d1'])).toEqual([]);
  });

  it('is kept by who supersedes it, once it has sealed', async () => {
    await stage.bringUp('e1', { converge: 'confirmed' });
    const soaking = outlineOf('edge-proxy-6.4.0-1', { one: [['e1']] });
    soaking.stages = soaking.stages.map((one) => ({ ...one, soak: 30_000 }));
    const first = await stage.start(soaking);
    await received(stage, 'converge e1');
    await stage.client.workflow.getHandle('foothold/stream/edge-proxy').terminate('by hand');
    stage.faults.rivalOf = () =>
      stage.seen.handedOver.some(({ workflowId }) => workflowId === first.workflowId)
        ? null
        : { ...rival(first.workflowId), firstRunId: first.firstExecutionRunId };
    const words = { supersede: first.workflowId };
    const second = await stage.start(outlineOf('edge-proxy-6.4.1-1', { all: [['e1']] }), undefined, undefined, words);
    expect((await failureOf(first.result())).message).toContain('SUPERSEDED');
    expect(await second.result()).toMatchObject({ outcome: 'promoted' });
    expect(commandsOf(stage, ['e1'])).toEqual(['converge e1', 'converge e1']);
  });
});

describe('a lock that somebody started by hand', () => {
  const byHand = () =>
    stage.client.workflow.start('streamLock', {
      workflowId: 'foothold/stream/edge-proxy',
      taskQueue: TASK_QUEUE,
      args: [{ workflowId: 'nobody', firstRunId: 'nobody' }],
    });

  it.each([
    ['waits for nobody', {}],
    ['takes over the stream', { supersede: 'edge-proxy' }],
  ])('refuses a rollout that %s and is named, with few events, until somebody ends it', async (_, words) => {
    const bare = await byHand();
    const refused = await stage.start(outlineOf('edge-proxy-6.5.0-1', { all: [['f1']] }), undefined, undefined, words);
    const ended = () => refused.describe().then(({ status }) => status.name !== 'RUNNING' || undefined);
    await until(ended, 'the refusal').catch(async (error: unknown) => {
      await Promise.all([bare.terminate(), refused.terminate()]);
      throw error;
    });
    const failure = await failureOf(refused.result());
    expect(failure.message).toContain('STREAM_LOCKED');
    expect(failure.message).toContain('foothold/stream/edge-proxy');
    // Four tries: a child refused, who holds it, a pause.
    expect((await historyOf(stage, refused.workflowId)).length).toBeLessThan(80);
    expect(commandsOf(stage, ['f1'])).toEqual([]);
    await bare.terminate('its test is over');
    await stage.bringUp('f1', { converge: 'confirmed' });
    const next = await stage.start(outlineOf('edge-proxy-6.5.1-1', { all: [['f1']] }));
    expect(await next.result()).toMatchObject({ outcome: 'promoted' });
    await stage.bringDown('f1');
    stage.seen.commands = stage.seen.commands.filter((line) => !line.endsWith(' f1'));
  });
});
