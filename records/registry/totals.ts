/** How the sites of a rollout stand, counted and chosen by the database: ten thousand are never read to show ten. */
import { siteRowsOf } from './command-facts.js';
import { factsOf } from './command-rows.js';
import { PROBLEMS_BELOW } from './owing.js';
import type { Registry, SiteRow, SiteTotal } from './registry.js';
import type { Db } from './tables.js';

const SITES_AT_ONCE = 500;

export async function siteTotals(db: Db, firstRunId: string): Promise<SiteTotal[]> {
  const rows = await db
    .selectFrom('standings')
    .select(['stage', 'outcome'])
    .select(({ fn }) => [fn.countAll<number | string>().as('count'), fn.sum<number | string>('pending').as('pending')])
    .where('first_run_id', '=', firstRunId)
    .groupBy(['stage', 'outcome'])
    .orderBy('stage')
    .orderBy('outcome')
    .execute();
  return rows.map(({ stage, outcome, count, pending }) => ({
    stage,
    outcome: outcome as SiteTotal['outcome'],
    count: Number(count),
    pending: Number(pending),
  }));
}

export async function problemSites(db: Db, firstRunId: string, limit: number): Promise<SiteRow[]> {
  const rows = await db
    .selectFrom('standings')
    .select('site')
    .where('first_run_id', '=', firstRunId)
    .where('rank', '<', PROBLEMS_BELOW)
    .orderBy('rank')
    .orderBy('site')
    .limit(limit)
    .execute();
  const sites = rows.map(({ site }) => site);
  const found = new Map((await rowsOfSites(db, firstRunId, sites)).map((row) => [row.site, row]));
  return sites.flatMap((site) => found.get(site) ?? []);
}

export async function siteRows(
  db: Db,
  firstRunId: string,
  filter: Parameters<Registry['siteRows']>[1] = {},
): Promise<SiteRow[]> {
  if (filter.outcome === undefined && filter.site === undefined && filter.limit === undefined) {
    const rows = await db.selectFrom('commands').selectAll().where('first_run_id', '=', firstRunId).execute();
    return siteRowsOf(rows.map(factsOf));
  }
  let query = db
    .selectFrom('standings')
    .select('site')
    .where('first_run_id', '=', firstRunId)
    .where('outcome', '!=', 'unsettled')
    .orderBy('site');
  if (filter.outcome !== undefined) query = query.where('outcome', '=', filter.outcome);
  if (filter.site !== undefined) query = query.where('site', '=', filter.site);
  if (filter.limit !== undefined) query = query.limit(filter.limit);
  const sites = (await query.execute()).map(({ site }) => site);
  return rowsOfSites(db, firstRunId, sites);
}

async function rowsOfSites(db: Db, firstRunId: string, sites: string[]): Promise<SiteRow[]> {
  const found: SiteRow[] = [];
  for (let from = 0; from < sites.length; from += SITES_AT_ONCE) {
    const rows = await db
      .selectFrom('commands')
      .selectAll()
      .where('first_run_id', '=', firstRunId)
      .where('site', 'in', sites.slice(from, from + SITES_AT_ONCE))
      .execute();
    found.push(...siteRowsOf(rows.map(factsOf)));
  }
  return found;
}
