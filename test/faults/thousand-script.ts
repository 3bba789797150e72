/**
 * A thousand sites: how each goes, and the totals that follow from that, counted here from the script alone. Nothing of
 * Foothold is asked, so that the two can differ.
 */

export type Kind = 'well' | 'reverting' | 'flapping' | 'dark-during' | 'dark-after';

export interface ScriptedSite {
  id: string;
  risk: 'low' | 'medium' | 'high';
  kind: Kind;
  /** 1 to 4: the canary, the second stage, and the two halves of the last. */
  part: number;
}

export interface Totals {
  confirmed: number;
  reverted: number;
  owed: number;
}

const SITES = 1_000;
const [CANARY, SECOND] = [10, 190];

/** Of each hundred: twenty dark, five reverting, two with flapping links; none of these in the canary. */
export function scriptSites(stream: string): ScriptedSite[] {
  return Array.from({ length: SITES }, (_, index) => {
    const risk = index < CANARY ? 'low' : index < CANARY + SECOND ? 'medium' : 'high';
    const id = `${stream}-${String(index).padStart(4, '0')}`;
    return { id, risk, kind: kindOf(index), part: partOf(index) };
  });
}

function kindOf(index: number): Kind {
  if (index < CANARY) return 'well';
  // Shifted, so that whole hundreds hold whole shares although the canary has none.
  if (index % 5 === 0) return index % 10 === 0 ? 'dark-during' : 'dark-after';
  if (index % 20 === 3) return 'reverting';
  return index % 50 === 7 ? 'flapping' : 'well';
}

function partOf(index: number): number {
  if (index < CANARY) return 1;
  if (index < CANARY + SECOND) return 2;
  return index < CANARY + SECOND + (SITES - CANARY - SECOND) / 2 ? 3 : 4;
}

/** When the rollout is sealed: who was away throughout is owed, and nobody else. */
export function totalsAtSeal(sites: ScriptedSite[]): Totals {
  const count = (kinds: Kind[]) => sites.filter((site) => kinds.includes(site.kind)).length;
  return {
    confirmed: count(['well', 'flapping', 'dark-during']),
    reverted: count(['reverting']),
    owed: count(['dark-after']),
  };
}

/** Once all are back: nobody is owed anything, and who reverted stays on what it had. */
export function totalsAtEnd(sites: ScriptedSite[]): Totals {
  const { confirmed, reverted, owed } = totalsAtSeal(sites);
  return { confirmed: confirmed + owed, reverted, owed: 0 };
}
