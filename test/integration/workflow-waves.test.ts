/** Waves on a real server: nothing is commanded once the budget is exceeded, who may not be commanded now, and retry. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { VerbAnswer } from '../../policies/model/rollout.js';
import { openWorkflowStage, outlineOf, type WorkflowStage } from './workflow-stage.js';
import {
  asker,
  commandsOf,
  failureOf,
  freeTheStream,
  historyOf,
  pause,
  received,
  statusOf,
  timeOf,
  until,
  waitFor,
} from './workflow-asserts.js';

let stage: WorkflowStage;
beforeAll(async () => {
  stage = await openWorkflowStage();
}, 120_000);
afterEach(() => freeTheStream(stage));
afterAll(async () => {
  await stage.close();
});

function oneAtATime(outline: ReturnType<typeof outlineOf>, settleWithin = 20_000) {
  outline.stages = outline.stages.map((one) => ({ ...one, concurrency: 1, settleWithin }));
  return outline;
}

describe('stop in mid-wave', () => {
  it('commands nobody after the first failure that the budget does not allow', async () => {
    const sites = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'];
    await stage.bringUp('a1', { converge: 'rejected' });
    for (const site of sites.slice(1)) await stage.bringUp(site, { converge: 'confirmed' });
    const label = 'edge-proxy-2.0.0-1';
    const handle = await stage.start(oneAtATime(outlineOf(label, { all: [sites] })));
    const failure = await failureOf(handle.result());
    expect(failure.message).toContain('BUDGET_FAILED (1 of 6 sites, limit 0: a1)');
    expect(commandsOf(stage, sites)).toEqual(['converge a1', 'revert a1']);
    expect(stage.seen.issued.filter((id) => /\/a[2-6]\/.*converge/.test(id)).length).toBeLessThanOrEqual(1);

    // In the histories: no converge is scheduled from the moment on in which the rollout had the news.
    const rollout = await historyOf(stage, handle.workflowId);
    const told = rollout.find((event) => event.workflowExecutionSignaledEventAttributes?.signalName === 'siteOutcomes');
    const shard = await historyOf(stage, `${label}/all/1/1`);
    const scheduled = shard.filter(
      (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'converge',
    );
    expect(scheduled).toHaveLength(1);
    expect(timeOf(scheduled[0])).toBeLessThan(timeOf(told));
  });

  it('of several shards, the others command for as long as the word travels, and nobody once it has come', async () => {
    const convergeMs = 150;
    await stage.bringUp('v1', { converge: 'rejected', afterMs: 2_000 });
    await stage.bringUp('w', { converge: 'confirmed', afterMs: convergeMs });
    const label = 'edge-proxy-2.0.5-1';
    const named = (letter: string, count: number) =>
      Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);
    const outline = outlineOf(label, { all: [[...named('v', 500), ...named('w', 200)]] });
    outline.stages = outline.stages.map((one) => ({
      ...one,
      concurrency: 8,
      waves: one.waves.map(({ sites }) => ({
        sites: sites.map((site) => (site.id.startsWith('w') ? { ...site, queue: 'site-w' } : site)),
      })),
    }));
    const before = stage.seen.drafts.length;
    const handle = await stage.start(outline);
    // Other tests of the file have left theirs.
    const undone = () => stage.seen.drafts.slice(before).some(({ kind }) => kind === 'undo');
    await until(() => undone() || undefined, 'the undo');
    await pause(1_000);
    const first = await historyOf(stage, `${label}/all/1/1`);
    const told = first.find((event) => event.workflowExecutionSignaledEventAttributes?.signalName === 'stop');
    const refusedAt = timeOf(
      first.find((event) => {
        const scheduledId = event.activityTaskCompletedEventAttributes?.scheduledEventId;
        const begun = first.find(({ eventId }) => String(eventId) === String(scheduledId));
        return begun?.activityTaskScheduledEventAttributes?.activityType?.name === 'converge';
      }),
    );
    const other = await historyOf(stage, `${label}/all/1/2`);
    const isStop = (e: (typeof other)[number]) => e.workflowExecutionSignaledEventAttributes?.signalName === 'stop';
    const stopped = other.findIndex(isStop);
    expect([stopped > 0, told !== undefined]).toEqual([true, true]);
    const converges = other.flatMap((e, index) =>
      e.activityTaskScheduledEventAttributes?.activityType?.name === 'converge' ? [{ index, at: timeOf(e) }] : [],
    );
    const late = converges.filter(({ at }) => at > refusedAt);
    const travelled = timeOf(other[stopped]) - refusedAt;
    expect(converges.length).toBeGreaterThan(8);
    // Handled in the workflow task that brings it: what was scheduled by the task before may stand behind it.
    expect(late.filter(({ index }) => index > stopped + 3)).toEqual([]);
    const slots = 4;
    expect(late.length, `in ${travelled} ms`).toBeLessThanOrEqual(slots * (1 + Math.ceil(travelled / convergeMs)));
    await handle.terminate('measured');
  });

  it('goes on after a failure that the budget does allow, once the rollout has heard of it', async () => {
    await stage.bringUp('b1', { converge: 'reverted' });
    for (const site of ['b2', 'b3']) await stage.bringUp(site, { converge: 'confirmed' });
    const label = 'edge-proxy-2.0.1-1';
    const outline = oneAtATime(outlineOf(label, { all: [['b1', 'b2', 'b3']] }));
    outline.stages = outline.stages.map((one) => ({ ...one, budget: { failed: 1, owed: 0 } }));
    const handle = await stage.start(outline);
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 2 });
    const shard = await historyOf(stage, `${label}/all/1/1`);
    const heard = shard.findIndex((e) => e.workflowExecutionSignaledEventAttributes?.signalName === 'heard');
    const converges = shard.flatMap((e, index) =>
      e.activityTaskScheduledEventAttributes?.activityType?.name === 'converge' ? [index] : [],
    );
    expect(heard).toBeGreaterThan(converges[0] ?? Infinity);
    expect(converges.filter((index) => index < heard)).toHaveLength(1);
    expect(converges).toHaveLength(3);
  });

  it('does not lose the word that it goes on while the rollout is paused', async () => {
    await stage.bringUp('c1', { converge: 'reverted', afterMs: 1_000 });
    await stage.bringUp('c2', { converge: 'confirmed' });
    const outline = oneAtATime(outlineOf('edge-proxy-2.0.2-1', { all: [['c1', 'c2']] }));
    outline.stages = outline.stages.map((one) => ({ ...one, budget: { failed: 1, owed: 0 } }));
    const handle = await stage.start(outline);
    await received(stage, 'converge c1');
    await handle.executeUpdate('pause', { args: [asker] });
    await pause(2_000);
    expect(commandsOf(stage, ['c2'])).toEqual([]);
    await handle.executeUpdate('resume', { args: [asker] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 1 });
  });
});

describe('what a shard tells before its start is known', () => {
  it('is answered once it is: the shard does not wait for ever', async () => {
    await stage.bringUp('q1', { converge: 'confirmed', afterMs: 1_500 });
    for (const site of ['q3', 'q4']) await stage.bringUp(site, { converge: 'confirmed', afterMs: 800 });
    const label = 'edge-proxy-2.0.3-1';
    const outline = oneAtATime(outlineOf(label, { one: [['q1']], two: [['q2', 'q3', 'q4']] }));
    outline.stages = outline.stages.map((one) => ({ ...one, budget: { failed: 1, owed: 0 } }));
    const handle = await stage.start(outline);
    await received(stage, 'converge q1');
    const { firstRunId } = (await statusOf(handle)) ?? { firstRunId: '' };
    const failed = { site: 'q2', outcome: 'rejected', stage: 'two', wave: 0 };
    // As if its start, and this word, had come in one workflow task: signals are handled first.
    const shard = `${label}/two/1/1`;
    await handle.signal('siteOutcomes', { firstRunId, shard, verb: 'converge', outcomes: [failed] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 3 });
    const heard = (await historyOf(stage, shard)).filter(
      (event) => event.workflowExecutionSignaledEventAttributes?.signalName === 'heard',
    );
    expect(heard).toHaveLength(1);
  });
});

describe('after the last promotion, before the seal', () => {
  it('a local revert beyond the budget is a failure; what is tried again is judged by budget and gate', async () => {
    const script = { converge: 'confirmed' as 'confirmed' | 'reverted' };
    await stage.bringUp('r1', script);
    await stage.bringUp('r2', { converge: 'never' });
    const label = 'edge-proxy-2.0.4-1';
    const outline = outlineOf(label, { all: [['r1', 'r2']] });
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    const budget = { failed: 0, owed: '100%' } as const;
    outline.stages = outline.stages.map((one) => ({ ...one, budget, settleWithin: 12_000 }));
    const handle = await stage.start(outline);
    await received(stage, 'converge r2');
    // Nobody knows what r2 does: the rollout is not sealed before it may not begin to switch any more.
    await stage.client.workflow.getHandle(`${label}/all/1/1`).terminate('as a person might');
    await waitFor(handle, 'NO_CONFIRMED_SITE');
    const { firstRunId } = (await statusOf(handle)) ?? { firstRunId: '' };
    const told = (change: object) => {
      const outcome = { site: 'r1', outcome: 'confirmed', stage: 'all', wave: 0, at: 1, ...change };
      return handle.signal('lateNews', { firstRunId, outcomes: [outcome], answers: [] });
    };
    await told({});
    await until(
      async () => (await statusOf(handle))?.stages[0]?.state === 'promoted' || undefined,
      'the last promotion',
    );
    await told({ outcome: 'reverted', cause: 'check', at: 2 });
    expect((await waitFor(handle, 'BUDGET_FAILED')).outcome).toBe('halted');

    script.converge = 'reverted';
    await handle.executeUpdate('retry', { args: [{ ...asker, sites: ['r1'] }] });
    await received(stage, 'converge r1', 2);
    expect((await waitFor(handle, 'BUDGET_FAILED')).stages[0]).toMatchObject({ confirmed: 0, failed: 1 });

    script.converge = 'confirmed';
    const judged = () => stage.seen.gateCalls.filter(({ confirmedSites }) => confirmedSites.includes('r1')).length;
    const before = judged();
    await handle.executeUpdate('retry', { args: [{ ...asker, sites: ['r1'] }] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 1, owed: 1 });
    expect(judged()).toBe(before + 1);
  });
});

describe('deferred sites', () => {
  it('are asked for again under the same id without a slot, and end the wave as any other', async () => {
    for (const site of ['d1', 'd2']) await stage.bringUp(site, { converge: 'confirmed' });
    stage.deferrals.set('d1', { reason: { code: 'FROZEN', detail: 'freeze-1' } });
    const handle = await stage.start(oneAtATime(outlineOf('edge-proxy-2.1.0-1', { all: [['d1', 'd2']] })));
    // With one slot only: d1 must not have it.
    await received(stage, 'converge d2');
    const waiting = await statusOf(handle);
    expect(waiting?.stages[0]).toMatchObject({ owed: 1, state: 'running' });
    expect(commandsOf(stage, ['d1'])).toEqual([]);
    await until(
      () => stage.seen.dispositions.find((one) => one.site === 'd1' && one.outcome === 'deferred'),
      'its record',
    );
    stage.deferrals.delete('d1');
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 2, owed: 0 });
    expect(commandsOf(stage, ['d1'])).toEqual(['converge d1']);
    const told = stage.seen.dispositions.filter((one) => one.site === 'd1');
    expect(told).toHaveLength(1);
  });

  it('are commanded at the time that was named', async () => {
    await stage.bringUp('e1', { converge: 'confirmed' });
    const opensAt = Date.now() + 3_000;
    stage.deferrals.set('e1', { reason: { code: 'FROZEN', detail: 'freeze-2' }, until: opensAt });
    const running = stage.start(oneAtATime(outlineOf('edge-proxy-2.1.1-1', { all: [['e1']] }), 1_500));
    setTimeout(() => stage.deferrals.delete('e1'), 2_500);
    await received(stage, 'converge e1');
    // Its patience counts from the opening: from the first try on it would have been over by now.
    expect(Date.now()).toBeGreaterThan(opensAt - 100);
    expect(Date.now()).toBeLessThan(opensAt + 1_500);
    expect(await (await running).result()).toMatchObject({ outcome: 'promoted', confirmed: 1 });
  });

  it('stay deferred past their settleBy, and the wave ends', async () => {
    await stage.bringUp('f1', { converge: 'confirmed' });
    stage.deferrals.set('f2', { reason: { code: 'OWED_REVERT', detail: 'edge-proxy-1' } });
    const outline = oneAtATime(outlineOf('edge-proxy-2.1.2-1', { all: [['f1', 'f2']] }), 2_000);
    outline.stages = outline.stages.map((one) => ({ ...one, budget: { failed: 0, owed: '50%' } }));
    const handle = await stage.start(outline);
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 1, owed: 1 });
    const sealed = stage.seen.drafts.findLast(({ kind }) => kind === 'sealed');
    expect(sealed?.data['sites']).toContainEqual(expect.objectContaining({ site: 'f2', outcome: 'deferred' }));
    stage.deferrals.delete('f2');
  });

  it('are given up by a shard that is cancelled in the task in which it finds them', async () => {
    const now = Date.now();
    const reason = { code: 'FROZEN', detail: 'freeze-3' };
    const deferral = { site: 'h1', reason, askAt: now + 5_000, pause: 5_000, settleBy: now + 60_000, asking: false };
    const nothing = { pending: [], inFlight: [], commanded: [], outcomes: [], unheard: [] };
    const carried = { ...nothing, deferred: [deferral], stopped: false, held: false, continueAfterEvents: 4_096 };
    const handle = await stage.client.workflow.start('shard', {
      ...{ workflowId: 'cancelled-at-its-seam', taskQueue: 'foothold' },
      args: [shardInputOf('edge-proxy-2.1.9-1', 'first-run-of-h', ['h1']), carried],
      // So that its first task has both.
      startDelay: '1s',
    });
    await handle.cancel();
    const late = pause(10_000).then(() => 'it did not end');
    expect(await Promise.race([handle.result(), late])).toMatchObject({
      outcomes: [{ site: 'h1', outcome: 'untouched' }],
    });
  });

  it('a redundancy mate is commanded in the same rollout as soon as the other has settled', async () => {
    await stage.bringUp('g2', { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-2.1.3-1', { one: [['g1']], two: [['g2']] });
    outline.stages = outline.stages.map((one) => ({
      ...one,
      settleWithin: one.name === 'one' ? 1_500 : 20_000,
      budget: { failed: 0, owed: '100%' },
      waves: one.waves.map((wave) => ({ sites: wave.sites.map((site) => ({ ...site, group: 'pair' })) })),
    }));
    // g1 is received and then falls silent: it may be changing.
    await stage.bringUp('g1', { converge: 'never' });
    const handle = await stage.start(outline);
    await received(stage, 'converge g1');
    await stage.bringDown('g1');
    await waitFor(handle, 'NO_CONFIRMED_SITE');
    const { firstRunId } = (await statusOf(handle)) ?? { firstRunId: '' };
    await pause(300);
    const confirmed = { site: 'g1', outcome: 'confirmed', stage: 'one', wave: 0, at: 1 };
    await handle.signal('lateNews', { firstRunId, outcomes: [confirmed], answers: [] });
    await until(
      () => stage.seen.dispositions.find((one) => one.site === 'g2' && one.reason?.code === 'GROUP_CHANGING'),
      'the deferral of the mate',
    );
    expect(commandsOf(stage, ['g2'])).toEqual([]);
    stage.settle('g1', 'confirmed');
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 2 });
  });

  it('are given up at a stop, and asked for again if a person goes on', async () => {
    await stage.bringUp('h1', { converge: 'rejected' });
    await stage.bringUp('h2', { converge: 'confirmed' });
    stage.deferrals.set('h2', { reason: { code: 'FROZEN', detail: 'freeze-3' } });
    const outline = outlineOf('edge-proxy-2.1.4-1', { all: [['h1', 'h2']] });
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    const handle = await stage.start(outline);
    await waitFor(handle, 'BUDGET_FAILED');
    stage.deferrals.delete('h2');
    await handle.executeUpdate('promote', { args: [{ ...asker, override: true }] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 1 });
    expect(commandsOf(stage, ['h2'])).toEqual(['converge h2']);
  });
});

describe('retry', () => {
  it('commands again what failed, under the next try; the old outcome no longer counts, and the wave is judged again', async () => {
    const script = { converge: 'rejected' as 'rejected' | 'confirmed' };
    await stage.bringUp('i1', script);
    await stage.bringUp('i2', { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-2.2.0-1', { all: [['i1', 'i2']] });
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    const handle = await stage.start(outline);
    await waitFor(handle, 'BUDGET_FAILED');
    await expect(handle.executeUpdate('retry', { args: [{ ...asker, sites: ['i2'] }] })).rejects.toThrow();
    await expect(handle.executeUpdate('retry', { args: [{ ...asker, sites: ['nobody'] }] })).rejects.toThrow();
    stage.quarantined.add('i1');
    const barred = await handle.executeUpdate('retry', { args: [asker] });
    expect(barred).toMatchObject({ accepted: false, message: expect.stringContaining('QUARANTINED') as string });
    stage.quarantined.clear();
    script.converge = 'confirmed';
    expect(await handle.executeUpdate('retry', { args: [asker] })).toMatchObject({ accepted: true });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 2 });
    const ids = stage.seen.issued.filter((id) => id.includes('/i1/'));
    expect(ids.map((id) => id.split('/').slice(1).join('/'))).toEqual([
      'i1/edge-proxy/converge/1',
      'i1/edge-proxy/converge/2',
    ]);
  });

  it('fails again if the site fails again: it counts once, and an undo after it goes to the site once', async () => {
    await stage.bringUp('j1', { converge: 'reverted' });
    await stage.bringUp('j2', { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-2.2.1-1', { all: [['j1', 'j2']] });
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    const handle = await stage.start(outline);
    await waitFor(handle, 'BUDGET_FAILED');
    await handle.signal('retry', asker);
    await received(stage, 'converge j1', 2);
    const again = await waitFor(handle, 'BUDGET_FAILED');
    expect(again.stages[0]).toMatchObject({ confirmed: 1, failed: 1, owed: 0 });
    await handle.executeUpdate('revert', { args: [asker] });
    await failureOf(handle.result());
    expect(commandsOf(stage, ['j1'])).toEqual(['converge j1', 'converge j1', 'revert j1']);
  });

  it('asked for by two people at once, each for another site, is done for both', async () => {
    for (const site of ['ra', 'rb']) await stage.bringUp(site, { converge: 'rejected' });
    const outline = outlineOf('edge-proxy-2.2.9-1', { all: [['ra', 'rb']] });
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    outline.stages = outline.stages.map((one) => ({ ...one, budget: { failed: 1, owed: '100%' } }));
    const handle = await stage.start(outline);
    await waitFor(handle, 'BUDGET_FAILED');
    const asked = ['ra', 'rb'].map((site) =>
      handle
        .executeUpdate<VerbAnswer, [object]>('retry', { args: [{ ...asker, sites: [site] }] })
        .catch(() => undefined),
    );
    const taken = (await Promise.all(asked)).map((answer) => answer?.accepted === true);
    expect(taken).toContain(true);
    const tried = ['ra', 'rb'].filter((_, index) => taken[index]);
    for (const site of tried) await received(stage, `converge ${site}`, 2);
    await handle.executeUpdate('abort', { args: [asker] });
    await failureOf(handle.result());
  });

  it('what an earlier try ended with does not come back by the inbox', async () => {
    const script = { converge: 'rejected' as 'rejected' | 'confirmed', afterMs: 50 };
    await stage.bringUp('k1', script);
    const outline = outlineOf('edge-proxy-2.2.2-1', { all: [['k1']] });
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    const handle = await stage.start(outline);
    await waitFor(handle, 'BUDGET_FAILED');
    Object.assign(script, { converge: 'confirmed', afterMs: 1_500 });
    await handle.executeUpdate('retry', { args: [asker] });
    await received(stage, 'converge k1', 2);
    const { firstRunId } = (await statusOf(handle)) ?? { firstRunId: '' };
    const stale = { site: 'k1', outcome: 'rejected', stage: 'all', wave: 0, at: 1 };
    await handle.signal('lateNews', { firstRunId, outcomes: [stale], answers: [] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 1 });
  });
});

describe('an answer of an agent that does not speak for its site', () => {
  const reason = { code: 'WRONG_EPOCH' as const, detail: 'the site was replaced' };
  it.each(['confirmed', 'rejected', 'reverted'] as const)(
    '[A34] %s: the site is owed, nothing is promoted or undone upon it, and a person can try it again',
    async (word) => {
      const site = `s-${word}`;
      const script = { converge: word };
      await stage.bringUp(site, script);
      stage.disbelieved.set(site, reason);
      const version = { confirmed: '2.4.0', rejected: '2.4.1', reverted: '2.4.2' }[word];
      const outline = outlineOf(`edge-proxy-${version}-1`, { all: [[site]] });
      outline.strategy = { ...outline.strategy, onFailure: 'stay' };
      outline.stages = outline.stages.map((one) => ({ ...one, budget: { failed: 1, owed: '100%' } }));
      const handle = await stage.start(outline);
      const waiting = await waitFor(handle, 'NO_CONFIRMED_SITE');
      expect(waiting.stages[0]).toMatchObject({ confirmed: 0, failed: 0, owed: 1 });
      stage.disbelieved.delete(site);
      script.converge = 'confirmed';
      await handle.executeUpdate('retry', { args: [{ ...asker, sites: [site] }] });
      expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 1, owed: 0 });
    },
  );
});

/** What a shard of these sites is asked to do, with nobody to listen. */
function shardInputOf(label: string, firstRunId: string, sites: string[], change: Record<string, unknown> = {}) {
  const outline = oneAtATime(outlineOf(label, { all: [sites] }));
  return {
    workflowId: 'rollout/nobody',
    firstRunId,
    label: outline.label,
    planDigest: outline.planDigest,
    release: outline.release,
    verb: 'converge',
    generation: 1,
    try: 1,
    stage: 'all',
    wave: 0,
    shard: 0,
    sites: outline.stages[0]?.waves[0]?.sites ?? [],
    links: outline.links,
    settleWithin: 20_000,
    concurrency: 1,
    ...change,
  };
}

