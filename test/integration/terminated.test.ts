/** A rollout that was terminated, what a person may still say to it, and what a reset in Temporal makes of it. */
import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runVerb } from '../../cli/commands/verbs.js';
import type { Context } from '../../cli/context.js';
import { CATCH_UP } from '../../policies/model/debt.js';
import type { MistakeError } from '../../policies/model/failure.js';
import { TASK_QUEUE, type RolloutStatus, type VerbAnswer } from '../../policies/model/rollout.js';
import { exportEvidence, verifyEvidence } from '../../records/evidence/document.js';
import { CatchUpStage } from './catch-up-stage.js';

let stage: CatchUpStage;
beforeAll(async () => {
  stage = await CatchUpStage.open();
}, 120_000);
afterAll(async () => {
  await stage.close();
});

const kari = { by: 'kari', reason: 'to see it done' };

const inState = (workflowId: string, is: (status: RolloutStatus) => boolean | undefined) =>
  stage.until(async () => {
    const status = await stage.registry.findRollout(workflowId);
    return status && is(status) && status;
  }, `the state of ${workflowId}`);

/** Running in its second stage, with `b` dark: `a` has confirmed, `c` is on its way. */
async function running(stream: string): Promise<{ rollout: WorkflowHandle; status: RolloutStatus }> {
  await stage.publish(stream, '1.0.0', '2.0.0', '3.0.0');
  stage.addSite(`${stream}-a`, stream, { live: '1.0.0', risk: 'low' });
  for (const id of ['b', 'c', 'd']) stage.addSite(`${stream}-${id}`, stream, { live: '1.0.0', watchMs: 1_000 });
  await stage.up(`${stream}-a`, `${stream}-c`, `${stream}-d`);
  const rollout = await stage.start(stream, '2.0.0');
  await stage.until(() => stage.commands(`${stream}-c`).length > 0, 'the second stage');
  const status = await stage.statusOf(rollout.workflowId);
  return { rollout, status };
}

async function terminated(stream: string): Promise<{ rollout: WorkflowHandle; status: RolloutStatus }> {
  const begun = await running(stream);
  await begun.rollout.terminate('the wrong night');
  return begun;
}

/** As `temporal workflow reset`: to its last workflow task, or to the one that began the shard of the second stage. */
async function reset(rollout: WorkflowHandle, status: RolloutStatus, beforeShard: boolean): Promise<WorkflowHandle> {
  const { workflowId } = rollout;
  const { events = [] } = await stage.client.workflow.getHandle(workflowId, status.firstRunId).fetchHistory();
  const shard = `${status.label}/rest/1/1`;
  const begun = events?.findIndex(
    (event) => event.startChildWorkflowExecutionInitiatedEventAttributes?.workflowId === shard,
  );
  const until = beforeShard ? events?.slice(0, begun) : events;
  const task = until?.findLast((event) => event.workflowTaskCompletedEventAttributes)?.eventId;
  await stage.client.workflowService.resetWorkflowExecution({
    namespace: stage.client.options.namespace,
    workflowExecution: { workflowId, runId: status.firstRunId },
    ...(task ? { workflowTaskFinishEventId: task } : {}),
    requestId: randomUUID(),
    reason: 'the right night',
  });
  return stage.client.workflow.getHandle(workflowId);
}

const adoption = ({ wait }: RolloutStatus) => wait?.reason.code === 'RUN_WAS_RESET';
const ids = (stream: string, ...names: string[]) => names.map((name) => `${stream}-${name}`);

