/** The budget: which sites count against what (design §4 "Budget"). */
import { describe, expect, it } from 'vitest';
import { forgivenOf, judgeBudget, tallyOf } from '../../../policies/rollout/budget.js';
import type { ReasonCode } from '../../../policies/model/reasons.js';
import type { SiteOutcome } from '../../../policies/model/rollout.js';

const site = (id: string, outcome: Partial<SiteOutcome>): SiteOutcome => ({
  site: id,
  stage: 's',
  wave: 0,
  outcome: 'confirmed',
  ...outcome,
});
const reason = (code: ReasonCode) => ({ code, detail: '' });

describe('tallyOf', () => {
  const rows: [string, Partial<SiteOutcome>, string][] = [
    ['confirmed', { outcome: 'confirmed' }, 'confirmed'],
    ['reverted by a check', { outcome: 'reverted', cause: 'check' }, 'failed'],
    ['reverted by its deadline', { outcome: 'reverted', cause: 'deadline' }, 'failed'],
    ['reverted at boot', { outcome: 'reverted', cause: 'boot' }, 'failed'],
    ['reverted by a person at the site', { outcome: 'reverted', cause: 'person' }, 'failed'],
    ['reverted because the switch failed', { outcome: 'reverted', cause: 'switch' }, 'failed'],
    ['reverted for its uplink, alone', { outcome: 'reverted', cause: 'uplink' }, 'failed'],
    ['reverted for its uplink, undecided', { outcome: 'reverted', cause: 'uplink', uplink: 'undecided' }, 'uncounted'],
    ['reverted for its uplink, together', { outcome: 'reverted', cause: 'uplink', uplink: 'together' }, 'uncounted'],
    ['reverted without a known cause', { outcome: 'reverted' }, 'failed'],
    ['reverted by command', { outcome: 'reverted', cause: 'command' }, 'uncounted'],
    ['in safe mode', { outcome: 'safe-mode', cause: 'check' }, 'failed'],
    ['rejected: quarantined', { outcome: 'rejected', reason: reason('QUARANTINED') }, 'failed'],
    ['rejected without a reason', { outcome: 'rejected' }, 'failed'],
    ['rejected: already sick', { outcome: 'rejected', reason: reason('ALREADY_SICK') }, 'owed'],
    ['rejected: held', { outcome: 'rejected', reason: reason('HELD') }, 'owed'],
    ['rejected: in safe mode', { outcome: 'rejected', reason: reason('SAFE_MODE') }, 'owed'],
    ['rejected: observing', { outcome: 'rejected', reason: reason('OBSERVING') }, 'owed'],
    ['rejected: stale', { outcome: 'rejected', reason: reason('STALE') }, 'owed'],
    ['too late to begin', { outcome: 'rejected', reason: reason('SWITCH_BY_PASSED') }, 'owed'],
    ['cut off from the depot', { outcome: 'rejected', reason: reason('DEPOT_UNREACHABLE') }, 'owed'],
    ['without the uplink that the release needs', { outcome: 'rejected', reason: reason('UPLINK_UNDECLARED') }, 'owed'],
    ['undone by a person while it waited', { outcome: 'rejected', reason: reason('PERSON') }, 'owed'],
    ['undone by a command while it waited', { outcome: 'rejected', reason: reason('COMMANDED') }, 'owed'],
    ['of another epoch', { outcome: 'rejected', reason: reason('WRONG_EPOCH') }, 'owed'],
    ['spoken for by another instance', { outcome: 'rejected', reason: reason('ENROLMENT_USED') }, 'owed'],
    ['spoken for by a forked journal', { outcome: 'rejected', reason: reason('JOURNAL_FORKED') }, 'owed'],
    ['in safe mode by command', { outcome: 'safe-mode', cause: 'command' }, 'uncounted'],
    ['owed', { outcome: 'owed' }, 'owed'],
    ['deferred', { outcome: 'deferred' }, 'owed'],
    ['untouched', { outcome: 'untouched' }, 'uncounted'],
    ['superseded', { outcome: 'superseded' }, 'uncounted'],
  ];
  it.each(rows)('a site that is %s', (_name, outcome, expected) => {
    expect(tallyOf(site('a', outcome))).toBe(expected);
  });
});

