/** The reconciler on a real server: sites that were away, are new, or owe an undo end where the last decision meant them to. */
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CATCH_UP, catchUpId } from '../../policies/model/debt.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import type { Fate } from '../faults/site.js';
import { CatchUpStage } from './catch-up-stage.js';

let stage: CatchUpStage;
beforeAll(async () => {
  stage = await CatchUpStage.open();
}, 120_000);
afterAll(async () => {
  await stage.close();
});

const verb = { by: 'test', reason: 'to see it happen' };

/** Two sites; `b` is dark. 2.0.0 is promoted, and owed to `b`. */
async function promotedWithout(stream: string): Promise<void> {
  await stage.publish(stream, '1.0.0', '2.0.0', '3.0.0');
  stage.addSite(`${stream}-a`, stream, { live: '1.0.0', risk: 'low' });
  stage.addSite(`${stream}-b`, stream, { live: '1.0.0' });
  stage.addSite(`${stream}-c`, stream, { live: '1.0.0' });
  await stage.up(`${stream}-a`, `${stream}-c`);
  expect(await stage.rollOut(stream, '2.0.0')).toMatchObject({ outcome: 'promoted' });
  expect(await stage.registry.debts({ stream })).toMatchObject([
    { site: `${stream}-b`, verb: 'converge', owner: CATCH_UP },
  ]);
}

describe('a site that was away', () => {
  it('[A19] [A45] gets the promoted release when it returns, in its stage, by a rollout of its own', async () => {
    await promotedWithout('away');
    await stage.up('away-b');
    await stage.until(() => stage.live('away-b') === '2.0.0', 'the release at the site');
    const [batch] = await stage.until(async () => {
      const batches = await stage.batches('away');
      return batches[0]?.state === 'sealed' && batches;
    }, 'the seal');
    expect(batch).toMatchObject({ outcome: 'promoted', stages: [{ name: 'rest', sites: 1, confirmed: 1 }] });
    expect(stage.commands('away-b')).toEqual(['converge 2.0.0']);
    expect(stage.commands('away-a')).toEqual(['converge 2.0.0']);
    expect(await stage.registry.debts({ stream: 'away' })).toEqual([]);
    await stage.client.workflow.getHandle(catchUpId('away')).result();
  });

  it('gets the newer release if one is being rolled out when it returns, and never the older one', async () => {
    await promotedWithout('newer');
    const rollout = await stage.start('newer', '3.0.0');
    await stage.until(() => stage.commands('newer-a').includes('converge 3.0.0'), 'the first stage');
    await stage.up('newer-b');
    await rollout.result();
    await stage.until(() => stage.live('newer-b') === '3.0.0', 'the newer release');
    expect(stage.commands('newer-b')).toEqual(['converge 3.0.0']);
  });

  it('[A19] is no different from one that is enrolled later, or that was replaced and has nothing', async () => {
    await promotedWithout('later');
    stage.addSite('later-d', 'later', { live: '1.0.0' });
    stage.addSite('later-e', 'later');
    await stage.up('later-d', 'later-e');
    await stage.until(() => stage.live('later-d') === '2.0.0' && stage.live('later-e') === '2.0.0', 'both');
    const sites = (await stage.batches('later')).map(({ stages }) => stages.map(({ name }) => name));
    expect(new Set(sites.flat())).toEqual(new Set(['rest']));
  });
});

describe('many at once', () => {
  it('[A45] are brought up to date a few at a time, each once', async () => {
    const stream = 'many';
    await stage.publish(stream, '1.0.0', '2.0.0');
    stage.addSite('many-a', stream, { live: '1.0.0', risk: 'low' });
    stage.addSite('many-b', stream, { live: '1.0.0' });
    const ids = Array.from({ length: 30 }, (_, index) => `many-${index}`);
    await stage.up('many-a', 'many-b');
    expect(await stage.rollOut(stream, '2.0.0')).toMatchObject({ outcome: 'promoted' });
    for (const id of ids) stage.addSite(id, stream, { live: '1.0.0', queue: 'many' });
    await stage.up(...ids);
    await stage.until(() => ids.every((id) => stage.live(id) === '2.0.0'), 'all of them', 60_000);
    const sizes = (await stage.batches(stream)).map(({ stages }) => stages[0]?.sites ?? 0);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(10);
    expect(sizes.length).toBeGreaterThanOrEqual(3);
    for (const id of ids) expect(stage.commands(id)).toEqual(['converge 2.0.0']);
  });
});