describe('a terminated rollout that is reset in Temporal', () => {
  const words = 'waits for a person, and promoted goes on to its end';
  it(`${words}: swept, after the sweeper has sealed it, to its last task`, async () => goesOn('swept', true, false));
  it(`${words}: early, before any sweep, to before its shard was begun`, async () => goesOn('early', false, true));
  it(`${words}: fresh, before any sweep, to its last task`, async () => goesOn('fresh', false, false));

  // The reset run is told of that end: it takes the sites for owed, and no shard is left to record it.
  it('hears of the end of its shard: what that did not bring its sites owe, with a debt', async () => {
    const { rollout, status } = await running('heard');
    const latest = await reset(rollout, status, false);
    await stage.client.workflow.getHandle(`${status.label}/rest/1/1`).terminate('with the lost run');
    await adopted('heard', { rollout, status, swept: false }, latest);
    const evidence = await stage.registry.evidence(status.firstRunId);
    expect(evidence.map(({ kind }) => kind)).toContain('shard-lost');
    const reason = { code: 'NO_RESULT', detail: 'its shard was lost' };
    const ofB = { site: 'heard-b', outcome: { outcome: 'owed', reason } };
    expect(evidence.filter(({ kind }) => kind === 'disposition').map(({ data }) => data)).toContainEqual(
      expect.objectContaining({ ...ofB, outcome: expect.objectContaining(ofB.outcome) as unknown }),
    );
  });

  async function goesOn(stream: string, swept: boolean, beforeShard: boolean): Promise<void> {
    const { rollout, status } = await terminated(stream);
    if (swept) {
      expect((await stage.sweep()).terminated).toContain(status.label);
      expect(await stage.statusOf(status.label)).toMatchObject({
        state: 'sealed',
        outcome: 'terminated',
      });
    }
    return adopted(stream, { rollout, status, swept }, await reset(rollout, status, beforeShard));
  }

  async function adopted(
    stream: string,
    { rollout, status, swept }: { rollout: WorkflowHandle; status: RolloutStatus; swept: boolean },
    latest: WorkflowHandle,
  ): Promise<void> {
    // Reset to a moment with nothing to tell it would not find out by itself: the sweeper, every minute, asks it.
    const waiting = await stage.until(async () => {
      await stage.sweep();
      const told = await stage.registry.findRollout(rollout.workflowId);
      return told && adoption(told) && told;
    }, 'the wait for a person');
    expect(waiting).toMatchObject({
      label: status.label,
      wait: { owner: 'duty', then: 'stay' },
    });
    expect(waiting.outcome).toBeUndefined();
    // It waits: a sweep seals nothing that is open, and nobody is commanded.
    const before = ids(stream, 'a', 'b', 'c', 'd').map((id) => stage.commands(id));
    expect((await stage.sweep()).terminated).not.toContain(status.label);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(ids(stream, 'a', 'b', 'c', 'd').map((id) => stage.commands(id))).toEqual(before);
    expect((await stage.statusOf(status.label)).state).not.toBe('sealed');

    expect(
      await latest.executeUpdate<VerbAnswer, [object]>('promote', {
        args: [kari],
      }),
    ).toMatchObject({
      accepted: true,
    });
    // Their results went to observers that nobody heard any more: they tell them with their next report.
    for (const id of ids(stream, 'c', 'd')) {
      await stage.fleet.disconnect(id);
      stage.fleet.connect(id);
    }
    const sealed = await inState(rollout.workflowId, ({ state }) => state === 'sealed');
    await latest.result();
    expect(sealed).toMatchObject({
      state: 'sealed',
      outcome: 'promoted',
      firstRunId: status.firstRunId,
    });
    for (const id of ids(stream, 'a', 'c', 'd')) expect(stage.live(id)).toBe('2.0.0');
    // Each was commanded by it once, whichever run did it.
    for (const id of ids(stream, 'a', 'c', 'd')) expect(stage.commands(id)).toEqual(['converge 2.0.0']);
    const evidence = await stage.registry.evidence(status.firstRunId);
    const told = evidence.map(({ kind }) => kind).filter((kind) => kind === 'sealed' || kind === 'reset');
    expect(told).toEqual(swept ? ['sealed', 'reset', 'sealed'] : ['reset', 'sealed']);
    const document = await exportEvidence(stage.registry, status.firstRunId);
    expect(verifyEvidence(JSON.parse(JSON.stringify(document)))).toMatchObject({ ok: true });
    // What was owed is now owed by a promoted rollout: it is brought to the site when that returns.
    expect(await stage.registry.debts({ stream })).toMatchObject([
      { site: `${stream}-b`, verb: 'converge', owner: CATCH_UP },
    ]);
    // Commanded in its turn: that it was kept from that by the reset was over with the person's word.
    const rows = await stage.registry.siteRows(status.firstRunId);
    const b = rows.find(({ site, verb }) => site === `${stream}-b` && verb === 'converge');
    expect(b).toMatchObject({ outcome: 'owed' });
    expect((await stage.sweep()).terminated).toEqual([]);
    await stage.up(`${stream}-b`);
    await stage.until(() => stage.live(`${stream}-b`) === '2.0.0', 'the release at the site that was away');
    expect(stage.commands(`${stream}-b`).at(-1)).toBe('converge 2.0.0');
  }
});

describe('a lock', () => {
  it('that has outlived its rollout is ended by the sweeper; one of a rollout that lives, or of nobody, is not', async () => {
    const { rollout, status } = await terminated('orphan');
    const begin = (stream: string, holder: object) =>
      stage.client.workflow.start('streamLock', {
        ...{ workflowId: `foothold/stream/${stream}`, taskQueue: TASK_QUEUE, args: [holder], memo: { holder } },
      });
    const word = async (lock: WorkflowHandle) => (await lock.describe()).status.name;
    // Its own goes with it, a moment later.
    const own = stage.client.workflow.getHandle('foothold/stream/orphan');
    await stage.until(async () => (await word(own)) !== 'RUNNING', 'the end of its own lock');
    const orphan = await begin('orphan', { workflowId: rollout.workflowId, firstRunId: status.firstRunId });
    const bare = await begin('nobodys', {});
    const alive = await running('alive');
    const lives = stage.client.workflow.getHandle('foothold/stream/alive');
    // What is listed follows what is so by a moment.
    await stage.until(async () => {
      await stage.sweep();
      return (await word(orphan)) === 'TERMINATED';
    }, 'the end of the orphan');
    expect([await word(bare), await word(lives)]).toEqual(['RUNNING', 'RUNNING']);
    await bare.terminate('its test is over');
    await alive.rollout.terminate('its test is over');
  });
});

describe('a verb of a person for a terminated rollout', () => {
  it.each(['promote', 'abort', 'revert'] as const)('%s: nothing runs, with a code', async (verb) => {
    const { status } = await terminated(`said-${verb}`);
    const context = {
      io: { env: { FOOTHOLD_BY: 'kari' } },
      registryIfHere: async () => stage.registry,
      temporal: async () => ({
        client: stage.client,
        connection: stage.client.connection,
      }),
    } as unknown as Context;
    const say = () =>
      runVerb(context, verb, status.label, { reason: 'to see it done' }).catch(
        (error: unknown) => error as MistakeError,
      );
    // Before the sweeper has come, the registry still takes it for running.
    const before = await say();
    expect(before).toMatchObject({ code: 'NOTHING_RUNNING' });
    expect((before as MistakeError).message).toContain('whose workflow has ended in Temporal');
    await stage.sweep();
    const after = await say();
    expect(after).toMatchObject({ code: 'NOTHING_RUNNING' });
    expect((after as MistakeError).message).toContain('sealed as terminated');
    const verbs = (await stage.registry.evidence(status.firstRunId)).filter(({ kind }) => kind === 'verb');
    expect(verbs).toEqual([]);
  });
});
