/**
 * What reports say of each stream, as little of it as decides how a site stands: rows beside the reports themselves, so that
 * the sites of a fleet are counted without reading ten thousand reports. Written wherever a report is, and nowhere else.
 */
import type { SiteReport } from '../../policies/model/report.js';
import type { Db, ReportedRow, Tx } from './tables.js';

const SITES_AT_ONCE = 200;

export async function reportedTables(tx: Tx): Promise<void> {
  await tx.schema
    .createTable('reported')
    .addColumn('site', 'text', (column) => column.notNull())
    .addColumn('stream', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('digest', 'text')
    .addColumn('generation', 'bigint', (column) => column.notNull())
    .addColumn('noted', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('reported_key', ['site', 'stream'])
    .execute();
  await tx.schema.alterTable('reports').addColumn('versions', 'text').execute();
  // Each holds all that its question reads: the rows themselves, with their long texts, are not touched.
  const covering = {
    reported: ['stream', 'state', 'digest', 'generation', 'noted', 'site'],
    reports: ['versions', 'site'],
    desired: ['stream', 'first_run_id', 'generation', 'digest', 'site'],
    site_anomalies: ['kind', 'site', 'hash', 'at'],
    debts: ['verb'],
  };
  for (const [table, columns] of Object.entries(covering))
    await tx.schema
      .createIndex(`${table}_by_${columns.join('_')}`)
      .on(table)
      .columns(columns)
      .execute();
}

/** For reports that were recorded before there were these rows. */
export async function fillReported(tx: Tx): Promise<void> {
  for (;;) {
    const rows = await tx
      .selectFrom('reports')
      .select('body')
      .where('versions', 'is', null)
      .limit(SITES_AT_ONCE)
      .execute();
    if (rows.length === 0) return;
    const reports = rows.map(({ body }) => JSON.parse(body) as SiteReport);
    for (const report of reports) {
      const versions = versionsText(report);
      await tx.updateTable('reports').set({ versions }).where('site', '=', report.site).execute();
    }
    await putReported(tx, reports);
  }
}

/** Longer than any name that is taken anywhere. */
export const LONGEST_NAME = 200;
/** An index of PostgreSQL holds 2,704 bytes. */
const LONGEST_VERSIONS = 1_500;

/** Sites that report the same have the same text. What is too much to count by is left out of it: the report has it. */
export function versionsText({ versions }: SiteReport): string {
  const entries = Object.entries(versions ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const text = () => JSON.stringify(Object.fromEntries(entries));
  while (Buffer.byteLength(text()) > LONGEST_VERSIONS) entries.pop();
  return text();
}

/** `reports` are kept already, one a site. Most say what was said before: looking first spares the write. */
export async function putReported(tx: Tx, reports: SiteReport[]): Promise<void> {
  for (let from = 0; from < reports.length; from += SITES_AT_ONCE) {
    const some = reports.slice(from, from + SITES_AT_ONCE);
    const before = new Map<string, string[]>();
    for (const row of await rowsOf(tx, some)) before.set(row.site, [...(before.get(row.site) ?? []), textOf(row)]);
    const changed = some
      .map((report) => ({ site: report.site, rows: reportedRows(report) }))
      .filter(({ site, rows }) => !isSame(rows.map(textOf), before.get(site) ?? []));
    if (changed.length === 0) continue;
    const sites = changed.map(({ site }) => site);
    await tx.deleteFrom('reported').where('site', 'in', sites).execute();
    const rows = changed.flatMap((one) => one.rows);
    for (let next = 0; next < rows.length; next += SITES_AT_ONCE)
      await tx
        .insertInto('reported')
        .values(rows.slice(next, next + SITES_AT_ONCE))
        // Names that only what cannot be stored tells apart.
        .onConflict((conflict) => conflict.doNothing())
        .execute();
  }
}

async function rowsOf(db: Db, reports: SiteReport[]): Promise<ReportedRow[]> {
  const sites = reports.map(({ site }) => site);
  return db.selectFrom('reported').selectAll().where('site', 'in', sites).execute();
}

function textOf({ stream, state, digest, generation, noted }: ReportedRow): string {
  return JSON.stringify([stream, state, digest, Number(generation), Number(noted)]);
}

function isSame(some: string[], others: string[]): boolean {
  return some.toSorted().join('\n') === others.toSorted().join('\n');
}

/** Whatever a site may send: what cannot be judged as it is, is written as something that is judged the same. */
function reportedRows(report: SiteReport): ReportedRow[] {
  const { site, streams } = report;
  return Object.entries(streams).map(([stream, { state, live, generation }]) => ({
    site,
    noted: isNoted(report, stream) ? 1 : 0,
    stream: plain(stream),
    state: plain(String(state)),
    digest: live === undefined ? null : plain(String(live?.digest ?? NO_DIGEST)),
    generation: wholeOf(generation),
  }));
}

function isNoted({ holds, observing, streams }: SiteReport, stream: string): boolean {
  const isHeld = Array.isArray(holds) && holds.some(({ stream: of = stream }) => of === stream);
  const { safeMode, drift } = streams[stream] ?? {};
  return isHeld || observing === true || safeMode !== undefined || Number(drift?.total) > 0;
}

/** Live, and not known what: never equal to a digest. */
const NO_DIGEST = '-';

/** No database stores a NUL or half a character, nor indexes a text of any length, and a report must not be refused for one. */
function plain(text: string): string {
  return text.slice(0, LONGEST_NAME).replaceAll(/\0|\p{Surrogate}/gu, '\ufffd');
}

/** Compared with whole numbers only: the next whole number above is above the same ones. */
function wholeOf(generation: unknown): number {
  const number = Number(generation);
  if (!Number.isFinite(number)) return 0;
  return Math.max(Math.min(Math.ceil(number), Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER);
}
