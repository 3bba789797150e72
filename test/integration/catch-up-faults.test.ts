/** What is ended by force, and a registry that was put back: nobody is forgotten, nobody commanded twice, nobody downgraded. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchId, catchUpId } from '../../policies/model/debt.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import { exportEvidence, verifyEvidence } from '../../records/evidence/document.js';
import { describeNamespace } from '../../activities/control/temporal-facts.js';
import { ensureSweepSchedule, SWEEP_SCHEDULE } from '../../worker/sweep-schedule.js';
import { CatchUpStage } from './catch-up-stage.js';

let stage: CatchUpStage;
beforeAll(async () => {
  stage = await CatchUpStage.open();
}, 120_000);
afterAll(async () => {
  await stage.close();
});

/** `a` and `c` are up; `b`, slow by `watchMs`, is dark. */
async function threeSites(stream: string, watchMs?: number): Promise<void> {
  await stage.publish(stream, '1.0.0', '2.0.0', '3.0.0');
  stage.addSite(`${stream}-a`, stream, { live: '1.0.0', risk: 'low' });
  stage.addSite(`${stream}-b`, stream, { live: '1.0.0', ...(watchMs !== undefined && { watchMs }) });
  stage.addSite(`${stream}-c`, stream, { live: '1.0.0' });
  await stage.up(`${stream}-a`, `${stream}-c`);
}

const inState = (workflowId: string, is: (status: RolloutStatus) => boolean | undefined) =>
  stage.until(async () => {
    const status = await stage.registry.findRollout(workflowId);
    return status && is(status) && status;
  }, `the state of ${workflowId}`);

describe('a terminated rollout', () => {
  const moments: [string, (status: RolloutStatus) => boolean][] = [
    ['before its first command', ({ state }) => state === 'preflight' || state === 'running'],
    ['between its stages', ({ stages }) => stages[0]?.state === 'promoted'],
    ['with a site out of reach', ({ stages }) => stages[1]?.state === 'running'],
  ];
  it.each(moments)('is sealed by the sweeper, once, with who ended it: %s', async (words, moment) => {
    const stream = `end-${moments.findIndex(([one]) => one === words)}`;
    await threeSites(stream);
    const rollout = await stage.start(stream, '2.0.0');
    const { label, firstRunId } = await inState(rollout.workflowId, moment);
    expect((await stage.sweep()).terminated).not.toContain(label);
    await rollout.terminate('the wrong night');
    expect((await stage.sweep()).terminated).toContain(label);
    expect((await stage.sweep()).terminated).not.toContain(label);
    const sealed = await stage.statusOf(label);
    expect(sealed).toMatchObject({ state: 'sealed', outcome: 'terminated', reason: { code: 'TERMINATED' } });
    expect(sealed.reason?.detail).toContain('the wrong night');
    const document = await exportEvidence(stage.registry, firstRunId);
    expect(verifyEvidence(JSON.parse(JSON.stringify(document)))).toMatchObject({ ok: true });
    const seals = (await stage.registry.evidence(firstRunId)).filter(({ kind }) => kind === 'sealed');
    expect(seals.map(({ data }) => data['by'])).toEqual(['sweeper']);
    expect(await stage.registry.debts({ stream })).toEqual([]);
    // The lock is free: its parent is gone.
    await stage.up(`${stream}-b`);
    expect(await stage.rollOut(stream, '3.0.0')).toMatchObject({ outcome: 'promoted' });
  });

  it('is told apart from one that Temporal does not know at all', async () => {
    await threeSites('gone');
    const known = await stage.rollOut('gone', '2.0.0');
    const { outcome: _, reason: __, ...running } = known;
    const lost = {
      ...running,
      label: 'gone-9',
      workflowId: 'rollout/nowhere',
      firstRunId: 'no-such-run',
      state: 'running' as const,
    };
    await stage.registry.putStatus(lost);
    // Nobody has said in which namespace it ran: it may be alive there.
    expect(await stage.sweep()).toMatchObject({ terminated: [], elsewhere: ['gone-9'], failed: [] });
    expect((await stage.statusOf('gone-9')).state).toBe('running');
    const { id } = await describeNamespace(stage.client);
    await stage.registry.placeRollout(lost.firstRunId, { name: stage.client.options.namespace, id });
    expect(await stage.sweep()).toMatchObject({ terminated: ['gone-9'], elsewhere: [] });
    expect(await stage.statusOf('gone-9')).toMatchObject({
      outcome: 'terminated',
      reason: { code: 'WORKFLOW_UNKNOWN' },
    });
  });

  it('that is reset after the sweeper sealed it goes on with its debts, and is sealed again as what it came to', async () => {
    const stream = 'again';
    await threeSites(stream);
    const rollout = await stage.start(stream, '2.0.0');
    const { label, firstRunId } = await inState(rollout.workflowId, ({ stages }) => stages[1]?.state === 'running');
    await rollout.terminate('the wrong night');
    expect((await stage.sweep()).terminated).toContain(label);
    const { events } = await rollout.fetchHistory();
    const last = events?.findLast((event) => event.workflowTaskCompletedEventAttributes)?.eventId;
    await stage.client.workflowService.resetWorkflowExecution({
      namespace: stage.client.options.namespace,
      workflowExecution: { workflowId: rollout.workflowId, runId: firstRunId },
      ...(last ? { workflowTaskFinishEventId: last } : {}),
      requestId: randomUUID(),
      reason: 'the right night',
    });
    await inState(rollout.workflowId, ({ state }) => state !== 'sealed');
    expect((await stage.sweep()).terminated).not.toContain(label);
    const reset = stage.client.workflow.getHandle(rollout.workflowId);
    await reset.executeUpdate('revert', { args: [{ by: 'kari', reason: 'to see it undone' }] });
    const sealed = await inState(rollout.workflowId, ({ state }) => state === 'sealed');
    expect(sealed).toMatchObject({ outcome: 'reverted', reason: { code: 'REVERT_REQUESTED' } });
    await stage.up(`${stream}-b`);
    await stage.until(async () => (await stage.registry.debts({ stream })).length === 0, 'every undo to be answered');
    expect(['a', 'c'].map((one) => stage.live(`${stream}-${one}`))).not.toContain('2.0.0');
  });
});

