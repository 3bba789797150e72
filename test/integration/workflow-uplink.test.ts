/** Sites that lose their uplink, on a real server: most of them together do not count, and the rollout waits. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openWorkflowStage, outlineOf, type WorkflowStage } from './workflow-stage.js';
import { asker, commandsOf, failureOf, freeTheStream, statusOf, until } from './workflow-asserts.js';

let stage: WorkflowStage;
beforeAll(async () => {
  stage = await openWorkflowStage();
}, 120_000);
afterEach(() => freeTheStream(stage));
afterAll(async () => {
  await stage.close();
});

const loses = { converge: 'reverted', cause: 'uplink' } as const;

describe('[A32] sites that lose their uplink', () => {
  it('together are not counted: the rest is not commanded, the rollout waits, and a retry goes on', async () => {
    const sites = ['a1', 'a2', 'a3', 'a4', 'a5'];
    for (const site of ['a1', 'a2', 'a3']) await stage.bringUp(site, loses);
    for (const site of ['a4', 'a5']) await stage.bringUp(site, { converge: 'confirmed' });
    const outline = outlineOf('edge-proxy-5.0.0-1', { all: [sites] });
    outline.stages = outline.stages.map((one) => ({ ...one, concurrency: 3 }));
    const handle = await stage.start(outline);
    await until(
      async () => ((await statusOf(handle))?.wait?.reason.code === 'UPLINK_LOST' ? true : undefined),
      'a wait',
      100_000,
    );
    expect(commandsOf(stage, sites)).toEqual(expect.not.arrayContaining(['converge a4', 'converge a5', 'revert a1']));
    expect((await statusOf(handle))?.stages[0]).toMatchObject({ failed: 0, confirmed: 0 });
    expect(stage.seen.drafts.find(({ kind }) => kind === 'uplink')?.data).toEqual({
      ...{ sites: ['a1', 'a2', 'a3'], watched: 3, together: true },
    });
    for (const site of ['a1', 'a2', 'a3']) {
      await stage.bringDown(site);
      await stage.bringUp(site, { converge: 'confirmed' });
    }
    await handle.executeUpdate('retry', { args: [asker] });
    expect(await handle.result()).toMatchObject({ outcome: 'promoted', confirmed: 5 });
  });

  it('alone among sites that confirm counts as any failure', async () => {
    const sites = ['b1', 'b2', 'b3', 'b4'];
    await stage.bringUp('b1', loses);
    for (const site of sites.slice(1)) await stage.bringUp(site, { converge: 'confirmed', afterMs: 1_000 });
    const handle = await stage.start(outlineOf('edge-proxy-5.0.1-1', { all: [sites] }));
    const failure = await failureOf(handle.result());
    expect(failure.message).toContain('BUDGET_FAILED (1 of 4 sites, limit 0: b1)');
    expect(stage.seen.drafts.findLast(({ kind }) => kind === 'uplink')?.data).toMatchObject({
      watched: 4,
      together: false,
    });
  });
});
