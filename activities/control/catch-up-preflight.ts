/** Preflight for sites that are owed a release: one that it would block must not refuse a whole batch. */
import { isAllowed } from '../../policies/preflight/facts.js';
import { judgePreflight } from '../../policies/preflight/judge.js';
import type { FleetFacts } from '../../policies/catch-up/owed.js';
import type { OwedSite } from '../../policies/catch-up/owed-site.js';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { ResolvedFleet } from '../../policies/model/fleet.js';
import type { FrozenPlan, Plan } from '../../policies/model/plan.js';
import type { ControlDeps } from './deps.js';

/** The longest waiting: more are not looked at in one go. */
const JUDGED_MOST = 500;

/** What was in the way of judging is looked at again after this, in ms. */
const AGAIN = 60_000;

export interface Judging {
  fleet: Pick<ResolvedFleet, 'sites'>;
  facts: FleetFacts;
  /** By the first run id that sites name. */
  plans: ReadonlyMap<string, FrozenPlan>;
}

type Hindered = NonNullable<OwedSite['hindered']>;

/** The same sites; those that preflight would block are hindered by its first finding. */
export async function judgeFindings(deps: ControlDeps, judging: Judging, owed: OwedSite[]): Promise<OwedSite[]> {
  const free = owed.filter(({ hindered }) => hindered === undefined);
  const oldest = free.sort((a, b) => (a.heardAt ?? 0) - (b.heardAt ?? 0)).slice(0, JUDGED_MOST);
  const hindered = new Map<string, Hindered>();
  for (const [of, { plan }] of judging.plans) {
    const sites = oldest.filter((site) => site.of === of).map(({ site }) => site);
    if (sites.length === 0) continue;
    for (const [site, finding] of await blockedSites(deps, judging, plan, sites)) hindered.set(site, finding);
  }
  return owed.map((site) => {
    const finding = hindered.get(site.site);
    return finding ? { ...site, hindered: finding } : site;
  });
}

/** A depot that is away holds what is new, never the undo that the same activity may have to bring back. */
async function blockedSites(
  deps: ControlDeps,
  judging: Judging,
  plan: Plan,
  ids: string[],
): Promise<Map<string, Hindered>> {
  try {
    return await findBlocked(deps, judging, plan, ids);
  } catch (error) {
    if (!(error instanceof WorldError) && !(error instanceof MistakeError)) throw error;
    const hindered = { code: error.code, detail: error.message, until: judging.facts.now + AGAIN };
    return new Map(ids.map((id) => [id, hindered]));
  }
}

async function findBlocked(
  deps: ControlDeps,
  { fleet, facts }: Judging,
  { release }: Plan,
  ids: string[],
): Promise<Map<string, Hindered>> {
  const published = await deps.depot.release(release.stream, release.version);
  const sites = new Map(facts.sites.map((site) => [site.id, site]));
  const allowances = facts.releases.get(release.digest)?.allowances ?? [];
  const { findings } = judgePreflight(
    {
      ref: release,
      written: published.manifest.release,
      templates: await deps.depot.templateTexts(published),
      fleetStreams: new Set(fleet.sites.flatMap(({ streams }) => streams)),
    },
    ids.flatMap((id) => {
      const site = sites.get(id);
      const report = facts.reports.get(id)?.report;
      if (!site) return [];
      const allowed = isAllowed(report, release, allowances);
      return [{ id, vars: site.vars, streams: site.streams, declaredVersions: site.versions, report, allowed }];
    }),
  );
  const blocked = new Map<string, Hindered>();
  for (const { site, result, code, detail } of findings) {
    if (result !== 'block') continue;
    // A finding about the release itself is in the way of all of them.
    for (const id of site === undefined ? ids : [site]) if (!blocked.has(id)) blocked.set(id, { code, detail });
  }
  return blocked;
}
