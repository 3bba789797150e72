/** Which sites of a rollout that waits can be commanded again, and which cannot, by name (design §4 "explicit retry"). */
import type { SiteOutcome } from '../model/rollout.js';

export interface RetryPlan {
  sites: SiteOutcome[];
  /** Asked for by name and not possible. */
  refused: { site: string; why: string }[];
}

/** `wanted`: these alone; without it every site that can be tried again. */
export function planRetry(outcomes: ReadonlyMap<string, SiteOutcome>, wanted?: readonly string[]): RetryPlan {
  const asked = wanted ?? [...outcomes.keys()];
  const plan: RetryPlan = { sites: [], refused: [] };
  for (const site of new Set(asked)) {
    const outcome = outcomes.get(site);
    const why = outcome ? whyNot(outcome) : 'it has not been commanded';
    if (outcome && why === undefined) plan.sites.push(outcome);
    else if (wanted) plan.refused.push({ site, why: why ?? 'it has not been commanded' });
  }
  return plan;
}

function whyNot(outcome: SiteOutcome): string | undefined {
  switch (outcome.outcome) {
    case 'rejected':
    case 'owed':
    case 'deferred':
      return undefined;
    case 'reverted':
      return outcome.cause === 'command' ? 'it was told to revert' : undefined;
    case 'safe-mode':
      return 'it is in safe mode: a person has to look after it first';
    case 'confirmed':
      return 'it has confirmed';
    case 'superseded':
      return 'a newer command has replaced this one';
    case 'untouched':
      return 'it was not commanded yet: promote goes on with it';
  }
}
