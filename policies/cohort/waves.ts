/** Waves: which part of a cohort is changed together (design §4.4, §6 "Meaning"). */
import { RISKS, type Site } from '../model/fleet.js';
import type { Share } from '../model/strategy.js';
import { isZero, sitesOf } from './share.js';

export interface Wave<S> {
  sites: S[];
  hold?: true;
}
type Ordered = Pick<Site, 'id' | 'risk'>;
type Grouped = Ordered & { redundancyGroup?: string };

/** Order within a cohort: risk, low first, then id by code point (a locale must not change a plan's digest). */
export function inOrder<S extends Ordered>(sites: readonly S[]): S[] {
  return [...sites].sort((a, b) => RISKS.indexOf(a.risk) - RISKS.indexOf(b.risk) || (a.id < b.id ? -1 : 1));
}

/** The waves of an ordered cohort. An empty cohort has none, not even a hold. */
export function planWaves<S extends Grouped>(ordered: readonly S[], entries: readonly Share[]): Wave<S>[] {
  return declaredWaves(ordered, entries).flatMap((wave) => (wave.hold ? [wave] : splitGroups(wave.sites)));
}

/** Entries are cumulative; each adds at least one site while any is left; what is left at the end is one more wave. */
function declaredWaves<S>(ordered: readonly S[], entries: readonly Share[]): Wave<S>[] {
  if (ordered.length === 0) return [];
  const waves: Wave<S>[] = [];
  let reached = 0;
  const reach = (upTo: number): void => {
    if (upTo > reached) waves.push({ sites: ordered.slice(reached, upTo) });
    reached = Math.max(reached, upTo);
  };
  for (const entry of entries) {
    if (isZero(entry)) waves.push({ sites: [], hold: true });
    else reach(Math.min(ordered.length, Math.max(reached + 1, sitesOf(entry, ordered.length))));
  }
  reach(ordered.length);
  return waves;
}

/**
 * Successive waves with at most one member of each redundancy group: the k-th member of a group goes to the k-th of
 * them, all others to the first. That is the least number of waves, so the least number of soaks.
 */
function splitGroups<S extends Grouped>(sites: readonly S[]): Wave<S>[] {
  const seen = new Map<string, number>();
  const waves: Wave<S>[] = [];
  for (const site of sites) {
    const group = site.redundancyGroup;
    const place = group === undefined ? 0 : (seen.get(group) ?? 0);
    if (group !== undefined) seen.set(group, place + 1);
    (waves[place] ??= { sites: [] }).sites.push(site);
  }
  return waves;
}
