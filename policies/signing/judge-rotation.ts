/** Which sites the next step of a rotation has to wait for (docs/decisions/0003). Pure. */
import type { Keyset } from '../model/enrolment.js';
import type { SiteReport } from '../model/report.js';

export interface SiteKeys {
  site: string;
  /** What it last reported; absent: it never did, or not of its keys. */
  keyset?: SiteReport['keyset'];
}

/** `knows`: this very keyset. `behind`: an older one, or none that is known. `foreign`: one that this centre never made. */
export type KeysKnown = 'knows' | 'behind' | 'foreign';

export function judgeSiteKeys({ keyset: reported }: SiteKeys, latest: Keyset): KeysKnown {
  if (reported === undefined || reported.version < latest.version) return 'behind';
  const ids = latest.keys.map(({ id }) => id).sort();
  const same = reported.keys.length === ids.length && [...reported.keys].sort().every((id, i) => id === ids[i]);
  return reported.version === latest.version && same ? 'knows' : 'foreign';
}

/** Sites that neither know the keyset nor are named as left behind. */
export function missingSites(sites: SiteKeys[], latest: Keyset, leftBehind: ReadonlySet<string>): string[] {
  return sites
    .filter((one) => judgeSiteKeys(one, latest) !== 'knows' && !leftBehind.has(one.site))
    .map(({ site }) => site);
}

/**
 * Sites whose keys can vouch for no keyset to come: it is signed by the keys now and by the next ones, and these sites trust
 * none of them. A site with fewer keys or an older keyset learns as long as one key is the same.
 */
export function strandedSites(sites: SiteKeys[], latest: Keyset, leftBehind: ReadonlySet<string>): string[] {
  const ids = new Set(latest.keys.map(({ id }) => id));
  const follows = ({ keyset: reported }: SiteKeys) =>
    reported !== undefined && reported.version <= latest.version && reported.keys.some((id) => ids.has(id));
  return sites.filter((one) => !follows(one) && !leftBehind.has(one.site)).map(({ site }) => site);
}

/**
 * Keys by which this centre has signed, of its keysets with the latest first. A keyset that shares no key with the one after
 * it was given up in haste (`--compromised`): neither its keys nor any before are believed.
 */
export function vouchingKeys(keysets: readonly (readonly string[])[]): string[] {
  const broken = keysets.findIndex((pems, i) => i > 0 && !pems.some((pem) => keysets[i - 1]?.includes(pem)));
  return [...new Set(keysets.slice(0, broken === -1 ? undefined : broken).flat())];
}

/** No centre has rotated its key as often: a report of a version beyond is no measure for the next one. */
const MOST_MISSED = 1_000;

/** Above every keyset that anybody has: a registry that was lost or put back must not go back over them. */
export function nextVersion(known: number[], reported: number[]): number {
  const highest = Math.max(0, ...known);
  return 1 + Math.max(highest, ...reported.filter((one) => one <= highest + MOST_MISSED));
}
