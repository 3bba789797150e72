/** Shards that are terminated from outside while their rollout runs, on a real server: nothing they carried is forgotten. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openWorkflowStage, outlineOf, type WorkflowStage } from './workflow-stage.js';
import { asker, commandsOf, failureOf, freeTheStream, received, statusOf, until } from './workflow-asserts.js';

let stage: WorkflowStage;
beforeAll(async () => {
  stage = await openWorkflowStage();
}, 120_000);
afterEach(() => freeTheStream(stage));
afterAll(async () => {
  await stage.close();
});

const terminate = (shard: string) => stage.client.workflow.getHandle(shard).terminate('by hand');

describe('the shard of an undo', () => {
  it('is started again while the rollout waits for it, for whoever has not answered', async () => {
    for (const site of ['a1', 'a2']) await stage.bringUp(site, { converge: 'confirmed' });
    const label = 'edge-proxy-7.0.0-1';
    const outline = outlineOf(label, { all: [['a1', 'a2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, soak: 60_000, settleWithin: 40_000 }));
    const handle = await stage.start(outline);
    await until(() => stage.seen.gateCalls.length > 0 || undefined, 'the gate');
    await stage.bringDown('a2');
    await handle.executeUpdate('revert', { args: [asker] });
    await received(stage, 'revert a1');
    await until(async () => (await statusOf(handle))?.owedReverts.length === 1 || undefined, 'the answer of a1');
    await terminate(`${label}/all/revert/1`);
    await stage.bringUp('a2', { converge: 'confirmed' });
    await received(stage, 'revert a2');
    expect((await failureOf(handle.result())).type).toBe('RolloutReverted');
    expect(commandsOf(stage, ['a1', 'a2']).filter((line) => line.startsWith('revert'))).toEqual([
      'revert a1',
      'revert a2',
    ]);
  });
});

describe('the shard of a wave', () => {
  it('had recorded what it would have told at its end: an abort leaves those that confirmed as they are', async () => {
    await stage.bringUp('b1', { converge: 'confirmed' });
    const label = 'edge-proxy-7.1.0-1';
    const outline = outlineOf(label, { all: [['b1', 'b2']] });
    outline.stages = outline.stages.map((one) => ({ ...one, settleWithin: 20_000 }));
    const handle = await stage.start(outline);
    await until(() => stage.seen.settled.some(({ site }) => site === 'b1') || undefined, 'the first result');
    await terminate(`${label}/all/1/1`);
    const status = await until(async () => {
      const now = await statusOf(handle);
      return now?.stages[0]?.confirmed === 1 ? now : undefined;
    }, 'what the registry knows');
    expect(status.stages[0]).toMatchObject({ confirmed: 1, owed: 1 });
    await stage.bringUp('b2', { converge: 'confirmed' });
    await handle.executeUpdate('abort', { args: [asker] });
    expect((await failureOf(handle.result())).type).toBe('RolloutAborted');
    expect(commandsOf(stage, ['b1'])).toEqual(['converge b1']);
    expect(commandsOf(stage, ['b2'])).toContain('revert b2');
  });
});
