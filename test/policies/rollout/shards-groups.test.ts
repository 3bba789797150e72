/** Cutting waves into shards, merging outcomes, and keeping clear of redundancy mates. */
import { describe, expect, it } from 'vitest';
import type { Result } from '../../../policies/model/command.js';
import type { SiteOutcome } from '../../../policies/model/rollout.js';
import { isChanging } from '../../../policies/rollout/groups.js';
import { mergeOutcome, repeatedResult } from '../../../policies/rollout/outcomes.js';
import { readCommanded, readNews } from '../../../policies/rollout/news.js';
import { planShards } from '../../../policies/rollout/shards.js';
import { readVerbPayload } from '../../../policies/rollout/verbs.js';

describe('planShards', () => {
  it.each([
    [1, 10],
    [500, 10],
    [501, 10],
    [5_000, 3],
    [10_000, 250],
    [1_200, 1],
    [1_600, 7],
  ])('%i sites with %i slots: at most 500 a shard, and never more in flight than slots', (count, slots) => {
    const { shards, together } = planShards(
      Array.from({ length: count }, (_, i) => i),
      slots,
    );
    expect(shards.flatMap((shard) => shard.sites)).toHaveLength(count);
    expect(Math.max(...shards.map((shard) => shard.sites.length))).toBeLessThanOrEqual(500);
    const most = shards
      .map((shard) => shard.concurrency)
      .sort((a, b) => b - a)
      .slice(0, together);
    expect(most.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(slots);
    expect(Math.min(...shards.map((shard) => shard.concurrency))).toBeGreaterThanOrEqual(1);
  });
});

const outcome = (change: Partial<SiteOutcome>): SiteOutcome => ({
  site: 'a',
  stage: 's',
  wave: 0,
  outcome: 'confirmed',
  ...change,
});

describe('mergeOutcome', () => {
  const confirmed = outcome({ outcome: 'confirmed' });
  const reverted = outcome({ outcome: 'reverted', cause: 'check' });
  const owed = outcome({ outcome: 'owed', state: null });
  it('a result replaces a disposition, never the reverse', () => {
    expect(mergeOutcome(owed, confirmed)).toBe(confirmed);
    expect(mergeOutcome(confirmed, owed)).toBe(confirmed);
  });
  it('the very answer of an agent that is not believed is taken back, and no other of that site', () => {
    const answer = outcome({ outcome: 'confirmed', at: 7 });
    const back = outcome({ outcome: 'owed', state: null, at: 7 });
    expect(mergeOutcome(answer, back)).toBe(back);
    const own = outcome({ outcome: 'confirmed', at: 8 });
    expect(mergeOutcome(back, own)).toBe(own);
    // Told once more when its shard ends.
    expect(mergeOutcome(own, back)).toBe(own);
    expect(mergeOutcome(outcome({ outcome: 'confirmed', at: 7, try: 2 }), back).try).toBe(2);
  });
  it('a later local revert moves a site from confirmed; nothing else moves a result', () => {
    expect(mergeOutcome(confirmed, reverted)).toBe(reverted);
    expect(mergeOutcome(reverted, confirmed)).toBe(reverted);
    expect(mergeOutcome(reverted, outcome({ outcome: 'rejected' }))).toBe(reverted);
  });
  it('what a revert repeats counts unless it only says superseded', () => {
    const result = (word: Result['result'], previous?: Result): Result =>
      ({ result: word, ...(previous ? { previous } : {}) }) as Result;
    expect(repeatedResult(result('reverted', result('reverted')))).toMatchObject({ result: 'reverted' });
    expect(repeatedResult(result('reverted', result('superseded')))).toBeUndefined();
    expect(repeatedResult(result('reverted'))).toBeUndefined();
  });
});

describe('isChanging', () => {
  it('counts a site as changing from `accepted` on, or with a state that nobody knows', () => {
    expect(isChanging(outcome({ outcome: 'owed', state: 'watching' }))).toBe(true);
    expect(isChanging(outcome({ outcome: 'owed' }))).toBe(true);
  });
  it('does not count one that settled, was never reached, or was not commanded', () => {
    for (const settled of ['confirmed', 'reverted', 'rejected', 'untouched', 'deferred'] as const) {
      expect(isChanging(outcome({ outcome: settled }))).toBe(false);
    }
    expect(isChanging(outcome({ outcome: 'owed', state: null }))).toBe(false);
  });
});

describe('readVerbPayload', () => {
  it.each([
    undefined,
    null,
    'text',
    7,
    true,
    [],
    {},
    { by: 'x' },
    { by: '', reason: 'y' },
    { by: 'x', reason: 1 },
    { by: 'x', reason: 'y', override: 'yes' },
    { by: 'x', reason: 'y'.repeat(3_000) },
  ])('refuses %j in words', (input) => {
    expect(readVerbPayload(input)).toHaveProperty('refused', expect.stringContaining('expected {"by"'));
  });
  it('takes who and why, and an override', () => {
    expect(readVerbPayload({ by: 'x', reason: 'y', override: true })).toEqual({
      payload: { by: 'x', reason: 'y', override: true },
    });
  });
});

describe('readNews', () => {
  const known = {
    firstRunId: 'run',
    placeOf: (site: string) => (site === 'a' ? { stage: 's', wave: 2 } : undefined),
  };
  it.each([
    undefined,
    null,
    'text',
    { outcomes: 'not a list' },
    { outcomes: ['x'] },
    { outcomes: [null] },
    { outcomes: [{ site: 'a' }] },
    { outcomes: [{ site: 'a', outcome: 'promoted' }] },
    { outcomes: [{ site: 'z', outcome: 'confirmed' }] },
    { outcomes: [], answers: [{ site: 'z', result: 'reverted' }] },
    { outcomes: [{ site: 'a', result: 'confirmed' }] },
    { answers: [{ site: 'a', outcome: 'reverted' }] },
    { answers: [{ site: 'a', result: 'reverted', previous: 'x' }] },
    { answers: [{ site: 'a', result: 'reverted', previous: { site: 'a', result: 'x' } }] },
    { answers: [{ site: 'a', result: 'reverted', previous: { site: 'z', result: 'confirmed' } }] },
  ])('refuses %j', (input) => {
    const addressed = typeof input === 'object' && input !== null ? { firstRunId: 'run', ...input } : input;
    expect(readNews(addressed, known)).toHaveProperty('refused');
  });
  it('refuses what is about another rollout, of which only the workflow id is the same', () => {
    expect(readNews({ firstRunId: 'earlier', outcomes: [], answers: [] }, known)).toHaveProperty('refused');
  });
  it.each([null, [null], [{ site: 'a' }], 'a', [{ site: 1, switchBy: 2 }]])(
    'takes no list of commanded sites from %j',
    (commanded) => {
      expect(readCommanded({ stopped: { commanded } })).toBeUndefined();
      expect(readCommanded({ stopped: { commanded: [{ site: 'a', switchBy: 1 }] } })).toHaveLength(1);
    },
  );
  it('takes outcomes and answers of sites in the plan, at their place in it', () => {
    const outcomes = [{ site: 'a', outcome: 'owed', stage: 'forged', wave: 0 }];
    const answers = [{ site: 'a', result: 'reverted' }];
    const read = readNews({ firstRunId: 'run', outcomes, answers }, known);
    expect(read).toEqual({ outcomes: [{ site: 'a', outcome: 'owed', stage: 's', wave: 2 }], answers });
  });
});
