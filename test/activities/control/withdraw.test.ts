/** Which shards are told that commands of theirs may not be begun any more, and how often: a real registry. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { withdrawHindered } from '../../../activities/control/withdraw.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { Rollout } from '../../records/registry/centre.js';

const NOW = 4_000;
let registry: Registry;
let now: number;
let signals: string[];
let down: boolean;

const deps = () => {
  const signal = (workflowId: string) => async (name: string, sites: string[]) => {
    if (down) throw new Error('unavailable');
    signals.push(`${name} ${workflowId} ${sites.join(',')}`);
  };
  const client = { workflow: { getHandle: (workflowId: string) => ({ signal: signal(workflowId) }) } };
  return { registry, client, now: () => now } as unknown as ControlDeps;
};
const ask = async () => {
  signals = [];
  const { asked } = await withdrawHindered(deps());
  expect(signals.flatMap((line) => line.split(' ')[2]?.split(',') ?? [])).toHaveLength(asked);
  return signals;
};
beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  [now, signals, down] = [NOW, [], false];
});
afterEach(() => registry.close());

describe('a command under way', () => {
  it('is asked back once for each thing that stands against it, and again once it was issued again', async () => {
    const r1 = await Rollout.begin(registry, 'r1', '2.4.0', ['a', 'b']);
    for (const site of ['a', 'b']) await r1.command(site);
    expect(await ask()).toEqual([]);
    await registry.putHold({ site: 'a', by: 'kari', reason: 'no crew', at: NOW });
    expect(await ask()).toEqual(['withdraw w-r1/converge a']);
    await r1.dispose('a', 'deferred');
    expect(await ask()).toEqual([]);
    await registry.liftHolds('a', undefined, { by: 'kari', reason: 'crew is there', at: NOW });
    expect(await ask()).toEqual([]);
    await registry.putHold({ site: 'a', by: 'kari', reason: 'gone again', at: NOW });
    expect(await ask()).toEqual(['withdraw w-r1/converge a']);
    const again = { site: 'a', stage: 'all', wave: 0, verb: 'converge' as const, commandId: r1.id('a') };
    await registry.recordCommanded('r1', [{ ...again, switchBy: 9_500, carrier: 'w-r1/converge' }], NOW);
    expect(await ask()).toEqual(['withdraw w-r1/converge a']);
    await registry.retire({ site: 'b', by: 'kari', reason: 'sold' }, NOW);
    expect(await ask()).toEqual(['withdraw w-r1/converge b']);
  });

  it('is asked back with the next look if Temporal was away at the first', async () => {
    const r1 = await Rollout.begin(registry, 'r1', '2.4.0', ['a']);
    await r1.command('a');
    await registry.putHold({ site: 'a', by: 'kari', reason: 'no crew', at: NOW });
    down = true;
    await expect(withdrawHindered(deps())).rejects.toThrow('unavailable');
    down = false;
    expect(await ask()).toEqual(['withdraw w-r1/converge a']);
  });

  it('is left alone if it is an undo, has a result, may not be begun any more, or its rollout is over', async () => {
    const r1 = await Rollout.begin(registry, 'r1', '2.4.0', ['a', 'b', 'c']);
    await registry.putFreeze({ by: 'kari', reason: 'storm', at: NOW, until: 20_000 });
    const undo = { site: 'a', stage: 'all', wave: 0, verb: 'revert' as const, commandId: r1.id('a', 'revert') };
    await registry.recordCommanded('r1', [{ ...undo, switchBy: 9_000, carrier: 'w-r1/revert' }], NOW);
    await r1.command('b');
    await r1.settle(r1.answer('b', 'confirmed'));
    expect(await ask()).toEqual([]);
    await r1.command('c');
    now = 9_000;
    expect(await ask()).toEqual([]);
    now = NOW;
    await registry.putStatus({ ...r1.status(), state: 'sealed', outcome: 'aborted' });
    expect(await ask()).toEqual([]);
  });
});