describe('an owed revert', () => {
  it('[A24] outlives its rollout and its carrier, and is delivered before anything new', async () => {
    const stream = 'undo';
    await promotedWithout(stream);
    // 3.0.0 reaches c, which then goes dark, and is aborted: c has confirmed nothing and owes the undo.
    const rollout = await stage.start(stream, '3.0.0');
    await stage.until(() => stage.commands('undo-a').includes('converge 3.0.0'), 'the first stage');
    await stage.down('undo-c');
    await stage.until(async () => {
      const { label, stages } = await stage.statusOf(rollout.workflowId);
      if (stages[1]?.state !== 'running') return false;
      // Recorded a moment before they are scheduled: a revert in between owes these sites nothing.
      const shard = stage.client.workflow.getHandle(`${label}/${stages[1].name}/1/1`);
      const { raw } = await shard.describe().catch(() => ({ raw: { pendingActivities: [] } }));
      return raw.pendingActivities?.filter(({ activityType }) => activityType?.name === 'converge').length === 2;
    }, 'the command to c');
    await rollout.executeUpdate('revert', { args: [verb] });
    await rollout.result().catch(() => undefined);
    const owed = await stage.registry.debts({ stream, verb: 'revert' });
    expect(owed.map(({ site, owner }) => [site, owner])).toEqual([
      ['undo-b', CATCH_UP],
      ['undo-c', CATCH_UP],
    ]);
    const carrier = owed[0]?.carrier ?? '';
    await stage.client.workflow.getHandle(carrier).terminate('to lose it');
    expect((await stage.sweep()).woken).toContain(stream);
    await stage.up('undo-b');
    await stage.until(() => stage.live('undo-b') === '2.0.0', 'the undo and then the release');
    expect(stage.commands('undo-b').slice(0, 1)).toEqual(['revert 3.0.0']);
    expect(stage.commands('undo-b').at(-1)).toBe('converge 2.0.0');
    const reverts = stage.sites
      .get('undo-b')
      ?.books.log.flatMap((entry) =>
        entry.kind === 'command' && entry.command.verb === 'revert' ? [entry.command.id] : [],
      );
    expect(new Set(reverts)).toEqual(new Set([owed[0]?.commandId]));
  });

  it('[A24] of a retired site is given up, on the record, and its carrier goes on with the others to its end', async () => {
    const stream = 'sold';
    await promotedWithout(stream);
    const rollout = await stage.start(stream, '3.0.0');
    await stage.until(() => stage.commands('sold-a').includes('converge 3.0.0'), 'the first stage');
    await stage.down('sold-c');
    await stage.until(async () => {
      const { raw } = await stage.client.workflow
        .getHandle(`${(await stage.statusOf(rollout.workflowId)).label}/rest/1/1`)
        .describe()
        .catch(() => ({ raw: { pendingActivities: [] } }));
      return raw.pendingActivities?.filter(({ activityType }) => activityType?.name === 'converge').length === 2;
    }, 'the command to c');
    await rollout.executeUpdate('revert', { args: [verb] });
    await rollout.result().catch(() => undefined);
    const owed = await stage.registry.debts({ stream, verb: 'revert' });
    expect(owed.map(({ site }) => site)).toEqual(['sold-b', 'sold-c']);
    const carrier = stage.client.workflow.getHandle(owed[0]?.carrier ?? '');
    const firstRunId = owed[0]?.firstRunId ?? '';
    const ofC = async () => (await stage.registry.siteRows(firstRunId, { site: 'sold-c' }))[0]?.reason?.code;
    await stage.sweep();
    expect(await ofC()).not.toBe('SITE_RETIRED');
    await stage.registry.retire({ site: 'sold-c', by: 'anna', reason: 'sold' }, Date.now());
    expect((await stage.sweep()).failed).toEqual([]);
    expect(await ofC()).toBe('SITE_RETIRED');
    const still = async () => {
      const { raw, status } = await carrier.describe();
      return status.name === 'RUNNING' && raw.pendingActivities?.length === 1;
    };
    await stage.until(still, 'the carrier to ask b alone');
    await stage.up('sold-b');
    await stage.until(async () => (await carrier.describe()).status.name === 'COMPLETED', 'the carrier to end');
    expect(await stage.registry.debts({ stream, verb: 'revert' })).toEqual([]);
    const told = (await stage.registry.evidence(firstRunId)).map(({ data }) => JSON.stringify(data));
    expect(told.filter((entry) => entry.includes('retired by anna: sold'))).toHaveLength(1);
  });

  it('[A24] is carried again beside a batch that is open, and the reconciler begins no second one when it continues as new', async () => {
    const stream = 'beside';
    await stage.publish(stream, '1.0.0', '2.0.0', '3.0.0');
    stage.addSite('beside-a', stream, { live: '1.0.0', risk: 'low' });
    stage.addSite('beside-b', stream, { live: '1.0.0', watchMs: 7_000 });
    stage.addSite('beside-c', stream, { live: '1.0.0' });
    stage.addSite('beside-d', stream, { live: '1.0.0' });
    await stage.up('beside-a', 'beside-d');
    expect(await stage.rollOut(stream, '2.0.0')).toMatchObject({ outcome: 'promoted' });
    const rollout = await stage.start(stream, '3.0.0');
    await stage.until(() => stage.commands('beside-d').includes('converge 3.0.0'), 'the second stage');
    await rollout.executeUpdate('revert', { args: [verb] });
    await rollout.result().catch(() => undefined);
    const owed = await stage.registry.debts({ stream, verb: 'revert' });
    expect(owed.map(({ site }) => site)).toEqual(['beside-b', 'beside-c']);

    // A reconciler that does not end, and continues as new before the batch is over.
    await stage.client.workflow.getHandle(catchUpId(stream)).result();
    const reason = { code: 'STREAM_LOCKED', detail: 'for this test' };
    const refused = { nobody: { times: 1, until: Date.now() + 60_000, reason } };
    const reconciler = await stage.client.workflow.start('catchUp', {
      workflowId: catchUpId(stream),
      taskQueue: TASK_QUEUE,
      args: [{ stream, memory: { refused, asked: [] }, continueAfterEvents: 25 }],
    });
    await stage.up('beside-b');
    await stage.until(() => stage.commands('beside-b').includes('converge 2.0.0'), 'the batch');
    const stillOpen = async () => {
      const batches = await stage.batches(stream);
      expect(batches.map(({ state }) => state === 'sealed')).toEqual([false]);
    };
    await stage.client.workflow.getHandle(owed[0]?.carrier ?? '').terminate('to lose it');
    await stage.up('beside-c');
    expect((await stage.sweep()).woken).toContain(stream);
    await stage.until(() => stage.commands('beside-c').includes('revert 3.0.0'), 'the undo');
    await reconciler.signal('wake', {});
    await stillOpen();
    await stage.until(async () => {
      const { runId } = await stage.client.workflow.getHandle(catchUpId(stream)).describe();
      return runId !== reconciler.firstExecutionRunId;
    }, 'continue-as-new');
    await stillOpen();
    await stage.until(async () => (await stage.batches(stream))[0]?.outcome === 'promoted', 'the seal');
    expect(stage.commands('beside-b').filter((line) => line === 'converge 2.0.0')).toHaveLength(1);
    await stage.until(async () => (await stage.registry.debts({ stream, verb: 'revert' })).length === 0, 'no debt');
  });
});