describe('a catch-up batch', () => {
  it('[B36] goes on when its reconciler is terminated, and the next one begins no second', async () => {
    const stream = 'orphan';
    await threeSites(stream, 2_000);
    await stage.rollOut(stream, '2.0.0');
    await stage.up('orphan-b');
    await stage.until(() => stage.commands('orphan-b').length > 0, 'the command of the batch');
    await stage.client.workflow.getHandle(catchUpId(stream)).terminate('to see what remains');
    stage.addSite('orphan-d', stream, { live: '1.0.0' });
    await stage.up('orphan-d');
    await stage.sweep();
    await stage.until(() => stage.live('orphan-b') === '2.0.0', 'the batch to go on');
    await stage.client.workflow.getHandle(batchId(stream)).result();
    await stage.sweep();
    await stage.until(() => stage.live('orphan-d') === '2.0.0', 'the one that came meanwhile', 80_000);
    expect(stage.commands('orphan-b')).toEqual(['converge 2.0.0']);
  });

  it('gives way to a rollout that a person starts', async () => {
    const stream = 'way';
    await threeSites(stream, 6_000);
    await stage.rollOut(stream, '2.0.0');
    await stage.up('way-b');
    await stage.until(() => stage.commands('way-b').length > 0, 'the command of the batch');
    expect(await stage.rollOut(stream, '3.0.0')).toMatchObject({ outcome: 'promoted' });
    const [batch] = await stage.batches(stream);
    expect(batch).toMatchObject({ outcome: 'aborted', reason: { code: 'SUPERSEDED' } });
    await stage.until(() => stage.live('way-b') === '3.0.0', 'the newer release');
    expect(stage.commands('way-b')).toEqual(['converge 2.0.0', 'converge 3.0.0']);
  });
});

describe('the schedule', () => {
  it('is made once, and sweeps by itself', async () => {
    await ensureSweepSchedule(stage.client, 1_000);
    await ensureSweepSchedule(stage.client, 1_000);
    const schedule = stage.client.schedule.getHandle(SWEEP_SCHEDULE);
    await stage.until(async () => (await schedule.describe()).info.numActionsTaken > 0, 'a sweep');
    await schedule.delete();
  });
});

describe('a registry that was put back', () => {
  it('[A46] takes over what sites report, and brings nobody back to an earlier release', async () => {
    const stream = 'restored';
    await threeSites(stream);
    await stage.up('restored-b');
    await stage.rollOut(stream, '2.0.0');
    await stage.closeControl();
    stage.backUp();
    await stage.openControl();
    expect(await stage.rollOut(stream, '3.0.0')).toMatchObject({ outcome: 'promoted' });
    await stage.closeControl();
    await stage.openControl('backup.db');
    const ids = ['restored-a', 'restored-b', 'restored-c'];
    const before = ids.map((id) => stage.commands(id));
    for (const id of ids) {
      await stage.fleet.disconnect(id);
      stage.fleet.connect(id);
    }
    await stage.until(async () => {
      const desired = await stage.registry.desired(stream, ids);
      return ids.every((id) => desired.get(id)?.release.version === '3.0.0');
    }, 'the registry to take over what is live');
    await stage.sweep();
    expect(ids.map((id) => stage.live(id))).toEqual(['3.0.0', '3.0.0', '3.0.0']);
    expect(ids.map((id) => stage.commands(id))).toEqual(before);
    expect(await stage.batches(stream)).toEqual([]);
  });
});
