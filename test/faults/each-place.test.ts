/** Each place of each kind is come to once, a seed says which by its number alone, and a poor clean run counts for nothing. */
import { describe, expect, it } from 'vitest';
import {
  CLEAN,
  EACH_KINDS,
  isOfEach,
  lackingOf,
  LATE_TASK,
  planEach,
  PROMOTED_KINDS,
  seedsOfEach,
  type EachKind,
  type Places,
} from './each-place.js';
import type { SeedFacts } from './facts.js';
import { PAIRS } from './seed-faults.js';
import { chain, rollout, sound } from './sound-facts.js';

const PLACES: Places = { activity: 3, task: 5, 'rollout-task': 4, converge: 2 };
const BOTH = { promoted: PLACES, undone: PLACES };

/** What a kind does and where, of each of its seeds. */
const faultsOf = (kind: EachKind, promoted = PLACES) =>
  seedsOfEach([kind], { promoted }).flatMap((seed) => planEach(seed).faults);

describe('the exhaustive places', () => {
  it.each(PROMOTED_KINDS)('%s comes at each place of its own, in every form', (kind) => {
    const faults = faultsOf(kind);
    const on = faults[0]?.on ?? 'task';
    const forms = ['abort', 'revert', 'pause', 'promote'].includes(kind) ? 2 : kind === 'two' ? PAIRS.length : 1;
    expect(faults).toHaveLength(PLACES[on] * forms);
    expect(new Set(faults.map((fault) => JSON.stringify(fault))).size).toBe(faults.length);
    const targets = faults.map(({ at, how }) =>
      kind === 'reset-to' && typeof how === 'object' && how.kind === 'reset' ? how.to : at,
    );
    const wanted = Array.from({ length: PLACES[on] }, (_, n) => (kind === 'reset-to' ? { task: n + 1 } : n + 1));
    expect(new Set(targets.map((one) => JSON.stringify(one)))).toEqual(
      new Set(wanted.map((one) => JSON.stringify(one))),
    );
  });

  it('has a reset to each task come late, and to none that is not done by then', () => {
    const faults = faultsOf('reset-to', { ...PLACES, 'rollout-task': LATE_TASK + 9 });
    expect(faults.map(({ at }) => at)).toEqual(Array.from({ length: LATE_TASK }, () => LATE_TASK));
  });

  it('has two operators give each pair, first one and then the other', () => {
    const pairs = faultsOf('two').map(({ how }) => (typeof how === 'object' && how.kind === 'verbs' ? how.verbs : []));
    for (const two of [
      ['abort', 'revert'],
      ['revert', 'abort'],
      ['revert', 'promote'],
      ['abort', 'pause'],
    ])
      expect(pairs.filter((pair) => pair.join() === two.join())).toHaveLength(4);
  });

  it('leaves none out, and takes a share where it is asked to', () => {
    const all = seedsOfEach(EACH_KINDS, BOTH);
    expect(new Set(all).size).toBe(all.length);
    expect(all.every(isOfEach)).toBe(true);
    const some = [1, 2, 3].map((every) => seedsOfEach(['kill'], BOTH, every).length);
    expect(some).toEqual([5, 2, 2]);
    const kinds = seedsOfEach(EACH_KINDS, BOTH, 1_000).map((seed) => Math.floor(seed / (CLEAN.promoted + 1)));
    expect(kinds).toEqual(EACH_KINDS.map((_, n) => n + 1));
    const kind = CLEAN.promoted + 1;
    expect([0, kind, (EACH_KINDS.length + 1) * kind + 1].map(isOfEach)).toEqual([false, false, false]);
    expect(planEach(CLEAN.promoted).faults).toEqual([]);
  });

  it('are the same in a rollout that is reverted late, and counted in one', () => {
    const [revert] = planEach(CLEAN.undone).faults;
    expect(revert?.how).toMatchObject({ kind: 'verb', verb: 'revert' });
    for (const kind of PROMOTED_KINDS) {
      const undone = seedsOfEach([`undone-${kind}`], { undone: PLACES }).map((seed) => planEach(seed).faults);
      expect(undone).toEqual(faultsOf(kind).map((fault) => [revert, fault]));
      expect(seedsOfEach([`undone-${kind}`], { promoted: PLACES })).toEqual([]);
    }
  });
});

describe('a clean run', () => {
  const sites = [
    { site: 's-b', outcome: 'confirmed' },
    { site: 's-d', outcome: 'reverted' },
    { site: 's-g', outcome: 'owed' },
  ];
  const facts = (left: string[] = [], outcome: 'promoted' | 'reverted' = 'promoted'): SeedFacts => {
    const lines: [number, string, Record<string, unknown>][] = [
      [1, 'disposition', { outcome: { site: 's-b', outcome: 'deferred' } }],
      [2, 'verb', { verb: 'promote' }],
      [3, 'owed-reverts', { sites: ['s-c'] }],
      [4, 'sealed', { sites: sites.filter(({ site }) => !left.includes(site)) }],
    ];
    const evidence = chain(lines.filter(([, kind]) => !left.includes(kind)));
    return {
      ...sound(),
      rollouts: [rollout({ workflowId: 's-main', evidence, status: { ...rollout().status, outcome } })],
    };
  };

  it('has owed, reverting and deferred sites, a wait and a promotion', () => {
    expect(lackingOf(facts(), 'promoted')).toEqual([]);
    const nothing = facts();
    nothing.rollouts = [];
    expect(lackingOf(nothing, 'promoted')).toHaveLength(5);
    expect(lackingOf(nothing, 'undone')).toHaveLength(5);
    expect(lackingOf(facts([], 'reverted'), 'undone')).toEqual([]);
    expect(lackingOf(facts(), 'undone')).toEqual(['a revert']);
    expect(lackingOf(facts(['owed-reverts'], 'reverted'), 'undone')).toEqual(['an owed revert']);
    expect(lackingOf(facts([], 'reverted'), 'promoted')).toEqual(['a promotion']);
  });

  it.each([
    ['s-b', 'a deferred site'],
    ['disposition', 'a deferred site'],
    ['s-d', 'a site that reverted'],
    ['s-g', 'an owed site'],
    ['verb', 'a wait that a person ended'],
  ])('without %s lacks %s', (left, lacking) => {
    expect(lackingOf(facts([left]), 'promoted')).toEqual([lacking]);
  });
});
