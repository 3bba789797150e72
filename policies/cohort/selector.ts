/** Selectors: which sites are meant (design §6, §7). */
import { MistakeError } from '../model/failure.js';
import type { Site } from '../model/fleet.js';
import { didYouMean } from '../model/nearest.js';
import { SELECTOR_KEYS, Selector } from '../model/strategy.js';

export type SelectorKey = (typeof SELECTOR_KEYS)[number];

/** What a selector sees of a site, so that callers without a link class can ask too. */
export type Selectable = Pick<Site, 'id' | 'region' | 'cluster' | 'assetType' | 'risk'> & { link: { name: string } };

/** Every key must match; a list matches if it holds the site's value; a site without the value never matches. */
export function matches(selector: Selector, site: Selectable): boolean {
  return SELECTOR_KEYS.every((key) => {
    const wanted = selector[key];
    if (wanted === undefined) return true;
    const value = valueOf(site, key);
    return value !== undefined && holds(wanted, value);
  });
}

const sets = new WeakMap<readonly string[], Set<string>>();

/** A list may name ten thousand sites, and is asked once for each of as many. Lists of a selector never change. */
function holds(wanted: string | readonly string[], value: string): boolean {
  if (typeof wanted === 'string') return wanted === value;
  if (wanted.length < 20) return wanted.includes(value);
  let set = sets.get(wanted);
  if (set === undefined) sets.set(wanted, (set = new Set(wanted)));
  return set.has(value);
}

/** The site's value of a selector key; undefined if it has none. */
export function valueOf(site: Selectable, key: SelectorKey): string | undefined {
  return key === 'link' ? site.link.name : site[key];
}

/**
 * The selector of `--only key=value[,value]`, repeated for *and*. Throws MistakeError BAD_INPUT naming the known keys.
 * A key given twice is refused: read as *and* it would match nothing, read as *or* it would say what was not written.
 */
export function parseSelector(terms: string[]): Selector {
  const selector: Selector = {};
  for (const term of terms) {
    const at = term.indexOf('=');
    const key = (at < 0 ? term : term.slice(0, at)).trim();
    if (!isSelectorKey(key)) throw badTerm(term, `knows no key "${key}".${didYouMean(key, SELECTOR_KEYS)}`);
    const values = (at < 0 ? '' : term.slice(at + 1)).split(',').map((value) => value.trim());
    if (values.includes('')) throw badTerm(term, `has an empty value.`);
    if (selector[key] !== undefined) throw badTerm(term, `repeats "${key}". List its values in one: ${key}=a,b.`);
    selector[key] = values;
  }
  return selector;
}

/**
 * The `only` of a rollout's input, which anybody may have typed. Throws MistakeError BAD_INPUT: a key that is not known
 * would select nothing less than every site.
 */
export function readSelector(input: unknown): Selector {
  const read = Selector.safeParse(input);
  if (read.success) return read.data;
  const form = `expected "only" as in {"region": ["nordic"]}, with keys of ${SELECTOR_KEYS.join(', ')}`;
  const unknown =
    typeof input === 'object' && input !== null ? Object.keys(input).find((key) => !isSelectorKey(key)) : undefined;
  const hint = unknown === undefined ? '' : didYouMean(unknown, SELECTOR_KEYS);
  throw new MistakeError('BAD_INPUT', `${form}; got ${(JSON.stringify(input) ?? 'nothing').slice(0, 200)}.${hint}`);
}

/** The selector as `--only` would say it: `region=nordic,baltic risk=low`. */
export function writeSelector(selector: Selector): string {
  const terms = SELECTOR_KEYS.flatMap((key) => {
    const wanted = selector[key];
    return wanted === undefined ? [] : [`${key}=${asList(wanted).join(',')}`];
  });
  return terms.join(' ');
}

export function asList(wanted: string | string[]): string[] {
  return typeof wanted === 'string' ? [wanted] : wanted;
}

function isSelectorKey(key: string): key is SelectorKey {
  return SELECTOR_KEYS.some((known) => known === key);
}

function badTerm(term: string, what: string): MistakeError {
  const form = `expected key=value[,value] with a key of ${SELECTOR_KEYS.join(', ')}`;
  return new MistakeError('BAD_INPUT', `${form}; the selector "${term}" ${what}`);
}
