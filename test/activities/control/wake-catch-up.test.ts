/** Who is woken by what a site reports: a real registry, and a Temporal that remembers what it is told. */
import { WorkflowNotFoundError } from '@temporalio/client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { CatchUpWaker } from '../../../activities/control/wake-catch-up.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { Rollout } from '../../records/registry/centre.js';
import { report, STREAM } from '../../records/registry/facts.js';

let registry: Registry;
/** `<signal> <workflow id> <arguments>` */
let signals: string[];
let gone: Set<string>;

function deps(): ControlDeps {
  const workflow = {
    getHandle: (workflowId: string) => ({
      signal: async (name: string, payload: unknown) => {
        if (gone.has(workflowId)) throw new WorkflowNotFoundError('not found', workflowId, undefined);
        signals.push(`${name} ${workflowId} ${JSON.stringify(payload)}`);
      },
    }),
    signalWithStart: async (_type: string, { signal, workflowId }: { signal: string; workflowId: string }) => {
      signals.push(`${signal} ${workflowId}`);
    },
  };
  const client = { workflow, withDeadline: (_at: number, calls: () => unknown) => calls() };
  return { registry, client, now: Date.now } as unknown as ControlDeps;
}

beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  signals = [];
  gone = new Set();
});
afterEach(() => registry.close());

it('[A19] a carrier whose undo the agent refused is woken by a report that is believed, and by no other', async () => {
  const rollout = await Rollout.begin(registry, 'r1', '2.4.0', ['a', 'b']);
  for (const site of ['a', 'b']) await rollout.command(site, 'revert');
  const hear = (site: string, speaks = true) => new CatchUpWaker(deps()).heardOf(report(site), speaks);
  await hear('a');
  // Nothing was refused: the undo is on its way.
  expect(signals).toEqual([]);
  const reason = { code: 'WRONG_EPOCH' as const, detail: 'replaced' };
  await rollout.settle(rollout.answer('a', 'rejected', 'revert', { reason }));
  await hear('a', false);
  await hear('b');
  expect(signals).toEqual([]);
  await hear('a');
  expect(signals).toEqual(['signAnew w-r1/revert ["a"]']);
  // Sealed, the debt is catch-up's; its carrier goes on, or is gone.
  await rollout.seal('reverted');
  await hear('a');
  const woken = `wake foothold/catch-up/${STREAM}`;
  expect(signals.slice(1)).toEqual([woken, 'signAnew w-r1/revert ["a"]']);
  gone.add('w-r1/revert');
  await hear('a');
  expect(signals.slice(3)).toEqual([woken]);
  await rollout.settle(rollout.answer('a', 'reverted', 'revert'));
  gone.clear();
  await hear('a');
  expect(signals).toHaveLength(4);
});

it('nobody waits for what Temporal takes its time with on behalf of another', async () => {
  const rollout = await Rollout.begin(registry, 'r1', '2.4.0', ['a', 'b']);
  await rollout.command('a', 'revert');
  const reason = { code: 'WRONG_EPOCH' as const, detail: 'replaced' };
  await rollout.settle(rollout.answer('a', 'rejected', 'revert', { reason }));
  let answers = () => {};
  const slow = new Promise<void>((resolve) => (answers = resolve));
  const client = {
    withDeadline: (_at: number, calls: () => unknown) => calls(),
    workflow: { getHandle: () => ({ signal: () => slow }) },
  };
  const waker = new CatchUpWaker({ ...deps(), client } as unknown as ControlDeps);
  const done: string[] = [];
  const heard = ['a', 'b', 'c'].map((site) => waker.heardOf(report(site), true).then(() => done.push(site)));
  await Promise.all(heard.slice(1));
  expect(done).toEqual(['b', 'c']);
  answers();
  await Promise.all(heard);
  expect(done).toEqual(['b', 'c', 'a']);
});