interface ShardEnds {
  outcomes: { site: string; outcome: string; reason?: { code: string } }[];
  commanded: unknown[];
}

function startShard(workflowId: string, ...args: unknown[]) {
  return stage.client.workflow.start('shard', { workflowId, taskQueue: 'foothold', args });
}

describe('retry without the lock', () => {
  it('commands nobody: another rollout has the stream', async () => {
    await stage.bringUp('p1', { converge: 'rejected' });
    await stage.bringUp('p2', { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-2.2.3-1', { all: [['p1']] });
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    const handle = await stage.start(outline);
    await waitFor(handle, 'BUDGET_FAILED');
    await stage.client.workflow.getHandle('foothold/stream/edge-proxy').terminate('by hand');
    const soaking = outlineOf('edge-proxy-2.2.4-1', { all: [['p2']] });
    soaking.stages = soaking.stages.map((one) => ({ ...one, soak: 4_000 }));
    const rival = await stage.start(soaking);
    await received(stage, 'converge p2');
    await handle.executeUpdate('retry', { args: [asker] });
    await waitFor(handle, 'LOCK_LOST');
    await pause(500);
    expect(commandsOf(stage, ['p1'])).toEqual(['converge p1']);
    await handle.executeUpdate('abort', { args: [asker] });
    await failureOf(handle.result());
    expect(commandsOf(stage, ['p1'])).toEqual(['converge p1', 'revert p1']);
    expect(await rival.result()).toMatchObject({ outcome: 'promoted' });
  });
});

describe('a shard', () => {
  it('[§4 measured] continues as new at any time: what is in flight is observed again under the same command, nothing is lost', async () => {
    for (const site of ['l1', 'l2', 'l3', 'l4']) await stage.bringUp(site, { converge: 'confirmed', afterMs: 600 });
    const input = shardInputOf('edge-proxy-2.3.0-1', '00000000-0000-4000-8000-000000000001', ['l1', 'l2', 'l3', 'l4']);
    const handle = await startShard('shard-that-is-long', input, null, 12);
    const end = (await handle.result()) as ShardEnds;
    expect(end.outcomes.map(({ site, outcome }) => `${site} ${outcome}`).sort()).toEqual([
      'l1 confirmed',
      'l2 confirmed',
      'l3 confirmed',
      'l4 confirmed',
    ]);
    expect(end.commanded).toHaveLength(4);
    const { runId } = await stage.client.workflow.getHandle('shard-that-is-long').describe();
    expect(runId).not.toBe(handle.firstExecutionRunId);
    const ids = stage.seen.issued.filter((id) => id.startsWith(input.firstRunId));
    expect(new Set(ids).size).toBe(4);
    expect(
      new Set(stage.seen.settled.filter(({ site }) => site.startsWith('l')).map((one) => one.commandId)).size,
    ).toBe(4);
  });

  it('[B36] continued as new, schedules no dark site again while a failure is not answered', async () => {
    await stage.bringUp('m1', { converge: 'confirmed' });
    const firstRunId = '00000000-0000-4000-8000-000000000002';
    const input = shardInputOf('edge-proxy-2.3.1-1', firstRunId, ['m0', 'm1']);
    const commandId = `${firstRunId}/m1/edge-proxy/converge/1`;
    const envelope = { payloadType: 'application/vnd.foothold.command+json', payload: '', signatures: [] };
    const [issuedAt, page] = [Date.now(), { commands: [{ site: 'm1', commandId, envelope }] }];
    const command = { site: 'm1', queue: 'site-m1', commandId, page, issuedAt, settleBy: issuedAt + 20_000 };
    const handle = await startShard('shard-carried', input, {
      pending: [],
      deferred: [],
      inFlight: [{ command, hasSlot: false }],
      commanded: [],
      outcomes: [{ site: 'm0', outcome: 'reverted', stage: 'all', wave: 0 }],
      unheard: ['m0'],
      stopped: false,
      held: false,
      continueAfterEvents: 4_096,
    });
    await pause(1_500);
    expect(commandsOf(stage, ['m1'])).toEqual([]);
    await handle.signal('heard', ['m0']);
    const end = (await handle.result()) as ShardEnds;
    expect(end.outcomes.find(({ site }) => site === 'm1')).toMatchObject({ outcome: 'confirmed' });
  });

  it('does not continue as new once it is cancelled: the next run would know nothing of that', async () => {
    const firstRunId = '00000000-0000-4000-8000-000000000004';
    const input = shardInputOf('edge-proxy-2.3.3-1', firstRunId, ['nobody'], { verb: 'revert', generation: 2 });
    const commandId = `${firstRunId}/nobody/edge-proxy/revert/1`;
    const envelope = { payloadType: 'application/vnd.foothold.command+json', payload: '', signatures: [] };
    const page = { commands: [{ site: 'nobody', commandId, envelope }] };
    const command = { site: 'nobody', queue: 'site-nobody', commandId, page, issuedAt: Date.now() };
    const nothing = { pending: [], deferred: [], commanded: [], outcomes: [], unheard: [] };
    const inFlight = [{ command, hasSlot: true }];
    const handle = await stage.client.workflow.start('shard', {
      ...{ workflowId: 'cancelled-and-long', taskQueue: 'foothold', startDelay: '1s' },
      args: [input, { ...nothing, inFlight, stopped: false, held: false, continueAfterEvents: 1 }],
    });
    await handle.cancel();
    const late = pause(10_000).then(() => 'it did not end');
    expect(await Promise.race([handle.result(), late])).toMatchObject({ outcomes: [{ outcome: 'owed' }] });
  });

  it('[A19] signs a revert anew that the agent did not take in, under the same id, also after continuing as new', async () => {
    await stage.bringUp('n1', { converge: 'never', refuses: { times: 1, code: 'SIGNATURE_INVALID' } });
    await stage.bringUp('n2', { converge: 'never' });
    const firstRunId = '00000000-0000-4000-8000-000000000003';
    const input = shardInputOf('edge-proxy-2.3.2-1', firstRunId, ['n1', 'n2'], { verb: 'revert', generation: 2 });
    const handle = await startShard('shard-refused', input, null, 12);
    const end = (await handle.result()) as ShardEnds;
    expect(end.outcomes.map(({ site, outcome }) => `${site} ${outcome}`).sort()).toEqual([
      'n1 reverted',
      'n2 reverted',
    ]);
    expect(commandsOf(stage, ['n1', 'n2']).toSorted()).toEqual(['revert n1', 'revert n1', 'revert n2']);
    const id = `${firstRunId}/n1/edge-proxy/revert/1`;
    expect(stage.seen.issued.filter((one) => one === id)).toHaveLength(2);
    const { runId } = await stage.client.workflow.getHandle('shard-refused').describe();
    expect(runId).not.toBe(handle.firstExecutionRunId);
  });

  it('[A19] signs a refused revert anew at once when the site is heard of; late, twice or nonsense changes nothing', async () => {
    await stage.bringUp('t1', { converge: 'never', refuses: { times: 3, code: 'WRONG_EPOCH' } });
    const firstRunId = '00000000-0000-4000-8000-000000000005';
    const input = shardInputOf('edge-proxy-2.3.4-1', firstRunId, ['t1', 't2'], { verb: 'revert', generation: 2 });
    const handle = await startShard('shard-heard', input);
    for (const times of [1, 2, 3]) {
      await received(stage, 'revert t1', times);
      const refusedAt = Date.now();
      // Its own pauses are 5, 10 and 20 seconds; a refusal that is on its way is told of first.
      await pause(300);
      for (const sites of [['t1', 't1', 'nobody', 7], ['t1'], 'nonsense', null]) await handle.signal('signAnew', sites);
      await received(stage, 'revert t1', times + 1);
      expect(Date.now() - refusedAt).toBeLessThan(4_000);
    }
    // t2 is dark, and t1 has answered: nothing is sent again.
    await handle.signal('signAnew', ['t1', 't2']);
    await pause(500);
    expect(commandsOf(stage, ['t1', 't2'])).toEqual(['revert t1', 'revert t1', 'revert t1', 'revert t1']);
    await stage.bringUp('t2', { converge: 'never' });
    expect(((await handle.result()) as ShardEnds).outcomes.map(({ outcome }) => outcome)).toEqual([
      'reverted',
      'reverted',
    ]);
    expect(commandsOf(stage, ['t2'])).toEqual(['revert t2']);
  });

  it('[A24] gives up the undo of a retired site, dark or refusing, on the registry’s word alone; the others go on', async () => {
    const reason = { code: 'SITE_RETIRED' as const, detail: 'retired by anna: sold' };
    await stage.bringUp('u1', { converge: 'never', refuses: { times: 99, code: 'WRONG_EPOCH' } });
    const firstRunId = '00000000-0000-4000-8000-000000000006';
    const sites = ['u1', 'u2', 'u3'];
    const input = shardInputOf('edge-proxy-2.3.5-1', firstRunId, sites, { verb: 'revert', generation: 2 });
    const handle = await startShard('shard-retired', input);
    await received(stage, 'revert u1');
    await handle.signal('retired', sites);
    await received(stage, 'revert u1', 2);
    for (const site of ['u1', 'u2']) stage.retired.set(site, reason);
    await handle.signal('retired', ['u1', 'u2', 'nobody', null]);
    await handle.signal('retired', sites);
    const asked = commandsOf(stage, ['u1']).length;
    await pause(12_000);
    expect(commandsOf(stage, ['u1']).length - asked).toBeLessThanOrEqual(1);
    await stage.bringUp('u3', { converge: 'never' });
    const { outcomes } = (await handle.result()) as ShardEnds;
    expect(outcomes.map(({ site, outcome, reason: why }) => [site, outcome, why?.code]).toSorted()).toEqual([
      ['u1', 'owed', 'SITE_RETIRED'],
      ['u2', 'owed', 'SITE_RETIRED'],
      ['u3', 'reverted', undefined],
    ]);
  });

  it('[A19] that is stopped leaves a revert that was refused owed, with the code as the reason', async () => {
    await stage.bringUp('o1', { converge: 'never', refuses: { times: 9, code: 'WRONG_EPOCH' } });
    const firstRunId = '00000000-0000-4000-8000-000000000004';
    const input = shardInputOf('edge-proxy-2.3.3-1', firstRunId, ['o1'], { verb: 'revert', generation: 2 });
    const handle = await startShard('shard-stopped', input);
    await until(() => stage.seen.settled.find(({ site }) => site === 'o1'), 'the refusal in the record');
    await handle.signal('stop');
    const end = (await handle.result()) as ShardEnds;
    expect(end.outcomes).toMatchObject([{ site: 'o1', outcome: 'owed', reason: { code: 'WRONG_EPOCH' } }]);
    expect(stage.seen.dispositions.filter(({ site }) => site === 'o1')).toMatchObject([{ outcome: 'owed' }]);
  });
});