describe('a bad catch-up', () => {
  it('[A31] stops the lane when more fail than the stage has left, until a person allows the release', async () => {
    const stream = 'bad';
    await stage.publish(stream, '1.0.0', '2.0.0');
    stage.addSite('bad-a', stream, { live: '1.0.0', risk: 'low' });
    stage.addSite('bad-b', stream, { live: '1.0.0' });
    const fates: Record<string, Fate> = { '2.0.0': 'revert' };
    for (const id of ['bad-c', 'bad-d']) stage.addSite(id, stream, { live: '1.0.0', fates });
    for (const id of ['bad-e', 'bad-f']) stage.addSite(id, stream, { live: '1.0.0' });
    await stage.up('bad-a', 'bad-b');
    expect(await stage.rollOut(stream, '2.0.0')).toMatchObject({ outcome: 'promoted' });
    await stage.up('bad-c', 'bad-d');
    const [batch] = await stage.until(async () => {
      const batches = await stage.batches(stream);
      return batches.at(-1)?.outcome === 'reverted' && batches;
    }, 'the batch to be reverted');
    expect(batch?.reason).toMatchObject({ code: 'BUDGET_FAILED' });
    await stage.up('bad-e');
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(stage.commands('bad-e')).toEqual([]);
    // What was wrong at the two is mended, and a person says so.
    fates['2.0.0'] = 'confirm';
    const digest = stage.digestOf(stream, '2.0.0');
    await stage.registry.allow(stream, digest, undefined, 'kim', 'mended', Date.now());
    await stage.sweep();
    const ids = ['bad-c', 'bad-d', 'bad-e'];
    await stage.until(() => ids.every((id) => stage.live(id) === '2.0.0'), 'the lane to go on');
  });
});

describe('a rollout whose lock was ended by hand', () => {
  const refusal = (handle: WorkflowHandle) => handle.result().then(String, (error: Error) => String(error.cause));
  const open = async (stream: string) => {
    await stage.publish(stream, '1.0.0', '2.0.0', '3.0.0');
    stage.addSite(`${stream}-a`, stream, { live: '1.0.0', risk: 'low' });
    stage.addSite(`${stream}-b`, stream, { live: '1.0.0', watchMs: 2_000 });
    await stage.up(`${stream}-a`, `${stream}-b`);
    const rollout = await stage.start(stream, '2.0.0');
    await stage.until(() => stage.commands(`${stream}-b`).length > 0, 'the second stage');
    await stage.client.workflow.getHandle(`foothold/stream/${stream}`).terminate('by hand');
    return rollout;
  };

  it('lives on: another one is refused and told of it, and its sites have one owner', async () => {
    const rollout = await open('unlocked');
    const other = await stage.start('unlocked', '3.0.0');
    const words = await refusal(other);
    expect(words).toContain('STREAM_LOCKED');
    expect(words).toContain(rollout.workflowId);
    await rollout.result();
    expect(await stage.statusOf(rollout.workflowId)).toMatchObject({ outcome: 'promoted' });
    for (const id of ['unlocked-a', 'unlocked-b']) expect(stage.commands(id)).toEqual(['converge 2.0.0']);
  });

  it('and that was terminated as well keeps nobody off, also before it is swept', async () => {
    const rollout = await open('gone');
    await rollout.terminate('by hand');
    expect(await stage.rollOut('gone', '3.0.0')).toMatchObject({ outcome: 'promoted' });
  });
});
