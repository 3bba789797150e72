/** What sites last said of themselves. */
import type { SiteReport } from '../../policies/model/report.js';
import { passLost } from './journal.js';
import { LONGEST_NAME, putReported, versionsText } from './reported.js';
import { hearSpeakers } from './speakers.js';
import { noteAnomalies } from './site-anomalies.js';
import type { KnownReport, SiteAnomaly } from './registry.js';
import { adoptGenerations, isGeneration } from './generations.js';
import type { Db, Tx } from './tables.js';

const SITES_AT_ONCE = 500;
export async function recordReport(db: Db, report: SiteReport, now: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const { refused } = await hearSpeakers(tx, [{ report, events: [] }], now);
    if (refused.size === 0) await recordReports(tx, [report], now);
  });
}

export async function adoptGeneration(db: Db, stream: string, generation: number): Promise<void> {
  if (!isGeneration(generation)) return;
  await db.transaction().execute((tx) => adoptHigher(tx, new Map([[stream, generation]])));
}

/** A report that comes so long after the one that is kept was made after it, whatever the clock of its site says. */
const LATEST_DELIVERY = 10 * 60_000;

/** Keeps the latest report of each site, by (epoch, sequence, at), and adopts the generations that sites report. */
export async function recordReports(tx: Tx, reports: SiteReport[], now: number): Promise<SiteAnomaly[]> {
  const wellFormed = reports.filter((report) => isReport(report));
  await keepLatest(tx, wellFormed, now);
  const highest = new Map<string, number>();
  const anomalies: SiteAnomaly[] = reports
    .filter((report) => !isReport(report))
    .map((report) => ({
      site: String(report.site),
      ...NOWHERE,
      kind: 'malformed',
      detail: { what: 'report' },
      at: now,
    }));
  for (const { site, epoch, sequence, streams } of wellFormed) {
    for (const [stream, { generation }] of Object.entries(streams)) {
      if (stream.length > LONGEST_NAME) continue; // no stream's name, and no key of any table
      if (isGeneration(generation)) highest.set(stream, Math.max(generation, highest.get(stream) ?? 0));
      else anomalies.push({ site, epoch, sequence, kind: 'generation', detail: { stream, generation }, at: now });
    }
  }
  await adoptHigher(tx, highest);
  anomalies.push(...(await passLost(tx, wellFormed, now)));
  await noteAnomalies(tx, anomalies);
  return anomalies;
}

const NOWHERE = { epoch: 0, sequence: 0 };

function isReport({ epoch, sequence, at, streams }: SiteReport): boolean {
  return (
    [epoch, sequence, at].every((number) => Number.isSafeInteger(number)) &&
    typeof streams === 'object' &&
    streams !== null
  );
}

async function keepLatest(tx: Tx, reports: SiteReport[], now: number): Promise<void> {
  const latest = new Map<string, SiteReport>();
  for (const report of reports) {
    const row = { site: report.site, epoch: report.epoch, sequence: report.sequence, at: report.at };
    const body = JSON.stringify(withoutToken(report));
    const kept = { ...row, received_at: now, body, versions: versionsText(report) };
    const written = await tx
      .insertInto('reports')
      .values(kept)
      .onConflict((conflict) =>
        conflict
          .column('site')
          .doUpdateSet(kept)
          .where((eb) => {
            const same = (column: 'epoch' | 'sequence') => eb(`reports.${column}`, '=', report[column]);
            return eb.or([
              eb('reports.epoch', '<', report.epoch),
              eb.and([same('epoch'), eb('reports.sequence', '<', report.sequence)]),
              eb.and([
                ...[same('epoch'), same('sequence')],
                eb.or([eb('reports.at', '<=', report.at), eb('reports.received_at', '<=', now - LATEST_DELIVERY)]),
              ]),
            ]);
          }),
      )
      .returning('site')
      .executeTakeFirst();
    if (written !== undefined) latest.set(report.site, report);
  }
  await putReported(tx, [...latest.values()]);
}

/** It was proven on the way in; no reader needs it, and there is one for every site. */
function withoutToken(report: SiteReport): SiteReport {
  if (report.enrolment === undefined) return report;
  const { token: _, ...enrolment } = report.enrolment;
  return { ...report, enrolment };
}

/** Most reports raise nothing: looking first spares the write. */
async function adoptHigher(tx: Tx, reported: Map<string, number>): Promise<void> {
  if (reported.size === 0) return;
  const rows = await tx
    .selectFrom('streams')
    .selectAll()
    .where('stream', 'in', [...reported.keys()])
    .execute();
  const next = new Map(rows.map((row) => [row.stream, row.next_generation]));
  const higher = [...reported].filter(
    ([stream, generation]) => generation > 0 && generation >= (next.get(stream) ?? 0),
  );
  await adoptGenerations(tx, new Map(higher));
}

export async function reports(db: Db, sites?: string[]): Promise<Map<string, KnownReport>> {
  const rows = [];
  if (sites === undefined) rows.push(...(await selectReports(db).execute()));
  for (let from = 0; from < (sites?.length ?? 0); from += SITES_AT_ONCE) {
    const some = sites?.slice(from, from + SITES_AT_ONCE) ?? [];
    rows.push(...(await selectReports(db).where('site', 'in', some).execute()));
  }
  return new Map(
    rows.map((row) => [row.site, { report: JSON.parse(row.body) as SiteReport, receivedAt: row.received_at }]),
  );
}

function selectReports(db: Db) {
  return db.selectFrom('reports').select(['site', 'body', 'received_at']).orderBy('site');
}
