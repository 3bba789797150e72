import { describe, expect, it } from 'vitest';
import type { SiteOutcome } from '../../../policies/model/rollout.js';
import { forgivenOf, judgeBudget, tallyOf } from '../../../policies/rollout/budget.js';
import { asHeard, countWatched, isUplinkLoss, wasLostTogether } from '../../../policies/rollout/uplink.js';

const site = (id: string, more: Partial<SiteOutcome> = {}): SiteOutcome => ({
  ...{ site: id, outcome: 'reverted', cause: 'uplink', stage: 's', wave: 0 },
  ...more,
});
const budget = { failed: 0, owed: 0 };
const confirmed: SiteOutcome = { site: 'c', outcome: 'confirmed', stage: 's', wave: 0 };

describe('[A32] sites that lose their uplink', () => {
  it.each([
    [0, 0, false],
    [1, 1, true],
    [1, 2, false],
    [2, 3, true],
    [5, 10, false],
    [6, 10, true],
  ])('%d of %d watched: together %s', (lost, watched, together) => {
    expect(wasLostTogether(lost, watched)).toBe(together);
  });

  it('are held against all that can have been watched beside them', () => {
    expect(countWatched([], 3)).toBe(3);
    expect(countWatched([{ lost: 3, unknown: 100, concurrency: 10 }], 3)).toBe(10);
    expect(countWatched([{ lost: 3, unknown: 2, concurrency: 10 }], 3)).toBe(5);
    expect(countWatched([{ lost: 12, unknown: 4, concurrency: 10 }], 12)).toBe(12);
    expect(
      countWatched(
        [
          { lost: 3, unknown: 0, concurrency: 3 },
          { lost: 0, unknown: 9, concurrency: 4 },
        ],
        3,
      ),
    ).toBe(7);
  });

  it('are undecided when they are heard of, whatever the message says of them', () => {
    expect(asHeard(site('a')).uplink).toBe('undecided');
    expect(asHeard(site('a', { cause: 'check', uplink: 'together' })).uplink).toBeUndefined();
    expect(asHeard(site('a', { outcome: 'safe-mode', uplink: 'together' })).uplink).toBeUndefined();
    expect(isUplinkLoss(site('a', { outcome: 'owed' }))).toBe(false);
  });

  it('count against the budget when they were not together', () => {
    expect(tallyOf(site('a'))).toBe('failed');
    expect(judgeBudget(budget, 10, [confirmed, site('a')]).verdict).toBe('fail');
  });

  it.each(['undecided', 'together'] as const)('do not count while %s, and promote nothing', (uplink) => {
    const outcomes = [confirmed, site('a', { uplink }), site('b', { uplink })];
    expect(judgeBudget(budget, 10, outcomes)).toMatchObject({
      verdict: 'inconclusive',
      reason: { code: 'UPLINK_LOST' },
      count: { failed: [], owed: [], confirmed: ['c'] },
    });
    const failed = site('x', { cause: 'check' });
    expect(judgeBudget(budget, 10, [...outcomes, failed]).verdict).toBe('fail');
  });

  it('are answered for by a person, these and no others', () => {
    const outcomes = [confirmed, site('a', { uplink: 'together' })];
    const forgiven = forgivenOf(outcomes);
    expect(judgeBudget(budget, 10, outcomes, forgiven).verdict).toBe('pass');
    expect(judgeBudget(budget, 10, [...outcomes, site('b', { uplink: 'together' })], forgiven).verdict).toBe(
      'inconclusive',
    );
    expect(judgeBudget(budget, 10, [site('a', { uplink: 'together', try: 2 })], forgiven).verdict).toBe('inconclusive');
    expect(forgivenOf([site('a', { uplink: 'undecided' })])).toEqual({ failed: [], owed: [] });
  });
});