describe('judgeBudget', () => {
  const failed = (n: number) =>
    Array.from({ length: n }, (_, i) => site(`f${i}`, { outcome: 'reverted', cause: 'check' }));
  const owed = (n: number) => Array.from({ length: n }, (_, i) => site(`o${i}`, { outcome: 'owed' }));

  it('is exceeded by more than the limit, not by reaching it; a percentage of the stage rounds down', () => {
    expect(judgeBudget({ failed: '10%', owed: 0 }, 19, failed(1)).verdict).toBe('pass');
    expect(judgeBudget({ failed: '10%', owed: 0 }, 19, failed(2)).verdict).toBe('fail');
    expect(judgeBudget({ failed: '10%', owed: 0 }, 9, failed(1)).verdict).toBe('fail');
    expect(judgeBudget({ failed: 2, owed: 0 }, 100, failed(2)).verdict).toBe('pass');
  });

  it('an absent site is inconclusive, never a failure, and never outweighs one', () => {
    expect(judgeBudget({ failed: 0, owed: 1 }, 10, owed(1)).verdict).toBe('pass');
    const over = judgeBudget({ failed: 0, owed: 1 }, 10, owed(2));
    expect(over).toMatchObject({ verdict: 'inconclusive', reason: { code: 'BUDGET_OWED' } });
    const both = judgeBudget({ failed: 0, owed: 0 }, 10, [...owed(5), ...failed(1)]);
    expect(both).toMatchObject({
      verdict: 'fail',
      reason: { code: 'BUDGET_FAILED', detail: '1 of 10 sites, limit 0: f0' },
    });
  });

  it('what a person has answered for never exceeds by itself: neither do sites that came back, nor their number', () => {
    const budget = { failed: 0, owed: 0 };
    const verdict = (outcomes: SiteOutcome[], forgiven = forgivenOf([...failed(2), ...owed(2)])) =>
      judgeBudget(budget, 10, outcomes, forgiven).verdict;
    expect(verdict([...failed(2), ...owed(2)])).toBe('pass');
    expect(verdict(failed(1))).toBe('pass');
    expect(verdict([...failed(1), site('other', { outcome: 'rejected' })])).toBe('fail');
    expect(verdict([...failed(2), ...owed(1), site('other', { outcome: 'owed' })])).toBe('inconclusive');
  });

  it('what is forgiven is one try of one site: its next try, and an absence that became a failure, are not', () => {
    const budget = { failed: 0, owed: 0 };
    const forgiven = forgivenOf([...failed(1), ...owed(1)]);
    const again = { outcome: 'reverted', cause: 'check', try: 2 } as const;
    expect(judgeBudget(budget, 10, [site('f0', again)], forgiven).verdict).toBe('fail');
    expect(judgeBudget(budget, 10, [site('f0', { ...again, try: 1 })], forgiven).verdict).toBe('pass');
    expect(judgeBudget(budget, 10, [site('o0', { outcome: 'rejected' })], forgiven).verdict).toBe('fail');
  });

  it('forgiven sites still count: they leave no room for others, and none is given where there was some', () => {
    const verdict = (outcomes: SiteOutcome[]) =>
      judgeBudget({ failed: 2, owed: 0 }, 10, outcomes, forgivenOf(failed(3)));
    expect(verdict([...failed(3), site('x', { outcome: 'rejected' })])).toMatchObject({
      verdict: 'fail',
      reason: { detail: '4 of 10 sites, limit 2: f0, f1, f2, x' },
    });
    expect(verdict([...failed(1), site('x', { outcome: 'rejected' })]).verdict).toBe('pass');
    expect(verdict(failed(3)).count.failed).toHaveLength(3);
  });
});
