/** Fills a gate's query: `$sites`, `$release`, `$rollout`, `$stage`, `$window` (design §6, "Meaning"). */
import { formatDuration } from '../model/duration.js';
import { QUERY_PLACEHOLDERS } from '../model/strategy.js';

/** What a query may ask for. `window` in ms; `release` is the digest, the one thing that identifies a release. */
export interface QueryFacts {
  sites: readonly string[];
  release: string;
  rollout: string;
  stage: string;
  window: number;
}

const WORDS = QUERY_PLACEHOLDERS.join('|');
/** `$sites` or `${sites}`. */
const PLACEHOLDER = new RegExp(`\\$(?:(${WORDS})\\b|\\{(${WORDS})\\})`, 'g');

/** No site can have this name. An empty alternation would match every series that has no `site` label. */
const NO_SITE = '-no-site-';

/** The query with every placeholder filled in one pass: what is filled in is never read again for placeholders. */
export function fillQuery(query: string, facts: QueryFacts): string {
  return query.replace(PLACEHOLDER, (_, bare?: string, braced?: string) => valueOf(bare ?? braced, facts));
}

/** Sites as the inside of a PromQL `=~"…"`: each one literal, joined by `|`. */
export function sitesPattern(sites: readonly string[]): string {
  return promqlString((sites.length > 0 ? sites : [NO_SITE]).map(regexLiteral).join('|'));
}

/** Text as the inside of a PromQL string in double quotes. */
export function promqlString(text: string): string {
  return text.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n');
}

/**
 * Special characters go into a class of their own (`[.]`), not behind a backslash: that reads the same in all three
 * of PromQL's quotes, the raw one included, and Prometheus still sees plain literals that it can look up.
 */
function regexLiteral(text: string): string {
  return text.replace(/[\]\\^]|[.$|()[{}*+?]/g, (special) =>
    /[\]\\^]/.test(special) ? `\\${special}` : `[${special}]`,
  );
}

function valueOf(word: string | undefined, facts: QueryFacts): string {
  if (word === 'sites') return sitesPattern(facts.sites);
  if (word === 'window') return formatDuration(facts.window);
  if (word === 'release') return promqlString(facts.release);
  return promqlString(word === 'rollout' ? facts.rollout : facts.stage);
}
