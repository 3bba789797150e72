/**
 * Which sites may not be converged now, and why (design §2 "deferred"). Asked for each page before anything is
 * recorded or signed; an undo is never asked about: it waits for nothing.
 */
import { matches } from '../../policies/cohort/selector.js';
import type { Freeze } from '../../policies/model/debt.js';
import type { OutlineSite, ShardInput } from '../../policies/model/outline.js';
import type { PlannedSite } from '../../policies/model/plan.js';
import type { Reason } from '../../policies/model/verdict.js';
import { judgeHeld } from '../../policies/rollout/judge-held.js';
import { patienceFor } from '../../policies/rollout/patience.js';
import type { ChangingMember } from '../../records/registry/registry.js';
import type { DeferredCommand } from '../contract.js';
import type { Addressee } from './addressees.js';
import type { ControlDeps } from './deps.js';
import { wasReset } from './record-progress.js';

export async function hinderedSites(
  deps: ControlDeps,
  input: ForShard,
  sites: SiteOfShard[],
  known: { planned: Record<string, PlannedSite>; addressees: Map<string, Addressee> },
): Promise<Map<string, DeferredCommand>> {
  if (sites.length === 0) return new Map();
  // It is not clear who speaks for the site, or it was retired: nothing is begun there.
  const strange = sites.flatMap(({ id }) => {
    const deferred = known.addressees.get(id)?.hindered;
    return deferred === undefined ? [] : [{ site: id, deferred }];
  });
  const deferred = await deferredSites(deps, input, sites, known.planned);
  return new Map([...strange, ...deferred].map((one) => [one.site, one]));
}

export type ForShard = Pick<ShardInput, 'firstRunId' | 'settleWithin' | 'links' | 'run'> & {
  release: { stream: string };
};
type SiteOfShard = Pick<OutlineSite, 'id' | 'link'>;

export async function deferredSites(
  deps: ControlDeps,
  input: ForShard,
  sites: SiteOfShard[],
  planned: Record<string, PlannedSite>,
): Promise<DeferredCommand[]> {
  if (input.run && (await wasReset(deps, { firstRunId: input.firstRunId, ...input.run }))) {
    const deferred: Reason = { code: 'RUN_WAS_RESET', detail: 'another run of this rollout had begun' };
    return sites.map(({ id }) => ({ site: id, deferred }));
  }
  const freezes = await deps.registry.freezes(deps.now());
  const owing = await owedReverts(deps, input.release.stream);
  const held = await heldSites(deps, input, sites);
  return sites.flatMap(({ id }) => {
    const found = frozen(freezes, planned[id]) ?? owing.get(id) ?? held.get(id);
    return found ? [{ site: id, ...found }] : [];
  });
}

type Hindrance = Omit<DeferredCommand, 'site'>;

/** Of several freezes the one that lasts longest. */
function frozen(freezes: Freeze[], site: PlannedSite | undefined): Hindrance | undefined {
  const hit = freezes
    .filter(({ only }) => only === undefined || (site !== undefined && matches(only, site)))
    .sort((a, b) => b.until - a.until)[0];
  return hit && { deferred: { code: 'FROZEN', detail: `${hit.id} by ${hit.by}: ${hit.reason}` }, until: hit.until };
}

/**
 * A hold that ends within the patience for the site is waited for. A longer one is a word of its own: the wave ends without
 * the site, which is deferred and counts with owed, and catch-up brings it the release after the hold.
 */
async function heldSites(deps: ControlDeps, input: ForShard, sites: SiteOfShard[]): Promise<Map<string, Hindrance>> {
  const now = deps.now();
  const holds = await deps.registry.holds(now);
  const reports = await deps.registry.reports(sites.map(({ id }) => id));
  const held = new Map<string, Hindrance>();
  for (const site of sites) {
    const found = judgeHeld(site.id, input.release.stream, reports.get(site.id), holds, now);
    if (!found) continue;
    const { code, until } = found;
    const isSoon = until !== undefined && until - now <= patienceFor(input, site);
    const end = until === undefined ? '' : `, until ${new Date(until).toISOString()}`;
    held.set(site.id, { deferred: { code, detail: `${found.detail}${end}` }, ...(isSoon && { until }) });
  }
  return held;
}

/** Nothing new is brought to a site that has not gone back yet: reverts are delivered first. */
async function owedReverts({ registry }: ControlDeps, stream: string): Promise<Map<string, Hindrance>> {
  const debts = await registry.debts({ stream, verb: 'revert' });
  return new Map(
    debts.map(({ site, label }) => [
      site,
      { deferred: { code: 'OWED_REVERT', detail: `the revert of ${label} has not been answered` } },
    ]),
  );
}

/** What the registry left out when it recorded the commands, because a mate may be changing. */
export function deferredMates(leftOut: { site: string; mate: ChangingMember }[]): DeferredCommand[] {
  return leftOut.map(({ site, mate }) => {
    const detail = `${mate.site} has not settled (${mate.rollout})`;
    return { site, deferred: { code: 'GROUP_CHANGING', detail } };
  });
}
