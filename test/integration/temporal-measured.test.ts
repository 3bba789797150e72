/** What design §4 says was measured of Temporal itself, seen on a real server with the real worker options of a site. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ActivityCancellationType } from '@temporalio/common';
import type { ParentClosePolicy } from '@temporalio/workflow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRelay } from '../../infra/dev/relay.js';
import type { Settled } from '../../policies/model/command.js';
import { doorOf, MeasuredStage, pageOf, until, type MeasuredSite } from './measured-stage.js';

const TYPE = { wait: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED, try: ActivityCancellationType.TRY_CANCEL };

let stage: MeasuredStage;
beforeAll(async () => {
  stage = await MeasuredStage.open();
}, 120_000);
afterAll(() => stage.close());

async function atSite(
  options: Parameters<MeasuredStage['openSite']>[0],
  see: (site: MeasuredSite) => Promise<void>,
): Promise<void> {
  const site = await stage.openSite(options);
  await see(site).finally(() => site.close());
}

describe('[§4 measured] letting go of a command that a site has', () => {
  it.each([
    ['WAIT_CANCELLATION_COMPLETED brings what the site said last', TYPE.wait, 'watching'],
    ['TRY_CANCEL drops it', TYPE.try, 'nothing'],
  ])('%s', (_words, type, told) =>
    atSite({}, async (site) => {
      const workflow = await site.observe('converge-1', type);
      expect(await until(() => site.seen.includes('converge-1'), 10_000)).toBe(true);
      await workflow.signal('letGo');
      const answer = (await workflow.result()) as Settled[] | 'nothing';
      const state = answer === 'nothing' || answer[0]?.kind !== 'unsettled' ? answer : answer[0].state;
      expect(state).toBe(told);
    }),
  );

  it('an observer ends itself when its attempt has timed out, and when its workflow is gone', () =>
    atSite({}, async (site) => {
      await site.observe('converge-late', TYPE.wait, 1_500);
      const gone = await site.observe('converge-gone', TYPE.wait);
      expect(await until(() => site.seen.length === 2, 10_000)).toBe(true);
      expect(site.ended).toEqual([]);
      await gone.terminate('as a person might');
      expect(await until(() => site.ended.length === 2, 15_000)).toBe(true);
    }));
});

describe('[§4 measured] a revert behind a converge that is being watched', () => {
  it('is taken in at once: a site has slots for both', () =>
    atSite({}, async (site) => {
      const converge = await site.observe('converge-1', TYPE.wait);
      expect(await until(() => site.seen.length === 1, 10_000)).toBe(true);
      await site.observe('revert-1', TYPE.wait);
      expect(await until(() => site.seen.includes('revert-1'), 5_000)).toBe(true);
      await converge.signal('letGo');
      await converge.result();
    }));

  it('with one slot it would wait for the converge to end', () =>
    atSite({ slots: 1 }, async (site) => {
      const converge = await site.observe('converge-1', TYPE.wait);
      expect(await until(() => site.seen.length === 1, 10_000)).toBe(true);
      await site.observe('revert-1', TYPE.wait);
      expect(await until(() => site.seen.includes('revert-1'), 3_000)).toBe(false);
      await converge.signal('letGo');
      expect(await until(() => site.seen.includes('revert-1'), 10_000)).toBe(true);
    }));

  it.each([1, 3])('a site of %i streams has 2 × streams + 2 slots, and not one more', (streams) =>
    atSite({ streams }, async (site) => {
      const slots = 2 * streams + 2;
      const held = [];
      for (let n = 1; n <= slots; n += 1) held.push(await site.observe(`converge-${n}`, TYPE.wait));
      expect(await until(() => site.seen.length === slots, 15_000)).toBe(true);
      await site.observe('revert-1', TYPE.wait);
      expect(await until(() => site.seen.includes('revert-1'), 3_000)).toBe(false);
      await held[0]?.signal('letGo');
      expect(await until(() => site.seen.includes('revert-1'), 10_000)).toBe(true);
      for (const one of held.slice(1)) await one.signal('letGo');
      for (const one of held) await one.result();
    }),
  );
});

describe('[§4 measured] a link that is black-holed in mid-command', () => {
  it('brings the result once it is back, and leaves no more in the history than a link that holds', async () => {
    const relay = await startRelay({ target: stage.server.address });
    const [seen, DARK] = [[] as string[], 12_000];
    let over = false;
    const door = doorOf(seen, async (commandId, signal): Promise<Settled> => {
      // The command ends at the site while nobody there can be heard.
      while (!over && !signal.aborted) await sleep(50);
      const state = over ? 'confirmed' : 'watching';
      if (!over) return { kind: 'unsettled', commandId, state };
      return { kind: 'result', commandId, result: { commandId, result: 'confirmed' } } as unknown as Settled;
    });
    const site = await stage.openSite({ through: relay.address, door });
    try {
      const workflow = await stage.start('brought', [site.queue, pageOf('converge-1')]);
      expect(await until(() => seen.length === 1, 10_000)).toBe(true);
      relay.cut();
      over = await sleep(DARK / 2, true);
      await sleep(DARK / 2);
      expect((await workflow.describe()).status.name).toBe('RUNNING');
      relay.restore();
      const back = performance.now();
      expect(await workflow.result()).toMatchObject([{ kind: 'result', result: { result: 'confirmed' } }]);
      // Measured: half a second. A retry that waits for a connection made anew would take its back-off more.
      expect(performance.now() - back).toBeLessThan(5_000);
      const { events } = await workflow.fetchHistory();
      expect(events).toHaveLength(11);
    } finally {
      relay.restore();
      await site.close();
      await relay.stop();
    }
  });
});

describe('[§4 measured] continue-as-new beside a child', () => {
  it.each([
    ['TERMINATE ends it', 'TERMINATE', 'TERMINATED'],
    ['REQUEST_CANCEL cancels it', 'REQUEST_CANCEL', 'CANCELLED'],
    ['ABANDON leaves it open', 'ABANDON', 'RUNNING'],
  ] as const)('that is open: %s', async (_words, policy, status) => {
    const [child, second] = await continued(policy, false);
    const statusOfChild = async () => (await child.describe()).status.name;
    expect(await until(async () => (await statusOfChild()) === status, 10_000)).toBe(true);
    // What leaves it open leaves it open for good.
    await sleep(1_000);
    expect(await statusOfChild()).toBe(status);
    await second.terminate('its test is over');
    await child.terminate('its test is over').catch(() => undefined);
  });

  it('that has closed: whatever the policy, nothing is lost', async () => {
    const [child, second] = await continued('TERMINATE', true);
    await sleep(1_000);
    expect((await child.describe()).status.name).toBe('COMPLETED');
    await second.signal('letGo');
    await second.result();
  });

  async function continued(policy: ParentClosePolicy, closeFirst: boolean) {
    const id = `child/${policy}/${closeFirst}`;
    const first = await stage.start('parent', [id, policy, closeFirst]);
    const parent = stage.client.workflow.getHandle(first.workflowId);
    const isNext = async () => (await parent.describe()).runId !== first.firstExecutionRunId;
    expect(await until(isNext, 10_000)).toBe(true);
    return [stage.client.workflow.getHandle(id), parent] as const;
  }
});

describe('[§4 measured] one TypeError in the handler of a signal', () => {
  it('jams the workflow, abort included', async () => {
    const workflow = await stage.start('abortable', [false]);
    await workflow.signal('bad', null);
    await workflow.signal('abort');
    await sleep(3_000);
    expect((await workflow.describe()).status.name).toBe('RUNNING');
    const { events } = await workflow.fetchHistory();
    const failed = events?.flatMap(({ workflowTaskFailedEventAttributes: task }) => task?.failure?.message ?? []);
    expect(failed?.[0]).toContain('Cannot read properties of null');
    await workflow.terminate('its test is over');
  });

  it('that is caught there jams nothing', async () => {
    const workflow = await stage.start('abortable', [true]);
    await workflow.signal('bad', null);
    await workflow.signal('abort');
    expect(await workflow.result()).toBe('ignored');
  });
});
