/** The strategies that ship, as examples and from `init`: valid, and what their names promise. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Strategy } from '../../policies/model/strategy.js';
import { loadStrategies } from '../../records/files/strategy-file.js';
import { emptyDirectory, foothold, json } from './operator.js';
import { testProject } from './project.js';

const EXAMPLES = resolve(import.meta.dirname, '../../examples/strategies');

async function shipped(): Promise<[string, Map<string, { strategy: Strategy }>][]> {
  const directory = await emptyDirectory();
  await foothold(directory, ['init']);
  return [
    ['examples', await loadStrategies(EXAMPLES)],
    ['init', await loadStrategies(join(directory, 'strategies'))],
  ];
}

test('every example is a valid strategy', async () => {
  const files = (await readdir(EXAMPLES)).map((name) => join(EXAMPLES, name));
  const said = await foothold(await emptyDirectory(), ['validate', ...files, '--json']);
  expect([said.exit, json(said)]).toMatchObject([0, { valid: true }]);
});

describe('careful, emergency and rollback ship, and each is what it is called', () => {
  test('emergency: everybody in one stage, still gated, undone as a whole, and no wait for the absent', async () => {
    for (const [where, strategies] of await shipped()) {
      const { strategy } = strategies.get('emergency') ?? {};
      expect([where, strategy?.stages.map(({ select }) => select)]).toEqual([where, [undefined]]);
      expect(Object.keys(strategy?.gates ?? {})).toEqual([strategy?.defaults.gate]);
      expect(strategy).toMatchObject({ onFailure: 'revert-all', defaults: { budget: { owed: '100%' } } });
    }
  });

  test('rollback: no gate, with a because; a failure does not send anybody forward again', async () => {
    for (const [where, strategies] of await shipped()) {
      const { strategy } = strategies.get('rollback') ?? {};
      expect([where, strategy?.defaults.gate]).toEqual([where, 'none']);
      expect(strategy?.defaults.because).not.toBe('');
      expect(strategy).toMatchObject({ onFailure: 'stay', stages: [{ waves: ['100%'] }] });
    }
  });

  test('careful: a canary first, and more than one step', async () => {
    for (const [where, strategies] of await shipped()) {
      const stages = strategies.get('careful')?.strategy.stages ?? [];
      expect([where, stages[0]?.name]).toEqual([where, 'canary']);
      expect(stages.length).toBeGreaterThan(1);
    }
  });
});

test.each(['emergency', 'rollback'])('%s of init plans a fleet, low risk first', async (strategy) => {
  const project = await testProject();
  const path = await project.release('2.4.0');
  const said = await foothold(project.directory, ['plan', path, strategy, '--json']);
  const { stages } = json(said) as { stages: { waves: { sites: string[] }[] }[] };
  expect(said.exit).toBe(0);
  expect(stages.flatMap(({ waves }) => waves.flatMap(({ sites }) => sites))).toEqual([
    'osl-01',
    'osl-02',
    'osl-03',
    'rig-01',
  ]);
});
