/** The sites that a command line selects. A misspelt name selects nothing, and nothing would read as good news. */
import { matches, parseSelector, valueOf, writeSelector, type SelectorKey } from '../policies/cohort/selector.js';
import { MistakeError } from '../policies/model/failure.js';
import type { Site } from '../policies/model/fleet.js';
import { SELECTOR_KEYS } from '../policies/model/strategy.js';
import { suggestions } from './nearest.js';

/** All of them without `--only`. Throws MistakeError BAD_ARGUMENT, or SELECTOR_EMPTY with the nearest value. */
export function selectedSites(sites: Site[], terms: string[]): Site[] {
  const selector = parseSelector(terms);
  const selected = sites.filter((site) => matches(selector, site));
  if (selected.length > 0 || terms.length === 0) return selected;
  const hints = SELECTOR_KEYS.flatMap((key) => unknownValues(sites, key, [selector[key] ?? []].flat()));
  const message = `expected --only to match a site, got none for ${writeSelector(selector)}`;
  throw new MistakeError('SELECTOR_EMPTY', message, hints);
}

function unknownValues(sites: Site[], key: SelectorKey, wanted: string[]): string[] {
  const values = new Set(sites.flatMap((site) => valueOf(site, key) ?? []));
  return wanted.filter((value) => !values.has(value)).flatMap((value) => suggestions(value, values, key));
}

/** Throws MistakeError SITE_NOT_FOUND with the nearest name. */
export function refuseUnknownSites(named: string[], known: Iterable<string>): void {
  const ids = new Set(known);
  const strange = named.find((site) => !ids.has(site));
  if (strange === undefined) return;
  throw new MistakeError(
    'SITE_NOT_FOUND',
    `expected a site of the fleet, got ${strange}`,
    suggestions(strange, ids, 'site'),
  );
}
