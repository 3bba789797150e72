/** The rollout workflow on a real server: order, gate, undo, verbs, lock, dispositions. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import {
  asker as verb,
  commandsOf as commandsTo,
  failureOf,
  historyOf,
  offered,
  openChildren,
  until,
} from './workflow-asserts.js';
import { openWorkflowStage, outlineOf, type WorkflowStage } from './workflow-stage.js';

let stage: WorkflowStage;
beforeAll(async () => {
  stage = await openWorkflowStage();
}, 120_000);
afterAll(async () => {
  await stage.close();
});

const commandsOf = (sites: string[]) => commandsTo(stage, sites);

describe('rollout', () => {
  it('[A29] [A30] promotes stage after stage, each gated on its own confirmed sites', async () => {
    for (const site of ['a1', 'a2', 'a3']) await stage.bringUp(site, { converge: 'confirmed' });
    const handle = await stage.start(outlineOf('edge-proxy-1.0.0-1', { canary: [['a1']], rest: [['a2', 'a3']] }));
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 3, owed: 0 });
    expect(commandsOf(['a1', 'a2', 'a3'])).toEqual([
      'converge a1',
      expect.stringMatching(/converge a[23]/),
      expect.stringMatching(/converge a[23]/),
    ]);
    expect(stage.seen.gateCalls.slice(-2)).toEqual([
      { stage: 'canary', wave: 0, confirmedSites: ['a1'] },
      { stage: 'rest', wave: 0, confirmedSites: expect.arrayContaining(['a2', 'a3']) as string[] },
    ]);
    expect(stage.seen.drafts.at(-1)).toMatchObject({ kind: 'sealed', data: { outcome: 'promoted' } });
  });

  it('[A31] a gate that fails reverts the cohort, and the rest never sees the release', async () => {
    for (const site of ['b1', 'b2']) await stage.bringUp(site, { converge: 'confirmed' });
    stage.gate.set('canary-b', 'fail');
    const handle = await stage.start(outlineOf('edge-proxy-1.0.1-1', { 'canary-b': [['b1']], rest: [['b2']] }));
    const failure = await failureOf(handle.result());
    expect(failure.type).toBe('RolloutReverted');
    expect(commandsOf(['b1', 'b2'])).toEqual(['converge b1', 'revert b1']);
    expect(stage.seen.blocks).toHaveLength(1);
  });

  it('[A32] a site that reverts by itself stops the wave; the others are undone, and it counts once', async () => {
    await stage.bringUp('c1', { converge: 'reverted' });
    await stage.bringUp('c2', { converge: 'never' });
    const handle = await stage.start(outlineOf('edge-proxy-1.0.2-1', { canary: [['c1', 'c2']], rest: [['c3']] }));
    const failure = await failureOf(handle.result());
    expect(failure.message).toContain('BUDGET_FAILED');
    expect(failure.message).toContain('1 of 2 sites');
    expect(commandsOf(['c2'])).toEqual(['converge c2', 'revert c2']);
    expect(commandsOf(['c3'])).toEqual([]);
  });

  it('a dark site is owed, not failed; the rollout waits when too many are, and abort leaves the confirmed alone', async () => {
    await stage.bringUp('d1', { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-1.0.3-1', { all: [['d1', 'd2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 3_000, budget: { failed: 0, owed: 0 } }));
    const handle = await stage.start(outline);
    const waiting = await until(async () => {
      const status = await handle.query<RolloutStatus | null>('status');
      return status?.wait ? status : undefined;
    }, 'the wait');
    expect(waiting.wait).toMatchObject({ owner: 'duty', then: 'stay', reason: { code: 'BUDGET_OWED' } });
    expect(stage.seen.dispositions.at(-1)).toMatchObject({ site: 'd2', outcome: 'owed', state: null });
    expect(await handle.executeUpdate('abort', { args: [verb] })).toMatchObject({ accepted: true });
    await stage.bringUp('d2', { converge: 'confirmed' });
    const failure = await failureOf(handle.result());
    expect(failure.type).toBe('RolloutAborted');
    expect(commandsOf(['d1', 'd2'])).toEqual(['converge d1', 'revert d2']);
  });

  it('[§4 measured] a second rollout of the stream is refused and names the holder; the lock is free afterwards', async () => {
    await stage.bringUp('e1', { converge: 'confirmed', afterMs: 6_000 });
    const first = await stage.start(outlineOf('edge-proxy-1.0.4-1', { all: [['e1']] }));
    await until(() => stage.seen.commands.includes('converge e1') || undefined, 'the first command');
    const second = await stage.start(outlineOf('edge-proxy-1.0.5-1', { all: [['e1']] }), 'someone/elses-id');
    const failure = await failureOf(second.result());
    expect(failure.type).toBe('RolloutRefused');
    expect(failure.message).toContain('STREAM_LOCKED');
    expect(failure.message).toContain('rollout/edge-proxy-1.0.4-1');
    await first.result();
    await stage.bringUp('e2', { converge: 'confirmed' });
    const third = await stage.start(outlineOf('edge-proxy-1.0.6-1', { all: [['e2']] }));
    expect(await third.result()).toMatchObject({ outcome: 'promoted' });
  });

  it('[§4 measured] malformed signals become evidence and jam nothing; verbs without a reason are refused', async () => {
    await stage.bringUp('f1', { converge: 'confirmed', afterMs: 1_500 });
    const handle = await stage.start(outlineOf('edge-proxy-1.0.7-1', { all: [['f1']] }));
    await until(() => stage.seen.commands.includes('converge f1') || undefined, 'the command');
    const before = stage.seen.drafts.length;
    for (const payload of [undefined, 'a text', 42, null, [], { by: 1 }, { by: 'x', reason: 'y'.repeat(100_000) }]) {
      await handle.signal('abort', payload);
    }
    await handle.signal('siteOutcomes', 'nonsense');
    await handle.signal('lateNews', { firstRunId: 'another', outcomes: [], answers: [] });
    await expect(handle.executeUpdate('pause', { args: [{ by: 'x' }] })).rejects.toThrow();
    await expect(handle.executeUpdate('promote', { args: [verb] })).rejects.toThrow();
    expect(await handle.result()).toMatchObject({ outcome: 'promoted' });
    const ignored = stage.seen.drafts.slice(before).filter((draft) => draft.kind === 'signal-ignored');
    expect(ignored.length).toBe(9);
  });

  it('pause holds promotion while the gate has passed; resume lets it go on', async () => {
    for (const site of ['g1', 'g2']) await stage.bringUp(site, { converge: 'confirmed' });
    const handle = await stage.start(outlineOf('edge-proxy-1.0.8-1', { one: [['g1']], two: [['g2']] }));
    await until(() => stage.seen.commands.includes('converge g1') || undefined, 'the first command');
    await handle.executeUpdate('pause', { args: [verb] });
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(commandsOf(['g2'])).toEqual([]);
    expect((await handle.query<RolloutStatus>('status')).state).toBe('paused');
    await handle.executeUpdate('resume', { args: [verb] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted' });
    expect(commandsOf(['g2'])).toEqual(['converge g2']);
  });

  it('a gate without data waits for its owner, never promotes by itself, and reverts everything when told to', async () => {
    for (const site of ['h1', 'h2']) await stage.bringUp(site, { converge: 'confirmed' });
    stage.gate.set('blind', 'error');
    const handle = await stage.start(
      outlineOf('edge-proxy-1.0.9-1', { first: [['h1']], blind: [['h2']], rest: [['h3']] }),
    );
    await until(async () => (await handle.query<RolloutStatus | null>('status'))?.wait, 'the wait');
    await handle.signal('revert', verb);
    const failure = await failureOf(handle.result());
    expect(failure.message).toContain('REVERT_REQUESTED');
    expect(commandsOf(['h1', 'h2', 'h3']).sort()).toEqual(['converge h1', 'converge h2', 'revert h1', 'revert h2']);
  });

  it('an owed revert outlives its rollout and is delivered when the site comes back', async () => {
    await stage.bringUp('k1', { converge: 'reverted' });
    await stage.bringUp('k2', { converge: 'never' });
    const outline = outlineOf('edge-proxy-1.1.0-1', { all: [['k1', 'k2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 4_000 }));
    const started = stage.start(outline);
    await until(() => stage.seen.commands.includes('converge k2') || undefined, 'the command');
    await stage.bringDown('k2');
    const handle = await started;
    await failureOf(handle.result());
    expect(stage.seen.statuses.at(-1)).toMatchObject({ state: 'sealed', outcome: 'reverted', owedReverts: ['k2'] });
    await stage.bringUp('k2', { converge: 'confirmed' });
    await until(() => stage.seen.commands.includes('revert k2') || undefined, 'the owed revert');
  });

  it('[A24] a site that confirmed and reverts later, with no observer, stops the rollout; it counts once', async () => {
    await stage.bringUp('l1', { converge: 'confirmed' });
    await stage.bringUp('l2', { converge: 'never' });
    const handle = await stage.start(outlineOf('edge-proxy-1.2.0-1', { one: [['l1']], two: [['l2']] }));
    await until(() => stage.seen.commands.includes('converge l2') || undefined, 'the second stage');
    const late = { site: 'l1', outcome: 'reverted', cause: 'check', stage: 'one', wave: 0, at: 1 };
    const { firstExecutionRunId: firstRunId } = handle;
    const detail = { workflowId: handle.workflowId, firstRunId, outcomes: [late], answers: [] };
    for (let times = 0; times < 2; times += 1) {
      await stage.client.workflow.signalWithStart('inbox', {
        workflowId: 'inbox/l1',
        taskQueue: 'foothold',
        args: ['l1'],
        signal: 'deliver',
        signalArgs: [{ report: { site: 'l1' }, events: [{ detail }] }],
      });
    }
    const failure = await failureOf(handle.result());
    expect(failure.message).toContain('BUDGET_FAILED (1 of 1 sites, limit 0: l1)');
    expect(commandsOf(['l1', 'l2']).sort()).toEqual(['converge l1', 'converge l2', 'revert l1', 'revert l2']);
  });

  it('a failure that a person overrides does not stop the rollout again, the next one does', async () => {
    await stage.bringUp('p1', { converge: 'reverted' });
    for (const site of ['p2', 'p3', 'p4']) await stage.bringUp(site, { converge: 'confirmed' });
    await stage.bringUp('p5', { converge: 'reverted' });
    const outline = outlineOf('edge-proxy-1.3.0-1', { all: [['p1', 'p2', 'p6'], ['p3', 'p4'], ['p5']] });
    await stage.bringUp('p6', { converge: 'confirmed' });
    outline.stages = outline.stages.map((one) => ({ ...one, concurrency: 1 }));
    outline.strategy = { ...outline.strategy, onFailure: 'stay' };
    const handle = await stage.start(outline);
    const halted = await until(async () => {
      const status = await handle.query<RolloutStatus | null>('status');
      return status?.outcome === 'halted' ? status : undefined;
    }, 'the halt');
    expect(halted.wait?.until).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 500));
    // The next site may be on its way while the word of the failure travels; none after it.
    expect(commandsOf(['p6'])).toEqual([]);
    await expect(handle.executeUpdate('promote', { args: [verb] })).rejects.toThrow();
    await expect.poll(async () => (await offered(handle))[0]).toBe('promote edge-proxy-1.3.0-1 --override');
    await handle.executeUpdate('promote', { args: [{ ...verb, override: true }] });
    await until(() => stage.seen.commands.includes('converge p5') || undefined, 'the third wave');
    expect(commandsOf(['p2', 'p6'])).toEqual(['converge p2', 'converge p6']);
    const again = await until(async () => {
      const status = await handle.query<RolloutStatus | null>('status');
      return status?.outcome === 'halted' ? status : undefined;
    }, 'the second halt');
    expect(again.wait?.reason).toMatchObject({ code: 'BUDGET_FAILED' });
    await handle.executeUpdate('revert', { args: [verb] });
    await failureOf(handle.result());
    const undone = commandsOf(['p1', 'p2', 'p3', 'p4', 'p5', 'p6']).filter((line) => line.startsWith('revert'));
    expect(undone).toHaveLength(6);
  });

  it('a revert asked for during the undo of a stage goes to every stage at once, and no undo pauses', async () => {
    await stage.bringUp('q1', { converge: 'confirmed' });
    await stage.bringUp('q2', { converge: 'reverted' });
    const outline = outlineOf('edge-proxy-1.3.1-1', { one: [['q1']], two: [['q2', 'q3']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 30_000 }));
    const handle = await stage.start(outline);
    await until(() => stage.seen.commands.includes('revert q2') || undefined, 'the undo of the stage');
    await expect(handle.executeUpdate('pause', { args: [verb] })).rejects.toThrow();
    expect(commandsOf(['q1'])).toEqual(['converge q1']);
    await handle.executeUpdate('revert', { args: [verb] });
    await until(() => stage.seen.commands.includes('revert q1') || undefined, 'the revert of the first stage');
    await stage.bringUp('q3', { converge: 'confirmed' });
    const failure = await failureOf(handle.result());
    expect(failure.message).toContain('REVERT_REQUESTED');
    expect(
      commandsOf(['q1', 'q2', 'q3'])
        .filter((line) => line.startsWith('revert'))
        .sort(),
    ).toEqual(['revert q1', 'revert q2', 'revert q3']);
  });

  it('the sites of a shard that is terminated from outside are owed and changing, never passed over', async () => {
    await stage.bringUp('r1', { converge: 'confirmed' });
    await stage.bringUp('r2', { converge: 'never' });
    const outline = outlineOf('edge-proxy-1.3.2-1', { all: [['r1', 'r2']], rest: [['r3']] });
    outline.stages = outline.stages.map((one) => ({ ...one, budget: { failed: 0, owed: 0 } }));
    const handle = await stage.start(outline);
    await until(() => stage.seen.commands.includes('converge r2') || undefined, 'the command');
    await stage.client.workflow.getHandle('edge-proxy-1.3.2-1/all/1/1').terminate('as a person might');
    await until(async () => (await handle.query<RolloutStatus | null>('status'))?.wait, 'the wait');
    expect(commandsOf(['r3'])).toEqual([]);
    await handle.executeUpdate('abort', { args: [verb] });
    await failureOf(handle.result());
    expect(commandsOf(['r2'])).toContain('revert r2');
  });

  it('a cohort with no confirmed site is never promoted; once a site is back the wave is judged again', async () => {
    const outline = outlineOf('edge-proxy-1.3.3-1', { all: [['s1']] });
    outline.stages = outline.stages.map((one) => ({
      ...one,
      settleWithin: 2_000,
      budget: { failed: 0, owed: '100%' },
    }));
    const handle = await stage.start(outline);
    const status = await until(async () => {
      const seen = await handle.query<RolloutStatus | null>('status');
      return seen?.wait ? seen : undefined;
    }, 'the wait');
    expect(status.wait?.reason.code).toBe('NO_CONFIRMED_SITE');
    const commands = ['retry', 'pause', 'abort', 'revert'].map((word) => `${word} edge-proxy-1.3.3-1`);
    await expect.poll(() => offered(handle)).toEqual(commands);
    await expect(handle.executeUpdate('promote', { args: [{ ...verb, override: true }] })).rejects.toThrow();
    const confirmed = { site: 's1', outcome: 'confirmed', stage: 'all', wave: 0, at: 1 };
    await handle.signal('lateNews', { firstRunId: status.firstRunId, outcomes: [confirmed], answers: [] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 1 });
    expect(stage.seen.gateCalls.at(-1)).toMatchObject({ stage: 'all', confirmedSites: ['s1'] });
  });

  it('[§4 measured] continues as new between waves, takes its lock again, and carries what it knows', async () => {
    for (const site of ['v1', 'v3']) await stage.bringUp(site, { converge: 'confirmed' });
    await stage.bringUp('v2', { converge: 'confirmed', afterMs: 6_000 });
    const outline = outlineOf('edge-proxy-1.4.0-1', { one: [['v1']], two: [['v2']], three: [['v3']] });
    // What was not carried is read again, however long the registry is away.
    let away = 3;
    stage.faults.readOutline = () => {
      if (away-- > 0) throw new Error('the registry is away');
    };
    const handle = await stage.start(outline, undefined, 20);
    const second = await until(async () => {
      const { runId } = await stage.client.workflow.getHandle(handle.workflowId).describe();
      return runId === handle.firstExecutionRunId ? undefined : runId;
    }, 'the second run');
    await until(() => stage.seen.commands.includes('converge v2') || undefined, 'the second stage');
    const rival = await stage.start(outlineOf('edge-proxy-1.4.1-1', { all: [['v1']] }));
    expect((await failureOf(rival.result())).message).toContain('STREAM_LOCKED');
    expect(second).not.toBe(handle.firstExecutionRunId);
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 3 });
    expect(commandsOf(['v1', 'v2', 'v3'])).toEqual(['converge v1', 'converge v2', 'converge v3']);
    expect(away).toBeLessThanOrEqual(0);
    // Whatever child is open when a run continues as new is ended by its parent-close policy: none may be.
    const events = await historyOf(stage, handle.workflowId, handle.firstExecutionRunId);
    expect(events.at(-1)?.workflowExecutionContinuedAsNewEventAttributes).toBeDefined();
    expect(openChildren(events)).toEqual([]);
    // Before everything is read, nothing is told: no status forgets a site that has confirmed.
    const told = stage.seen.statuses.filter(({ firstRunId }) => firstRunId === handle.firstExecutionRunId);
    const confirmed = told.map(({ stages }) => stages.reduce((sum, one) => sum + one.confirmed, 0));
    expect(confirmed).toEqual(confirmed.toSorted((one, other) => one - other));
  });

  it('a lock that is ended by hand is taken again before the next wave', async () => {
    for (const site of ['w1', 'w2']) await stage.bringUp(site, { converge: 'confirmed', afterMs: 1_000 });
    const handle = await stage.start(outlineOf('edge-proxy-1.4.2-1', { one: [['w1']], two: [['w2']] }));
    await until(() => stage.seen.commands.includes('converge w1') || undefined, 'the first command');
    await stage.client.workflow.getHandle('foothold/stream/edge-proxy').terminate('by hand');
    await until(() => stage.seen.commands.includes('converge w2') || undefined, 'the second command');
    const lock = await stage.client.workflow.getHandle('foothold/stream/edge-proxy').describe();
    expect(lock.status.name).toBe('RUNNING');
    expect(await handle.result()).toMatchObject({ outcome: 'promoted' });
  });

  it('an abort leaves the confirmed alone also where their shard is still open; a revert after it goes to all', async () => {
    await stage.bringUp('x1', { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-1.5.0-1', { all: [['x1', 'x2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 20_000 }));
    const handle = await stage.start(outline);
    await until(() => stage.seen.settled.some(({ site }) => site === 'x1') || undefined, 'the first result');
    await handle.signal('abort', verb);
    await until(
      async () => (await handle.query<RolloutStatus>('status')).state === 'reverting' || undefined,
      'the undo',
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(commandsOf(['x1'])).toEqual(['converge x1']);
    await handle.executeUpdate('revert', { args: [verb] });
    await until(() => stage.seen.commands.includes('revert x1') || undefined, 'the revert of the confirmed site');
    await stage.bringUp('x2', { converge: 'confirmed' });
    expect((await failureOf(handle.result())).type).toBe('RolloutReverted');
    expect(commandsOf(['x2'])).toContain('revert x2');
  });

  it('revert-all undoes the stages before the one that failed', async () => {
    await stage.bringUp('y1', { converge: 'confirmed' });
    await stage.bringUp('y2', { converge: 'reverted' });
    const outline = outlineOf('edge-proxy-1.5.1-1', { one: [['y1']], two: [['y2']] });
    outline.strategy = { ...outline.strategy, onFailure: 'revert-all' };
    const handle = await stage.start(outline);
    await failureOf(handle.result());
    expect(commandsOf(['y1', 'y2']).sort()).toEqual(['converge y1', 'converge y2', 'revert y1', 'revert y2']);
  });

  it('an expired wait of a cohort without a confirmed site is not promoted by an override either', async () => {
    const outline = outlineOf('edge-proxy-1.5.2-1', { all: [['z1']] });
    outline.strategy = { ...outline.strategy, onInconclusive: { within: 500, then: 'stay' } };
    outline.stages = outline.stages.map((one) => ({
      ...one,
      settleWithin: 1_500,
      budget: { failed: 0, owed: '100%' },
    }));
    const handle = await stage.start(outline);
    const halted = async () => {
      const status = await handle.query<RolloutStatus | null>('status');
      return status?.outcome === 'halted' || undefined;
    };
    await until(halted, 'the halt');
    await handle.executeUpdate('promote', { args: [{ ...verb, override: true }] });
    await until(halted, 'the halt again');
    await handle.signal('abort', verb);
    expect((await failureOf(handle.result())).type).toBe('RolloutAborted');
  });

  it('cancel in Temporal means abort', async () => {
    await stage.bringUp('m1', { converge: 'never' });
    const handle = await stage.start(outlineOf('edge-proxy-1.1.1-1', { all: [['m1']] }));
    await until(() => stage.seen.commands.includes('converge m1') || undefined, 'the command');
    await handle.cancel();
    const failure = await failureOf(handle.result());
    expect(failure.type).toBe('RolloutAborted');
    expect(commandsOf(['m1'])).toEqual(['converge m1', 'revert m1']);
  });

  it('bad input is refused with the form that was expected', async () => {
    for (const input of [
      undefined,
      'edge-proxy@1',
      {},
      { release: 'edge-proxy' },
      { release: 'a@1', strategy: 's', extra: 1 },
    ]) {
      const handle = await stage.client.workflow.start('rollout', {
        workflowId: `bad/${JSON.stringify(input) ?? 'none'}`,
        taskQueue: 'foothold',
        args: input === undefined ? [] : [input],
      });
      const failure = await failureOf(handle.result());
      expect(failure.message).toContain('BAD_INPUT');
    }
  });

  it('while records cannot be written nothing more changes, and an undo goes ahead', async () => {
    for (const site of ['n1', 'n2']) await stage.bringUp(site, { converge: 'confirmed' });
    const handle = await stage.start(outlineOf('edge-proxy-1.1.2-1', { one: [['n1']], two: [['n2']] }));
    await until(() => stage.seen.commands.includes('converge n1') || undefined, 'the first command');
    stage.faults.recordProgress = () => {
      throw new Error('the registry is away');
    };
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(commandsOf(['n2'])).toEqual([]);
    await handle.signal('revert', verb);
    await until(() => stage.seen.commands.includes('revert n1') || undefined, 'the revert');
    delete stage.faults.recordProgress;
    expect((await failureOf(handle.result())).message).toContain('REVERT_REQUESTED');
  });
});
