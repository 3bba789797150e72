/** What an operator does to the workflow itself, on a real server: reset, terminate, cancel; and giving way to another. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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
  resetTo,
  taskBefore,
  until,
  waitFor,
  type HistoryEvent,
} from './workflow-asserts.js';

let stage: WorkflowStage;
beforeAll(async () => {
  stage = await openWorkflowStage();
}, 120_000);
afterEach(() => freeTheStream(stage));
afterAll(async () => {
  await stage.close();
});

const child = (id: string) => (event: HistoryEvent) =>
  event.startChildWorkflowExecutionInitiatedEventAttributes?.workflowId === id;
const activity = (name: string) => (event: HistoryEvent) =>
  event.activityTaskScheduledEventAttributes?.activityType?.name === name;
const lockHolder = () => stage.client.workflow.getHandle('foothold/stream/edge-proxy').describe();

async function lockIsFree(): Promise<void> {
  await until(async () => ((await lockHolder()).status.name === 'RUNNING' ? undefined : true), 'the lock to be free');
}

describe('[§4 measured] reset', () => {
  it('in mid-wave: nobody is commanded until a person promotes; what the lost run left is taken over, not repeated', async () => {
    await stage.bringUp('a1', { converge: 'confirmed', afterMs: 1_500 });
    await stage.bringUp('a2', { converge: 'confirmed' });
    const label = 'edge-proxy-3.0.0-1';
    const outline = outlineOf(label, { all: [['a1', 'a2', 'a3']] });
    outline.stages = outline.stages.map((one) => ({ ...one, concurrency: 1, settleWithin: 20_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge a1');
    await resetTo(stage, handle.workflowId, taskBefore(child(`${label}/all/1/1`)));
    const latest = stage.client.workflow.getHandle(handle.workflowId);
    await waitFor(latest, 'RUN_WAS_RESET');
    await pause(2_500);
    expect(commandsOf(stage, ['a2', 'a3'])).toEqual([]);
    await stage.bringUp('a3', { converge: 'confirmed' });
    const before = stage.seen.drafts.length;
    await latest.executeUpdate('promote', { args: [asker] });
    expect(await latest.result()).toMatchObject({ outcome: 'promoted', confirmed: 3 });
    // What was decided in the run that was adopted is on record as any decision is.
    const decided = stage.seen.drafts.slice(before).filter(({ kind }) => kind === 'decision');
    expect(decided).toMatchObject([{ data: { stage: 'all', wave: 0, kind: 'promote' } }]);
    const ids = stage.seen.issued.filter((id) => id.startsWith(handle.firstExecutionRunId));
    expect(new Set(ids).size).toBe(3);
    expect(stage.seen.handedOver.filter(({ workflowId }) => workflowId === handle.workflowId)).toHaveLength(1);
  });

  it('to before the lock: a revert goes to the sites that the lost run has commanded', async () => {
    for (const site of ['b1', 'b2']) await stage.bringUp(site, { converge: 'confirmed' });
    const label = 'edge-proxy-3.0.1-1';
    const outline = outlineOf(label, { one: [['b1']], two: [['b2']], three: [['b3']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 20_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge b2');
    await resetTo(stage, handle.workflowId, (events) => events.find((e) => e.workflowTaskCompletedEventAttributes));
    const latest = stage.client.workflow.getHandle(handle.workflowId);
    await waitFor(latest, 'RUN_WAS_RESET');
    await latest.executeUpdate('revert', { args: [asker] });
    const failure = await failureOf(latest.result());
    expect(failure.type).toBe('RolloutReverted');
    expect(
      commandsOf(stage, ['b1', 'b2', 'b3'])
        .filter((line) => line.startsWith('revert'))
        .sort(),
    ).toEqual(['revert b1', 'revert b2']);
    await lockIsFree();
  });

  it('during a gate: the verdict that comes then promotes nothing by itself', async () => {
    for (const site of ['c1', 'c2']) await stage.bringUp(site, { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-3.0.2-1', { one: [['c1']], two: [['c2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, soak: 2_500 }));
    const handle = await stage.start(outline);
    const gated = () => stage.seen.gateCalls.some(({ confirmedSites }) => confirmedSites.includes('c1')) || undefined;
    await until(gated, 'the gate');
    await resetTo(stage, handle.workflowId, taskBefore(activity('sampleGate')));
    const latest = stage.client.workflow.getHandle(handle.workflowId);
    await waitFor(latest, 'RUN_WAS_RESET');
    await pause(3_000);
    expect(commandsOf(stage, ['c2'])).toEqual([]);
    await latest.executeUpdate('promote', { args: [asker] });
    expect(await latest.result()).toMatchObject({ outcome: 'promoted', confirmed: 2 });
    expect(commandsOf(stage, ['c1', 'c2'])).toEqual(['converge c1', 'converge c2']);
  });

  it('during an undo: the undo goes on, to every site, and needs no person', async () => {
    await stage.bringUp('d1', { converge: 'confirmed' });
    await stage.bringUp('d2', { converge: 'confirmed' });
    const label = 'edge-proxy-3.0.3-1';
    const outline = outlineOf(label, { one: [['d1']], two: [['d2', 'd3']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 20_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge d2');
    await handle.signal('revert', asker);
    await received(stage, 'revert d2');
    await resetTo(stage, handle.workflowId, taskBefore(child(`${label}/two/revert/1`)));
    await stage.bringUp('d3', { converge: 'confirmed' });
    const latest = stage.client.workflow.getHandle(handle.workflowId);
    const failure = await failureOf(latest.result());
    expect(failure.message).toContain('REVERT_REQUESTED');
    const undone = new Set(commandsOf(stage, ['d1', 'd2', 'd3']).filter((line) => line.startsWith('revert')));
    expect([...undone].sort()).toEqual(['revert d1', 'revert d2', 'revert d3']);
    await lockIsFree();
  });
});

describe('reset to before what the lost run had begun', () => {
  const label = (version: string) => `edge-proxy-${version}-1`;
  const reverts = (sites: string[]) => new Set(commandsOf(stage, sites).filter((line) => line.startsWith('revert')));

  it('an undo that it had begun by itself goes on, to all that it was for, and needs no person', async () => {
    await stage.bringUp('p1', { converge: 'confirmed' });
    await stage.bringUp('p2', { converge: 'rejected' });
    const outline = outlineOf(label('3.5.0'), { one: [['p1']], two: [['p2', 'p3']], three: [['p4']] });
    outline.strategy = { ...outline.strategy, onFailure: 'revert-all' };
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 20_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'revert p1');
    const seen = stage.seen.drafts.length;
    await resetTo(stage, handle.workflowId, taskBefore(child(`${label('3.5.0')}/one/1/1`)));
    await stage.bringUp('p3', { converge: 'confirmed' });
    const failure = await failureOf(stage.client.workflow.getHandle(handle.workflowId).result());
    expect(failure.message).toContain('RolloutReverted');
    expect(failure.message).toContain('BUDGET_FAILED');
    expect(stage.seen.drafts.slice(seen).map(({ kind }) => kind)).not.toContain('wait');
    expect(reverts(['p1', 'p2', 'p3'])).toEqual(new Set(['revert p1', 'revert p2', 'revert p3']));
    expect(commandsOf(stage, ['p4'])).toEqual([]);
    await lockIsFree();
  }, 90_000);

  it('a later stage counts as begun: an undo of all that is begun goes to its sites', async () => {
    for (const site of ['q1', 'q2']) await stage.bringUp(site, { converge: 'confirmed' });
    const outline = outlineOf(label('3.5.1'), { first: [['q1']], second: [['q2']], third: [['q3']] });
    outline.strategy = { ...outline.strategy, onFailure: 'revert-all' };
    outline.stages = outline.stages.map((one) => ({ ...one, soak: one.name === 'first' ? 0 : 60_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge q2');
    await resetTo(stage, handle.workflowId, taskBefore(activity('sampleGate')));
    const latest = stage.client.workflow.getHandle(handle.workflowId);
    await waitFor(latest, 'RUN_WAS_RESET');
    expect(reverts(['q1', 'q2'])).toEqual(new Set());
    stage.gate.set('first', 'fail');
    await latest.executeUpdate('promote', { args: [asker] });
    expect((await failureOf(latest.result())).type).toBe('RolloutReverted');
    expect(reverts(['q1', 'q2'])).toEqual(new Set(['revert q1', 'revert q2']));
  });

  it('an abort said to the new run leaves the confirmed as they are, also where its reverts are known before it is', async () => {
    await stage.bringUp('u1', { converge: 'confirmed' });
    await stage.bringUp('u2', { converge: 'never' });
    const outline = outlineOf(label('3.5.3'), { all: [['u1', 'u2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 20_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge u2');
    await until(() => stage.seen.settled.find(({ site }) => site === 'u1'), 'what u1 ended with');
    stage.faults.recordProgress = () => {
      throw new Error('the registry is away');
    };
    // With its shard open, which tells of itself: so the undo begins before the registry is asked.
    const last = (events: HistoryEvent[]) => events.findLast((event) => event.workflowTaskCompletedEventAttributes);
    await resetTo(stage, handle.workflowId, last);
    const latest = stage.client.workflow.getHandle(handle.workflowId);
    await latest.signal('abort', asker);
    await received(stage, 'revert u2').finally(() => delete stage.faults.recordProgress);
    expect((await failureOf(latest.result())).type).toBe('RolloutAborted');
    expect(reverts(['u1', 'u2'])).toEqual(new Set(['revert u2']));
  });

  it('also where the new run undoes by itself before it has learned of the stage', async () => {
    for (const site of ['t1', 't2']) await stage.bringUp(site, { converge: 'confirmed' });
    const outline = outlineOf(label('3.5.2'), { early: [['t1']], later: [['t2']], last: [['t3']] });
    outline.strategy = { ...outline.strategy, onFailure: 'revert-all' };
    outline.stages = outline.stages.map((one) => ({ ...one, soak: one.name === 'early' ? 0 : 60_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge t2');
    stage.gate.set('early', 'fail');
    stage.faults.recordProgress = () => {
      throw new Error('the registry is away');
    };
    await resetTo(stage, handle.workflowId, taskBefore(activity('sampleGate')));
    await received(stage, 'revert t1').finally(() => delete stage.faults.recordProgress);
    const failure = await failureOf(stage.client.workflow.getHandle(handle.workflowId).result());
    expect(failure.type).toBe('RolloutReverted');
    expect(reverts(['t1', 't2'])).toEqual(new Set(['revert t1', 'revert t2']));
  });
});

describe('reset to where the run before had learned of a reset, and was adopted', () => {
  /** Commands the first stage, is reset and adopted, commands the second, and is reset to before it was adopted. */
  async function resetTwice(label: string, [first, second, third]: [string, string, string], before = () => {}) {
    for (const site of [first, second]) await stage.bringUp(site, { converge: 'confirmed' });
    const outline = outlineOf(label, { one: [[first]], two: [[second]], three: [[third]] });
    outline.stages = outline.stages.map((one) => ({ ...one, soak: one.name === 'one' ? 3_000 : 60_000 }));
    const handle = await stage.start(outline);
    await received(stage, `converge ${first}`);
    await resetTo(stage, handle.workflowId, taskBefore(activity('sampleGate')));
    const latest = stage.client.workflow.getHandle(handle.workflowId);
    await waitFor(latest, 'RUN_WAS_RESET');
    await latest.executeUpdate('promote', { args: [asker] });
    await received(stage, `converge ${second}`);
    await until(
      async () => (await latest.query<{ state: string } | null>('status'))?.state === 'gating' || undefined,
      'the gate of the second',
    );
    before();
    await resetTo(stage, handle.workflowId, taskBefore(activity('adoptRun')));
    return latest;
  }
  const reverts = (sites: string[]) => commandsOf(stage, sites).filter((line) => line.startsWith('revert'));

  it('a revert goes to the sites that the adopted run has commanded as well', async () => {
    const latest = await resetTwice('edge-proxy-3.4.0-1', ['m1', 'm2', 'm3']);
    await waitFor(latest, 'RUN_WAS_RESET');
    await latest.executeUpdate('revert', { args: [asker] });
    expect((await failureOf(latest.result())).type).toBe('RolloutReverted');
    expect(reverts(['m1', 'm2', 'm3']).sort()).toEqual(['revert m1', 'revert m2']);
    await lockIsFree();
  });

  it('an undo does not end before it is known whom the adopted run has commanded, however long the registry is away', async () => {
    const latest = await resetTwice('edge-proxy-3.4.2-1', ['o1', 'o2', 'o3'], () => {
      stage.faults.recordProgress = () => {
        throw new Error('the registry is away');
      };
    });
    await latest.executeUpdate('revert', { args: [asker] });
    await received(stage, 'revert o1').finally(() => pause(3_000));
    const whileAway = reverts(['o1', 'o2', 'o3']);
    delete stage.faults.recordProgress;
    expect((await failureOf(latest.result())).type).toBe('RolloutReverted');
    expect(whileAway).toEqual(['revert o1']);
    expect(reverts(['o1', 'o2', 'o3']).sort()).toEqual(['revert o1', 'revert o2']);
  });

  it('the word that adopted that run is none for this one; one for this one is, and what that one commanded is known', async () => {
    const latest = await resetTwice('edge-proxy-3.4.1-1', ['n1', 'n2', 'n3']);
    // Temporal has repeated the promote in the new run.
    await pause(3_000);
    await waitFor(latest, 'RUN_WAS_RESET');
    await latest.executeUpdate('promote', { args: [asker] });
    await until(
      async () => (await latest.query<{ wait?: unknown } | null>('status'))?.wait === undefined || undefined,
      'the end of the wait',
    );
    await latest.executeUpdate('revert', { args: [asker] });
    expect((await failureOf(latest.result())).type).toBe('RolloutReverted');
    expect(reverts(['n1', 'n2', 'n3']).sort()).toEqual(['revert n1', 'revert n2']);
  });
});

