/** The scope of a rollout: active sites that list the stream ∩ `only`; and who is left out, and why (design §4.2). */
import { MistakeError } from '../model/failure.js';
import type { ResolvedFleet, Site } from '../model/fleet.js';
import { didYouMean } from '../model/nearest.js';
import type { Plan } from '../model/plan.js';
import type { Selector } from '../model/strategy.js';
import { asList, matches, valueOf, writeSelector, type SelectorKey } from './selector.js';

export interface Scope {
  /** Active sites that list the stream, in scope or not: what selectors and `each` are held against. */
  active: Site[];
  /** Those of them that `only` lets through. */
  chosen: Site[];
  excluded: Plan['excluded'];
}

/**
 * Throws MistakeError SITE_NOT_FOUND (an id in `only` that the fleet does not have), SELECTOR_EMPTY (nobody left).
 * Sites that do not list the stream are `excluded` only if `only` names them by id: naming all the others is noise.
 */
export function planScope(fleet: ResolvedFleet, stream: string, only: Selector | undefined): Scope {
  const named = only?.id === undefined ? [] : asList(only.id);
  refuseUnknownIds(fleet, named);
  const active = fleet.sites.filter((site) => site.streams.includes(stream) && site.state === 'active');
  if (active.length === 0) throw noActiveSite(fleet, stream);
  const chosen = only === undefined ? active : active.filter((site) => matches(only, site));
  const excluded = fleet.sites.flatMap((site) => {
    const reason = whyExcluded(site, stream, only, named);
    return reason === undefined ? [] : [{ site: site.id, reason }];
  });
  if (only !== undefined && chosen.length === 0) throw nobodyChosen(active, stream, only, named, excluded);
  return { active, chosen, excluded };
}

function whyExcluded(site: Site, stream: string, only: Selector | undefined, named: string[]): string | undefined {
  if (!site.streams.includes(stream)) return named.includes(site.id) ? `does not list stream ${stream}` : undefined;
  if (site.state !== 'active') return `state is ${site.state}`;
  return only === undefined || matches(only, site) ? undefined : 'not in only';
}

function refuseUnknownIds(fleet: ResolvedFleet, named: string[]): void {
  const known = new Set(fleet.sites.map((site) => site.id));
  const unknown = named.filter((id) => !known.has(id));
  if (unknown.length === 0) return;
  const lines = unknown.map((id) => `site ${id}: not in the fleet.${didYouMean(id, known)}`);
  throw new MistakeError('SITE_NOT_FOUND', `expected ids of the fleet in only, got ${lines[0] ?? ''}`, lines);
}

function noActiveSite(fleet: ResolvedFleet, stream: string): MistakeError {
  if (fleet.sites.length === 0)
    return new MistakeError('SELECTOR_EMPTY', 'expected a fleet with sites, got an empty one');
  const idle = fleet.sites.filter((site) => site.streams.includes(stream));
  if (idle.length > 0) {
    const states = idle.map((site) => `${site.id}: state is ${site.state}`);
    return new MistakeError(
      'SELECTOR_EMPTY',
      `expected an active site that lists stream ${stream}, got ${idle.length} in maintenance or retired`,
      states,
    );
  }
  const known = [...new Set(fleet.sites.flatMap((site) => site.streams))].sort();
  const list = known.length === 0 ? 'the fleet lists no stream at all' : `the fleet lists ${known.join(', ')}`;
  return new MistakeError(
    'SELECTOR_EMPTY',
    `expected a stream that some site lists, got ${stream}; ${list}.${didYouMean(stream, known)}`,
  );
}

function nobodyChosen(
  active: Site[],
  stream: string,
  only: Selector,
  named: string[],
  excluded: Plan['excluded'],
): MistakeError {
  const why = excluded.filter((row) => named.includes(row.site)).map((row) => `${row.site}: ${row.reason}`);
  return new MistakeError(
    'SELECTOR_EMPTY',
    `expected only to match an active site of stream ${stream}, got none for ${writeSelector(only)}`,
    [...why, ...knownValues(active, only)],
  );
}

/** For each key of a selector that matched nothing: the values that do exist. */
export function knownValues(sites: Site[], selector: Selector): string[] {
  const keys = (Object.keys(selector) as SelectorKey[]).filter((key) => key !== 'id');
  return keys.map((key) => {
    const values = [...new Set(sites.flatMap((site) => valueOf(site, key) ?? []))].sort();
    return `${key}: the active sites of the stream have ${values.join(', ') || 'no value'}`;
  });
}
