/** What a fleet may not do to the ids of sites (design §6: an id is never used again). */
import type { ResolvedFleet, Site } from '../model/fleet.js';

export interface KnownIds {
  /** Retired at the centre, and why. */
  retired: Map<string, string>;
  /** The fleet that counts now. */
  before?: ResolvedFleet | undefined;
  /** Ids of every fleet that was ever imported. */
  ever: Set<string>;
  /** A person says that these are the very sites of before, gone from the files by mistake. */
  returned: Set<string>;
}

/** One line for every id that the new fleet must not have, or must not leave out. */
export function judgeImport(sites: Site[], { retired, before, ever, returned }: KnownIds): string[] {
  const listed = new Set(sites.map((site) => site.id));
  const current = new Set(before?.sites.map((site) => site.id));
  const wrong = sites.flatMap((site) => {
    const why = retired.get(site.id);
    if (why !== undefined && site.state !== 'retired')
      return [`${site.id}: is retired (${why}); write state: retired, or give a new site an id of its own`];
    const isBack = before !== undefined && !current.has(site.id) && ever.has(site.id) && !returned.has(site.id);
    if (isBack && site.state !== 'retired')
      return [
        `${site.id}: was in an earlier fleet, then gone, and is back; a new site needs a new id, the same one --returned`,
      ];
    return [];
  });
  const revived = sites.filter(
    (site) => site.state !== 'retired' && wasRetired(before, site.id) && !retired.has(site.id),
  );
  const left = (before?.sites ?? []).filter((site) => !listed.has(site.id) && !isOut(site, retired));
  return [
    ...wrong,
    ...revived.map(
      ({ id }) => `${id}: the fleet of now says state: retired, which is for good; give the new site another id`,
    ),
    ...left.map(
      ({ id }) =>
        `${id}: is left out, and was never retired; keep it, or first: foothold fleet retire ${id} --reason …`,
    ),
  ].sort();
}

function wasRetired(before: ResolvedFleet | undefined, id: string): boolean {
  return before?.sites.some((site) => site.id === id && site.state === 'retired') ?? false;
}

function isOut(site: Site, retired: Map<string, string>): boolean {
  return site.state === 'retired' || retired.has(site.id);
}

/** The fleet as the centre goes by it: what was retired here is retired, whatever a file still says. */
export function withRetired<F extends ResolvedFleet>(fleet: F, retired: ReadonlySet<string>): F {
  const overridden = (site: Site): boolean => retired.has(site.id) && site.state !== 'retired';
  if (retired.size === 0 || !fleet.sites.some(overridden)) return fleet;
  const sites = fleet.sites.map((site) => (overridden(site) ? { ...site, state: 'retired' as const } : site));
  return { ...fleet, sites };
}
