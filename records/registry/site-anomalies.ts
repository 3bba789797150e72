/** What was wrong with what a site said: kept, never a reason to refuse the rest of it. */
import type { SiteAnomaly } from './registry.js';
import { LONGEST_NAME } from './reported.js';
import type { Db, Tx } from './tables.js';

const ROWS_AT_ONCE = 200;

/** Idempotent by (site, epoch, sequence, kind, hash in the detail). */
export async function noteAnomalies(tx: Tx, anomalies: SiteAnomaly[]): Promise<void> {
  const rows = anomalies.map(({ site, epoch, sequence, kind, detail, at }) => {
    // A site may have put it there, and no database indexes a text of any length.
    const hash = typeof detail['hash'] === 'string' ? detail['hash'].slice(0, LONGEST_NAME) : '';
    return { site, epoch, sequence, kind, hash, detail: JSON.stringify(detail), at };
  });
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    await tx
      .insertInto('site_anomalies')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
}

export async function siteAnomalies(db: Db, site: string, limit: number): Promise<SiteAnomaly[]> {
  const rows = await db
    .selectFrom('site_anomalies')
    .select(['site', 'epoch', 'sequence', 'kind', 'detail', 'at'])
    .where('site', '=', site)
    .orderBy('at', 'desc')
    .orderBy('epoch', 'desc')
    .orderBy('sequence', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    ...row,
    kind: row.kind as SiteAnomaly['kind'],
    detail: JSON.parse(row.detail) as SiteAnomaly['detail'],
  }));
}

const SITES_AT_ONCE = 500;

/** The latest agent of each site that was not believed, since when; where two journals speak, the identity's doubt says so. */
export async function refusedSpeakers(
  db: Db,
  sites?: string[],
): Promise<Map<string, { code: string; detail: string; at: number }>> {
  const all = db.selectFrom('site_anomalies').select(['site', 'detail', 'at']).where('kind', '=', 'identity');
  const rows = [];
  if (sites === undefined) rows.push(...(await all.orderBy('at').execute()));
  for (let from = 0; from < (sites?.length ?? 0); from += SITES_AT_ONCE) {
    const some = all.where('site', 'in', sites?.slice(from, from + SITES_AT_ONCE) ?? []);
    rows.push(...(await some.orderBy('at').execute()));
  }
  const refused = new Map<string, { code: string; detail: string; at: number }>();
  for (const { site, detail, at } of rows) {
    const { reason } = JSON.parse(detail) as { reason?: { code: string; detail: string } };
    if (reason && reason.code !== 'JOURNAL_FORKED') refused.set(site, { ...reason, at });
  }
  return refused;
}
