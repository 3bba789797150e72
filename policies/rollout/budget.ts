/** The budget of a stage (design §4 "Budget"): which sites count, against what, and when it is exceeded. */
import { sitesOf } from '../cohort/share.js';
import type { SiteOutcome } from '../model/rollout.js';
import type { Share } from '../model/strategy.js';
import type { Reason } from '../model/verdict.js';

export type Tally = 'confirmed' | 'failed' | 'owed' | 'uncounted';

/** A site that answered with one of these was not changed, and the release is not to blame (docs/decisions/0001). */
const REJECTED_AS_OWED = new Set([
  ...['ALREADY_SICK', 'HELD', 'SAFE_MODE', 'OBSERVING', 'STALE', 'SWITCH_BY_PASSED', 'DEPOT_UNREACHABLE'],
  'UPLINK_UNDECLARED',
  // What was live before was undone while this one waited.
  ...['PERSON', 'COMMANDED'],
  // An agent answered that does not speak for the site: the site itself was not asked.
  ...['WRONG_EPOCH', 'ENROLMENT_USED', 'JOURNAL_FORKED'],
]);

/** Where one site counts. A site that was told to revert is never a failure of the release. */
export function tallyOf(outcome: SiteOutcome): Tally {
  switch (outcome.outcome) {
    case 'confirmed':
      return 'confirmed';
    case 'reverted':
    case 'safe-mode':
      return outcome.cause === 'command' || outcome.uplink !== undefined ? 'uncounted' : 'failed';
    case 'rejected':
      return outcome.reason && REJECTED_AS_OWED.has(outcome.reason.code) ? 'owed' : 'failed';
    case 'owed':
    case 'deferred':
      return 'owed';
    case 'superseded':
    case 'untouched':
      return 'uncounted';
  }
}

export interface StageCount {
  confirmed: string[];
  failed: string[];
  owed: string[];
}

export function countStage(outcomes: SiteOutcome[]): StageCount {
  const count: StageCount = { confirmed: [], failed: [], owed: [] };
  for (const outcome of outcomes) {
    const tally = tallyOf(outcome);
    if (tally !== 'uncounted') count[tally].push(outcome.site);
  }
  return count;
}

export interface BudgetVerdict {
  verdict: 'pass' | 'fail' | 'inconclusive';
  reason?: Reason;
  count: StageCount;
  limits: { failed: number; owed: number };
}

/**
 * What a person has already answered for by promoting: these sites, each with the try that failed or is owed, and no
 * others. As `keyOf` names them.
 */
export interface Forgiven {
  failed: string[];
  owed: string[];
  /** Lost their uplink together. */
  uplink?: string[];
}

/** What stands at the sites of a stage, for a person to answer for. */
export function forgivenOf(outcomes: SiteOutcome[]): Forgiven {
  const named = (tally: Tally) => outcomes.filter((outcome) => tallyOf(outcome) === tally).map(keyOf);
  const together = outcomes.filter((outcome) => outcome.uplink === 'together').map(keyOf);
  return { failed: named('failed'), owed: named('owed'), ...(together.length > 0 ? { uplink: together } : {}) };
}

/** A lost uplink that does not count, and that no person has answered for: with one, nothing is promoted. */
export function isOpenUplink(outcome: SiteOutcome, forgiven: Forgiven | undefined): boolean {
  return outcome.uplink !== undefined && !forgiven?.uplink?.includes(keyOf(outcome));
}

function keyOf({ site, try: number }: SiteOutcome): string {
  return `${site}/${number ?? 1}`;
}

/**
 * Judges the outcomes of a stage of `size` sites. Exceeded means more than the limit: `failed` is a fail, `owed` is
 * inconclusive, and a fail outweighs. What is forgiven counts on, but never exceeds by itself: it takes one site more
 * that nobody has answered for.
 */
export function judgeBudget(
  budget: { failed: Share; owed: Share },
  size: number,
  outcomes: SiteOutcome[],
  forgiven: Forgiven = { failed: [], owed: [] },
): BudgetVerdict {
  const count = countStage(outcomes);
  const limits = { failed: sitesOf(budget.failed, size), owed: sitesOf(budget.owed, size) };
  const isExceeded = (tally: 'failed' | 'owed') => {
    if (count[tally].length <= limits[tally]) return false;
    const known = new Set(forgiven[tally]);
    return outcomes.some((outcome) => tallyOf(outcome) === tally && !known.has(keyOf(outcome)));
  };
  if (isExceeded('failed')) {
    return { verdict: 'fail', reason: exceeded('BUDGET_FAILED', count.failed, limits.failed, size), count, limits };
  }
  const lost = outcomes.filter((one) => isOpenUplink(one, forgiven));
  if (lost.length > 0) return { verdict: 'inconclusive', reason: lostTogether(lost), count, limits };
  if (isExceeded('owed')) {
    return { verdict: 'inconclusive', reason: exceeded('BUDGET_OWED', count.owed, limits.owed, size), count, limits };
  }
  return { verdict: 'pass', count, limits };
}

function lostTogether(lost: SiteOutcome[]): Reason {
  const sites = lost.map(({ site }) => site).sort();
  const named = sites.slice(0, 10).join(', ') + (sites.length > 10 ? ' …' : '');
  const decided = lost.every(({ uplink }) => uplink === 'together');
  const what = decided ? 'most sites being watched lost their uplink together' : 'sites lost their uplink';
  return { code: 'UPLINK_LOST', detail: `${what}, and are not counted: ${named}` };
}

function exceeded(code: 'BUDGET_FAILED' | 'BUDGET_OWED', sites: string[], limit: number, size: number): Reason {
  const named = [...sites].sort().slice(0, 10).join(', ') + (sites.length > 10 ? ' …' : '');
  return { code, detail: `${sites.length} of ${size} sites, limit ${limit}: ${named}` };
}
