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
