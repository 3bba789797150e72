/**
 * Checking what a signal brings before it touches the rollout's state. Anyone with a credential may send one, and a
 * site that is not in the plan, or an outcome that nobody knows, must change nothing.
 */
import type { Result } from '../model/command.js';
import type { SiteOutcome, SiteOutcomeWord } from '../model/rollout.js';

export interface News {
  outcomes: SiteOutcome[];
  answers: Result[];
}

const OUTCOMES: readonly SiteOutcomeWord[] = [
  'confirmed',
  'reverted',
  'rejected',
  'superseded',
  'safe-mode',
  'owed',
  'deferred',
  'untouched',
];

/** The news, or in words why it is none. `hasSite` knows the sites of the plan. */
export function readNews(input: unknown, hasSite: (id: string) => boolean): News | { refused: string } {
  if (typeof input !== 'object' || input === null) return { refused: `expected outcomes, got ${typeof input}` };
  const { outcomes = [], answers = [] } = input as Record<string, unknown>;
  if (!Array.isArray(outcomes) || !Array.isArray(answers)) return { refused: 'expected lists of outcomes and answers' };
  const strange = [...(outcomes as unknown[]), ...(answers as unknown[])].find((one) => !isOf(one, hasSite));
  if (strange !== undefined)
    return { refused: `not an outcome of a site of this plan: ${JSON.stringify(strange)?.slice(0, 200)}` };
  return { outcomes: outcomes as SiteOutcome[], answers: answers as Result[] };
}

function isOf(one: unknown, hasSite: (id: string) => boolean): boolean {
  if (typeof one !== 'object' || one === null) return false;
  const { site, outcome, result } = one as Record<string, unknown>;
  const word = outcome ?? result;
  return typeof site === 'string' && hasSite(site) && OUTCOMES.some((known) => known === word);
}