describe('[§4 measured] reset of a rollout whose beginning would now be refused', () => {
  const LOCK = 'foothold/stream/edge-proxy';
  const first = (events: HistoryEvent[]) => events.find((event) => event.workflowTaskCompletedEventAttributes);
  const reverts = (sites: string[]) => commandsOf(stage, sites).filter((line) => line.startsWith('revert'));

  async function resetWhileSoaking(label: string, site: string, before: () => Promise<unknown>) {
    await stage.bringUp(site, { converge: 'confirmed' });
    const outline = outlineOf(label, { all: [[site]] });
    outline.stages = outline.stages.map((one) => ({ ...one, soak: 60_000 }));
    const handle = await stage.start(outline);
    await received(stage, `converge ${site}`);
    await before();
    await resetTo(stage, handle.workflowId, first);
    return stage.client.workflow.getHandle(handle.workflowId);
  }

  it('preflight blocks: it waits for a person, who can undo what the lost run commanded', async () => {
    const latest = await resetWhileSoaking(
      'edge-proxy-3.3.0-1',
      'j1',
      async () => (stage.faults.preflightBlocks = true),
    );
    await waitFor(latest, 'RUN_WAS_RESET').finally(() => (stage.faults.preflightBlocks = false));
    await latest.executeUpdate('revert', { args: [asker] });
    expect((await failureOf(latest.result())).type).toBe('RolloutReverted');
    expect(reverts(['j1'])).toEqual(['revert j1']);
  });

  it('the stream is locked: it waits for the lock, never refused, and an undo needs no lock', async () => {
    const lock = () => stage.client.workflow.getHandle(LOCK);
    const latest = await resetWhileSoaking('edge-proxy-3.3.1-1', 'k1', async () => {
      const rival = { workflowId: 'rollout/rival', firstRunId: 'rival' };
      await lock().terminate('by hand');
      await stage.client.workflow.start('streamLock', {
        workflowId: LOCK,
        taskQueue: TASK_QUEUE,
        args: [rival],
        memo: { holder: rival },
      });
    });
    const ended = failureOf(latest.result());
    await waitFor(latest, 'LOCK_LOST').finally(() => pause(5_000));
    // Once it knows that it was reset it must not ask for the lock again and again.
    const tried = (await historyOf(stage, latest.workflowId)).filter(child(LOCK));
    await latest.executeUpdate('revert', { args: [asker] });
    expect((await ended.finally(() => lock().terminate('its test is over'))).type).toBe('RolloutReverted');
    expect(reverts(['k1'])).toEqual(['revert k1']);
    expect(tried.length).toBeLessThanOrEqual(8);
    expect(stage.seen.refused.filter(({ workflowId }) => workflowId === latest.workflowId)).toEqual([]);
  });
});

