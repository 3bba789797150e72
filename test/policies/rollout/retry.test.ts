/** Which sites can be tried again, and how a later try replaces what an earlier one ended with. */
import { describe, expect, it } from 'vitest';
import type { SiteOutcome } from '../../../policies/model/rollout.js';
import { mergeOutcome } from '../../../policies/rollout/outcomes.js';
import { planRetry } from '../../../policies/rollout/retry.js';

const outcome = (site: string, word: SiteOutcome['outcome'], change: Partial<SiteOutcome> = {}): SiteOutcome => ({
  site,
  outcome: word,
  stage: 's',
  wave: 0,
  ...change,
});
const known = (...outcomes: SiteOutcome[]) => new Map(outcomes.map((one) => [one.site, one]));

describe('planRetry', () => {
  it.each([
    [outcome('a', 'rejected'), true],
    [outcome('a', 'reverted', { cause: 'check' }), true],
    [outcome('a', 'reverted', { cause: 'command' }), false],
    [outcome('a', 'safe-mode'), false],
    [outcome('a', 'owed'), true],
    [outcome('a', 'deferred'), true],
    [outcome('a', 'confirmed'), false],
    [outcome('a', 'superseded'), false],
  ])('%j: %s', (one, again) => {
    expect(planRetry(known(one)).sites).toHaveLength(again ? 1 : 0);
    expect(planRetry(known(one), ['a']).refused).toHaveLength(again ? 0 : 1);
  });
  it('takes only those that were named, each once, and refuses by name what nobody knows', () => {
    const all = known(outcome('a', 'owed'), outcome('b', 'owed'));
    const plan = planRetry(all, ['a', 'a', 'z']);
    expect(plan.sites.map(({ site }) => site)).toEqual(['a']);
    expect(plan.refused).toEqual([{ site: 'z', why: 'it has not been commanded' }]);
  });
});

describe('mergeOutcome over tries', () => {
  const first = outcome('a', 'rejected');
  const begun = outcome('a', 'untouched', { try: 2 });
  const second = outcome('a', 'confirmed', { try: 2 });
  it('a later try replaces a result, also before it has one itself; an earlier one comes too late', () => {
    expect(mergeOutcome(first, begun)).toBe(begun);
    expect(mergeOutcome(begun, first)).toBe(begun);
    expect(mergeOutcome(begun, second)).toBe(second);
    expect(mergeOutcome(second, outcome('a', 'reverted', { cause: 'check' }))).toBe(second);
  });
  it('a local revert of the later try still counts', () => {
    const undone = outcome('a', 'reverted', { cause: 'check', try: 2 });
    expect(mergeOutcome(second, undone)).toBe(undone);
  });
});
