/** Who is recorded together, in what order, and what one that cannot be recorded does to the others. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { WorldError } from '../../../policies/model/failure.js';
import { Gathered } from '../../../records/registry/gathered.js';

/** Items are words; what comes before the dash is the name. */
function gathering(fails: (items: string[]) => Error | undefined = () => undefined, most = 100) {
  const together: string[][] = [];
  const record = async (items: string[]) => {
    together.push(items);
    await turn();
    const failure = fails(items);
    if (failure !== undefined) throw failure;
    return items.map((item) => `${item} recorded`);
  };
  const gathered = new Gathered({ record, most, nameOf: (item: string) => item.split('-')[0] ?? '' });
  const all = (items: string[]) => Promise.allSettled(items.map((item) => gathered.do(item)));
  return { together, all };
}

const values = (settled: PromiseSettledResult<string>[]) =>
  settled.map((one) => (one.status === 'fulfilled' ? one.value : String((one.reason as Error).message)));

describe('what is recorded together', () => {
  it('the first goes at once and alone, all that come meanwhile go next, each with its own answer', async () => {
    const { together, all } = gathering();
    expect(values(await all(['a', 'b', 'c', 'd']))).toEqual(['a', 'b', 'c', 'd'].map((item) => `${item} recorded`));
    expect(together).toEqual([['a'], ['b', 'c', 'd']]);
    expect(values(await all(['e']))).toEqual(['e recorded']);
  });

  it('never two of the same name, nor more than is allowed; of one name the order stays', async () => {
    const { together, all } = gathering(undefined, 2);
    await all(['x', 'a-1', 'a-2', 'b', 'c', 'a-3']);
    expect(together).toEqual([['x'], ['a-1', 'b'], ['a-2', 'c'], ['a-3']]);
  });
});

describe('what cannot be recorded', () => {
  it('fails alone: the others of its company are recorded', async () => {
    const { together, all } = gathering((items) => (items.includes('bad') ? new Error('not to be stored') : undefined));
    expect(values(await all(['x', 'a', 'bad', 'b']))).toEqual([
      'x recorded',
      'a recorded',
      'not to be stored',
      'b recorded',
    ]);
    expect(together).toEqual([['x'], ['a', 'bad', 'b'], ['a'], ['bad'], ['b']]);
  });

  it('fails alone also where the database calls it a failure of its own, wherever it stands', async () => {
    const world = new WorldError('REGISTRY_BROKEN', 'too long for an index');
    for (const order of [
      ['x', 'bad', 'a', 'b'],
      ['x', 'a', 'bad', 'b'],
      ['x', 'a', 'b', 'bad'],
    ]) {
      const { all } = gathering((items) => (items.includes('bad') ? world : undefined));
      const expected = order.map((item) => (item === 'bad' ? 'too long for an index' : `${item} recorded`));
      expect(values(await all(order))).toEqual(expected);
    }
  });

  it('because the world refuses it to two in a row is asked for no other', async () => {
    const { together, all } = gathering(() => new WorldError('REGISTRY_BROKEN', 'the disk is full'));
    expect(new Set(values(await all(['x', 'a', 'b', 'c', 'd'])))).toEqual(new Set(['the disk is full']));
    expect(together).toEqual([['x'], ['a', 'b', 'c', 'd'], ['a'], ['b']]);
  });

  it('because it has no name fails alone, and those after it are recorded', async () => {
    const nameOf = (item: unknown) => String(item);
    const gathered = new Gathered({ record: async (items: unknown[]) => items, nameOf });
    const nameless = { toString: 1 };
    const settled = await Promise.allSettled([gathered.do('a'), gathered.do(nameless), gathered.do('b')]);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await gathered.do('c')).toBe('c');
  });
});
