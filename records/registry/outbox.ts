/**
 * Samples and log lines of sites as the centre has them. Each priority is a chain of its own; a gap that the site has
 * recorded in its journal is passed over, anything else that is missing is waited for.
 */
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import {
  isGapEvent,
  SPARE,
  type OutboxAcks,
  type OutboxEntry,
  type OutboxGap,
  type OutboxPage,
  type SparePriority,
} from '../../policies/model/telemetry.js';
import { NO_PREVIOUS } from '../../policies/signing/chain.js';
import { outboxHashHolds } from '../../policies/signing/outbox-chain.js';
import { anomaly } from './journal.js';
import { noteAnomalies } from './site-anomalies.js';
import { hearSpeakers } from './speakers.js';
import type { Db, SiteLaneRow, Tx } from './tables.js';

const ROWS_AT_ONCE = 100;
/** Of one site and priority: what is older has been seen or will not be. */
const KEPT = 5_000;

type Lane = Pick<SiteLaneRow, 'site' | 'epoch' | 'priority'>;

export async function recordOutbox(
  db: Db,
  report: SiteReport,
  page: OutboxPage,
  now: number,
): Promise<OutboxAcks | undefined> {
  return db.transaction().execute(async (tx) => {
    const heard = await hearSpeakers(tx, [{ report, events: [] }], now);
    if (heard.refused.size > 0) return undefined;
    const entries = Array.isArray(page.entries) ? page.entries.filter((one) => isEntry(one, report)) : [];
    await store(tx, entries, now);
    const lanes = SPARE.map((priority) => ({ site: report.site, epoch: report.epoch, priority }));
    const marks: number[] = [];
    for (const lane of lanes) marks.push(await advance(tx, lane, now));
    return { epoch: report.epoch, performance: marks[0] ?? 0, routine: marks[1] ?? 0 };
  });
}

function isEntry(entry: OutboxEntry, { site, epoch }: SiteReport): boolean {
  if (typeof entry !== 'object' || entry === null) return false;
  const own = entry.site === site && entry.epoch === epoch && SPARE.some((one) => one === entry.priority);
  const numbers = Number.isSafeInteger(entry.sequence) && entry.sequence > 0;
  return own && numbers && outboxHashHolds(entry);
}

async function store(tx: Tx, entries: OutboxEntry[], now: number): Promise<void> {
  const rows = entries.map((entry) => {
    const { site, epoch, priority, sequence, hash } = entry;
    return { site, epoch, priority, sequence, hash, recorded_at: now, body: JSON.stringify(entry) };
  });
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE)
    await tx
      .insertInto('site_outbox')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
}

/** Of new events of the journal, those that tell of a gap. */
export async function recordGaps(tx: Tx, events: SiteEvent[], now: number): Promise<void> {
  const gaps = events.filter(isGapEvent);
  for (const { site, epoch, detail } of gaps) {
    const { priority, from, to, count, previous, last } = detail;
    await tx
      .insertInto('site_gaps')
      .values({ site, epoch, priority, first: from, last: to, count, previous, hash: last })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  for (const { site, epoch, detail } of gaps) await advance(tx, { site, epoch, priority: detail.priority }, now);
}

/** Moves the mark over entries and gaps that follow; stops at what is missing, or is not linked to what was before. */
async function advance(tx: Tx, lane: Lane, now: number): Promise<number> {
  const before = await ofLane(tx.selectFrom('site_lanes').selectAll(), lane).executeTakeFirst();
  const at = { sequence: Number(before?.contiguous ?? 0), hash: before?.hash ?? NO_PREVIOUS };
  const from = at.sequence;
  for (;;) {
    const next = (await nextGap(tx, lane, at.sequence)) ?? (await nextEntry(tx, lane, at.sequence));
    if (next === undefined) break;
    if (next.previous !== at.hash) {
      const broken = { ...lane, sequence: at.sequence + 1, hash: next.last };
      const detail = { priority: lane.priority, expected: at.hash };
      await noteAnomalies(tx, [anomaly(broken, 'link', now, detail)]);
      break;
    }
    at.sequence = next.to;
    at.hash = next.last;
  }
  if (at.sequence === from) return from;
  const row = { ...lane, contiguous: at.sequence, hash: at.hash };
  await tx
    .insertInto('site_lanes')
    .values(row)
    .onConflict((conflict) => conflict.columns(['site', 'epoch', 'priority']).doUpdateSet(row))
    .execute();
  await ofLane(tx.deleteFrom('site_outbox'), lane)
    .where('sequence', '<', at.sequence - KEPT)
    .execute();
  return at.sequence;
}

type Step = Pick<OutboxGap, 'to' | 'previous' | 'last'>;

async function nextGap(tx: Tx, lane: Lane, after: number): Promise<Step | undefined> {
  const row = await ofLane(tx.selectFrom('site_gaps').selectAll(), lane)
    .where('first', '=', after + 1)
    .executeTakeFirst();
  return row && { to: Number(row.last), previous: row.previous, last: row.hash };
}

async function nextEntry(tx: Tx, lane: Lane, after: number): Promise<Step | undefined> {
  const row = await ofLane(tx.selectFrom('site_outbox').selectAll(), lane)
    .where('sequence', '=', after + 1)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { previous } = JSON.parse(row.body) as OutboxEntry;
  return { to: after + 1, previous, last: row.hash };
}

/** The builders of kysely have no type in common that says so. */
function ofLane<Q extends { where(column: never, is: '=', value: never): Q }>(query: Q, lane: Lane): Q {
  const where = (on: Q, column: string, value: unknown) => on.where(column as never, '=', value as never);
  return where(where(where(query, 'site', lane.site), 'epoch', lane.epoch), 'priority', lane.priority);
}

export async function siteOutbox(
  db: Db,
  site: string,
  limit: number,
): Promise<{ entries: OutboxEntry[]; gaps: (OutboxGap & { epoch: number })[] }> {
  const latest = (priority: SparePriority) =>
    db
      .selectFrom('site_outbox')
      .select('body')
      .where('site', '=', site)
      .where('priority', '=', priority)
      .orderBy('epoch', 'desc')
      .orderBy('sequence', 'desc')
      .limit(limit)
      .execute();
  // Each for itself: what is measured every minute would hide the few lines that were logged.
  const rows = (await Promise.all(SPARE.map(latest))).flatMap((of) => of.reverse());
  const gaps = await db
    .selectFrom('site_gaps')
    .selectAll()
    .where('site', '=', site)
    .orderBy('epoch', 'desc')
    .orderBy('priority')
    .orderBy('first', 'desc')
    .limit(limit)
    .execute();
  return {
    entries: rows.map(({ body }) => JSON.parse(body) as OutboxEntry).sort((one, other) => one.at - other.at),
    gaps: gaps.reverse().map(({ epoch, priority, first, last, count, previous, hash }) => ({
      ...{ epoch, priority: priority as OutboxGap['priority'] },
      ...{ from: first, to: last, count, previous, last: hash },
    })),
  };
}