describe('terminate and cancel', () => {
  it('[§4 measured] terminate frees the lock, ends the shards, and the next rollout can begin', async () => {
    await stage.bringUp('e1', { converge: 'never' });
    const label = 'edge-proxy-3.1.0-1';
    const handle = await stage.start(outlineOf(label, { all: [['e1']] }));
    await received(stage, 'converge e1');
    await handle.terminate('as a person might');
    await lockIsFree();
    const shard = stage.client.workflow.getHandle(`${label}/all/1/1`);
    await until(async () => ((await shard.describe()).status.name === 'TERMINATED' ? true : undefined), 'its shard');
    await stage.bringUp('e2', { converge: 'confirmed' });
    const next = await stage.start(outlineOf('edge-proxy-3.1.1-1', { all: [['e2']] }));
    expect(await next.result()).toMatchObject({ outcome: 'promoted' });
  });

  it('cancel means abort in a wait, in a gate and while halted', async () => {
    for (const site of ['f1', 'f2']) await stage.bringUp(site, { converge: 'confirmed' });
    await stage.bringUp('f3', { converge: 'rejected' });
    stage.gate.set('blind', 'error');
    const waiting = await stage.start(outlineOf('edge-proxy-3.1.2-1', { blind: [['f1']] }));
    await until(async () => (await waiting.query<{ wait?: unknown } | null>('status'))?.wait, 'the wait');
    await waiting.cancel();
    expect((await failureOf(waiting.result())).type).toBe('RolloutAborted');

    const soaking = outlineOf('edge-proxy-3.1.3-1', { all: [['f2']] });
    soaking.stages = soaking.stages.map((one) => ({ ...one, soak: 30_000 }));
    const gating = await stage.start(soaking);
    await until(
      async () => (await gating.query<{ state: string } | null>('status'))?.state === 'gating' || undefined,
      'the gate',
    );
    await gating.cancel();
    expect((await failureOf(gating.result())).type).toBe('RolloutAborted');

    const failing = outlineOf('edge-proxy-3.1.4-1', { all: [['f3']] });
    failing.strategy = { ...failing.strategy, onFailure: 'stay' };
    const halted = await stage.start(failing);
    await waitFor(halted, 'BUDGET_FAILED');
    await halted.cancel();
    expect((await failureOf(halted.result())).type).toBe('RolloutAborted');
    expect(commandsOf(stage, ['f1', 'f2', 'f3'])).toEqual(['converge f1', 'converge f2', 'converge f3', 'revert f3']);
  });
});

