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

/** The rollout that the news must be of, and where the plan has a site. */
export interface NewsOf {
  firstRunId: string;
  placeOf: (site: string) => { stage: string; wave: number } | undefined;
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

/**
 * The news, or in words why it is none. Stage and wave are those of the plan, whatever the message says; workflow ids
 * can be used again, so that a late word about an earlier rollout of the same id must not be taken for this one's.
 */
export function readNews(input: unknown, of: NewsOf): News | { refused: string } {
  if (typeof input !== 'object' || input === null) return { refused: `expected outcomes, got ${typeof input}` };
  const { firstRunId, outcomes = [], answers = [] } = input as Record<string, unknown>;
  if (firstRunId !== of.firstRunId) return { refused: `news of another rollout: ${brief(firstRunId)}` };
  if (!Array.isArray(outcomes) || !Array.isArray(answers)) return { refused: 'expected lists of outcomes and answers' };
  const strange = [
    ...(outcomes as unknown[]).filter((one) => !isOf(one, 'outcome', of)),
    ...(answers as unknown[]).filter((one) => !isOf(one, 'result', of) || !isPreviousOf(one)),
  ];
  if (strange.length > 0) return { refused: `not an outcome of a site of this plan: ${brief(strange[0])}` };
  return {
    outcomes: (outcomes as SiteOutcome[]).map((outcome) => ({ ...outcome, ...of.placeOf(outcome.site) })),
    answers: answers as Result[],
  };
}

function isOf(one: unknown, key: 'outcome' | 'result', of: NewsOf): boolean {
  if (typeof one !== 'object' || one === null) return false;
  const { site, [key]: word } = one as Record<string, unknown>;
  return typeof site === 'string' && of.placeOf(site) !== undefined && OUTCOMES.some((known) => known === word);
}

/** What an answer repeats is a result of the same site, or nothing. */
function isPreviousOf(answer: unknown): boolean {
  const { site, previous } = answer as { site: string; previous?: unknown };
  if (previous === undefined) return true;
  return isOf(previous, 'result', {
    firstRunId: '',
    placeOf: (id) => (id === site ? { stage: '', wave: 0 } : undefined),
  });
}

/** The sites of a stopped shard, or undefined if the message does not hold such a list. */
export function readCommanded(input: unknown): { site: string; switchBy: number }[] | undefined {
  const { stopped } = (typeof input === 'object' && input !== null ? input : {}) as {
    stopped?: { commanded?: unknown };
  };
  const commanded = stopped?.commanded;
  if (!Array.isArray(commanded)) return undefined;
  const isSite = (one: unknown) => {
    const { site, switchBy } = (one ?? {}) as Record<string, unknown>;
    return typeof site === 'string' && typeof switchBy === 'number';
  };
  return (commanded as unknown[]).every(isSite) ? (commanded as { site: string; switchBy: number }[]) : undefined;
}

function brief(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 200);
}