describe('supersede', () => {
  it('the running rollout ends without an undo, and the new one begins once it has let go', async () => {
    await stage.bringUp('g1', { converge: 'confirmed' });
    await stage.bringUp('g2', { converge: 'never' });
    const old = await stage.start(outlineOf('edge-proxy-3.2.0-1', { one: [['g1']], two: [['g2']], rest: [['g3']] }));
    await received(stage, 'converge g2');
    const wide = outlineOf('edge-proxy-3.2.1-1', { all: [['g1', 'g3', 'g4']] });
    wide.stages = wide.stages.map((one) => ({ ...one, budget: { failed: 0, owed: '100%' }, settleWithin: 2_000 }));
    // g2 has been commanded and is not in the new plan.
    const narrow = await stage.start(wide, undefined, undefined, { supersede: old.workflowId });
    const refused = await failureOf(narrow.result());
    expect(refused.message).toContain('SUPERSEDE_TOO_NARROW');
    expect(refused.message).toContain('not in the new plan: g2');
    expect(stage.seen.refused.at(-1)).toMatchObject({ reason: { code: 'SUPERSEDE_TOO_NARROW' } });

    const next = outlineOf('edge-proxy-3.2.2-1', { all: [['g1', 'g2', 'g3']] });
    next.stages = next.stages.map((one) => ({ ...one, budget: { failed: 0, owed: '100%' }, settleWithin: 2_000 }));
    const stranger = await stage.start(next, 'rollout/stranger', undefined, { supersede: 'somebody-else' });
    expect((await failureOf(stranger.result())).message).toContain('STREAM_LOCKED');

    const taking = await stage.start(next, undefined, undefined, { supersede: old.workflowId });
    const ended = await failureOf(old.result());
    expect(ended.type).toBe('RolloutAborted');
    expect(ended.message).toContain('SUPERSEDED');
    expect(await taking.result()).toMatchObject({ outcome: 'promoted' });
    expect(commandsOf(stage, ['g1', 'g2', 'g3']).filter((line) => line.startsWith('revert'))).toEqual([]);
    expect(commandsOf(stage, ['g1'])).toEqual(['converge g1', 'converge g1']);
    const noted = stage.seen.drafts.find(({ kind }) => kind === 'superseded');
    expect(noted?.data['unsettled']).toEqual(['g2']);
    expect(stage.seen.handedOver).toContainEqual({ workflowId: old.workflowId, outcome: 'aborted' });
  });

  it('a batch of the reconciler gives way to anybody, and asks nobody to', async () => {
    for (const site of ['h1', 'h2']) await stage.bringUp(site, { converge: 'confirmed' });
    const soaking = outlineOf('edge-proxy-3.2.3-1', { all: [['h1']] });
    soaking.stages = soaking.stages.map((one) => ({ ...one, soak: 30_000 }));
    const catchUp = { of: 'some-run', sites: ['h1'] };
    const batch = await stage.start(soaking, 'batch/1', undefined, { catchUp });
    await received(stage, 'converge h1');
    const other = await stage.start(outlineOf('edge-proxy-3.2.4-1', { all: [['h2']] }), 'batch/2', undefined, {
      catchUp,
    });
    expect((await failureOf(other.result())).message).toContain('STREAM_LOCKED');
    const persons = await stage.start(outlineOf('edge-proxy-3.2.5-1', { all: [['h2']] }));
    expect((await failureOf(batch.result())).message).toContain('SUPERSEDED');
    expect(await persons.result()).toMatchObject({ outcome: 'promoted' });
    expect(commandsOf(stage, ['h1'])).toEqual(['converge h1']);
  });

  it('is refused while the rollout is being undone, and once it is sealed nobody has to be asked', async () => {
    await stage.bringUp('i1', { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-3.2.6-1', { all: [['i1', 'i2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 6_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge i1');
    await handle.signal('revert', asker);
    await received(stage, 'revert i1');
    await expect(handle.executeUpdate('supersede', { args: [asker] })).rejects.toThrow();
    await stage.bringUp('i2', { converge: 'confirmed' });
    expect((await failureOf(handle.result())).type).toBe('RolloutReverted');
  });
});
