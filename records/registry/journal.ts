/**
 * The journals of sites as the centre has them: which events are new, what is wrong with any, and up to where nothing is
 * missing. Delivery may repeat, reorder and delay: an event is stored once, by (site, epoch, sequence).
 */
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import { hashOfEntry, NO_PREVIOUS } from '../../policies/signing/chain.js';
import { readCommandId } from './command-facts.js';
import type { SiteAnomaly } from './registry.js';
import type { Db, SiteEventRow, Tx } from './tables.js';

const ROWS_AT_ONCE = 200;
const WALK_AT_ONCE = 1_000;

export interface SortedEvents {
  /** Not stored yet, in the order of the journal. */
  fresh: SiteEvent[];
  /** Stored by an earlier delivery, as it is stored. */
  known: SiteEventRow[];
  anomalies: SiteAnomaly[];
}

/** Compares one site's events with what is stored of it. Reads only. */
export async function sortEvents(tx: Tx, site: string, events: SiteEvent[], now: number): Promise<SortedEvents> {
  const sorted: SortedEvents = { fresh: [], known: [], anomalies: [] };
  const wellFormed = events.filter((event) => isEvent(event));
  if (wellFormed.length < events.length) {
    const detail = { what: 'event', count: events.length - wellFormed.length };
    sorted.anomalies.push({ site, epoch: 0, sequence: 0, kind: 'malformed', detail, at: now });
  }
  const own = wellFormed.filter((event) => event.site === site);
  for (const event of wellFormed)
    if (event.site !== site) sorted.anomalies.push(anomaly({ ...event, site }, 'foreign', now, { of: event.site }));
  for (const epoch of new Set(own.map((event) => event.epoch))) {
    const ofEpoch = own.filter((event) => event.epoch === epoch).toSorted((a, b) => a.sequence - b.sequence);
    await sortEpoch(tx, ofEpoch, sorted, now);
  }
  return sorted;
}

function isEvent({ site, epoch, sequence, at, hash, previous, detail }: SiteEvent): boolean {
  const numbers = [epoch, sequence, at].every((number) => Number.isSafeInteger(number)) && sequence > 0;
  const hashes = [hash, previous].every((text) => typeof text === 'string' && /^[0-9a-f]{64}$/.test(text));
  return numbers && hashes && typeof site === 'string' && typeof detail === 'object' && detail !== null;
}

async function sortEpoch(tx: Tx, events: SiteEvent[], sorted: SortedEvents, now: number): Promise<void> {
  const stored = await storedAround(tx, events);
  const hashes = new Map([...stored].map(([sequence, row]) => [sequence, row.hash]));
  for (const event of events) {
    const before = hashes.get(event.sequence);
    if (before !== undefined) {
      const row = stored.get(event.sequence);
      if (before !== event.hash) sorted.anomalies.push(anomaly(event, 'conflict', now, { kept: before, event }));
      else if (row !== undefined) sorted.known.push(row);
      continue;
    }
    hashes.set(event.sequence, event.hash);
    sorted.fresh.push(event);
    sorted.anomalies.push(...judgeEvent(event, hashes, stored, now));
  }
}

function judgeEvent(
  event: SiteEvent,
  hashes: Map<number, string>,
  stored: Map<number, SiteEventRow>,
  now: number,
): SiteAnomaly[] {
  const found: SiteAnomaly[] = [];
  const { sequence } = event;
  if (!hashHolds(event)) found.push(anomaly(event, 'hash', now, {}));
  const previous = sequence === 1 ? NO_PREVIOUS : hashes.get(sequence - 1);
  if (previous === undefined) {
    const below = Math.max(0, ...[...hashes.keys()].filter((known) => known < sequence));
    found.push(anomaly(event, 'gap', now, { missingFrom: below + 1, missingTo: sequence - 1 }));
  } else if (previous !== event.previous) found.push(anomaly(event, 'link', now, { expected: previous }));
  const next = stored.get(sequence + 1);
  if (next !== undefined) {
    const after = JSON.parse(next.body) as SiteEvent;
    if (after.previous !== event.hash) found.push(anomaly(after, 'link', now, { expected: event.hash }));
  }
  return found;
}

export function hashHolds(event: SiteEvent): boolean {
  try {
    return hashOfEntry(event) === event.hash;
  } catch {
    return false;
  }
}

export function anomaly(
  event: Pick<SiteEvent, 'site' | 'epoch' | 'sequence' | 'hash'>,
  kind: SiteAnomaly['kind'],
  at: number,
  detail: Record<string, unknown>,
): SiteAnomaly {
  const { site, epoch, sequence, hash } = event;
  return { site, epoch, sequence, kind, detail: { hash, ...detail }, at };
}

/** Rows of the epoch from one below the first event, or the last one below a gap, to one above the last event. */
async function storedAround(tx: Tx, events: SiteEvent[]): Promise<Map<number, SiteEventRow>> {
  const [first, last] = [events[0], events.at(-1)];
  if (first === undefined || last === undefined) return new Map();
  const ofEpoch = tx
    .selectFrom('site_events')
    .selectAll()
    .where('site', '=', first.site)
    .where('epoch', '=', first.epoch);
  const rows = await ofEpoch
    .where('sequence', '>=', first.sequence - 1)
    .where('sequence', '<=', last.sequence + 1)
    .execute();
  const joined = first.sequence === 1 || rows.some((row) => row.sequence === first.sequence - 1);
  if (!joined)
    rows.push(...(await ofEpoch.where('sequence', '<', first.sequence).orderBy('sequence', 'desc').limit(1).execute()));
  return new Map(rows.map((row) => [row.sequence, row]));
}

/** Stores events that are new; `tells` are those that change a site's outcome. */
export async function storeEvents(
  tx: Tx,
  events: SiteEvent[],
  tells: Set<SiteEvent>,
  toldBy: string | null,
  now: number,
): Promise<void> {
  const rows = events.map((event) => rowOf(event, tells.has(event), toldBy, now));
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE)
    await tx
      .insertInto('site_events')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .execute();
  const epochs = new Map(events.map((event) => [`${event.site}/${event.epoch}`, event]));
  for (const { site, epoch } of epochs.values()) await advance(tx, site, epoch);
}

function rowOf(event: SiteEvent, tells: boolean, toldBy: string | null, now: number): SiteEventRow {
  const { site, epoch, sequence, hash, at, commandId } = event;
  return {
    site,
    epoch,
    sequence,
    hash,
    at,
    // Only what is an id is worth finding again by it.
    command_id: commandId !== undefined && readCommandId(commandId) !== undefined ? commandId : null,
    recorded_at: now,
    tells: Number(tells),
    told_by: tells ? toldBy : null,
    body: JSON.stringify(event),
  };
}

/** Moves the mark up to which nothing is missing. */
async function advance(tx: Tx, site: string, epoch: number): Promise<void> {
  const before = await contiguousOf(tx, site, epoch);
  const contiguous = await walk(tx, site, epoch, before ?? 0);
  if (contiguous !== before) await putContiguous(tx, site, epoch, contiguous);
}

export async function contiguousOf(tx: Tx, site: string, epoch: number): Promise<number | undefined> {
  const row = await tx
    .selectFrom('site_epochs')
    .select('contiguous')
    .where('site', '=', site)
    .where('epoch', '=', epoch)
    .executeTakeFirst();
  return row?.contiguous;
}

async function putContiguous(tx: Tx, site: string, epoch: number, contiguous: number): Promise<void> {
  await tx
    .insertInto('site_epochs')
    .values({ site, epoch, contiguous })
    .onConflict((conflict) => conflict.columns(['site', 'epoch']).doUpdateSet({ contiguous }))
    .execute();
}

/**
 * Events that a site was told are recorded, and that are not here: the registry was restored to an earlier point. They
 * are missing for good, and the mark goes past them, with an anomaly that says so: left where it is, it would never move
 * again, and the site would keep and repeat all that comes after.
 */
export async function passLost(tx: Tx, reports: SiteReport[], now: number): Promise<SiteAnomaly[]> {
  const found: SiteAnomaly[] = [];
  for (const { site, epoch, sequence, acked } of reports) {
    if (acked === undefined || !Number.isSafeInteger(acked) || acked < 1 || acked > sequence) continue;
    const before = await contiguousOf(tx, site, epoch);
    if (acked <= (before ?? 0)) continue;
    const detail = { missingFrom: (before ?? 0) + 1, missingTo: acked, acknowledged: true };
    found.push({ site, epoch, sequence: acked, kind: 'gap', detail, at: now });
    await putContiguous(tx, site, epoch, await walk(tx, site, epoch, acked));
  }
  return found;
}

async function walk(tx: Tx, site: string, epoch: number, from: number): Promise<number> {
  let last = from;
  for (;;) {
    const rows = await tx
      .selectFrom('site_events')
      .select('sequence')
      .where('site', '=', site)
      .where('epoch', '=', epoch)
      .where('sequence', '>', last)
      .orderBy('sequence')
      .limit(WALK_AT_ONCE)
      .execute();
    for (const { sequence } of rows) {
      if (sequence !== last + 1) return last;
      last = sequence;
    }
    if (rows.length < WALK_AT_ONCE) return last;
  }
}

export async function ackedThrough(db: Db, sites: string[]): Promise<Map<string, { epoch: number; sequence: number }>> {
  const acked = new Map(sites.map((site) => [site, { epoch: 0, sequence: 0 }]));
  for (let from = 0; from < sites.length; from += ROWS_AT_ONCE) {
    const rows = await db
      .selectFrom('site_epochs')
      .select(['site', 'epoch', 'contiguous'])
      .where('site', 'in', sites.slice(from, from + ROWS_AT_ONCE))
      .orderBy('epoch')
      .execute();
    for (const { site, epoch, contiguous } of rows) acked.set(site, { epoch, sequence: contiguous });
  }
  return acked;
}

export async function siteEvents(db: Db, site: string, limit: number): Promise<SiteEvent[]> {
  const rows = await db
    .selectFrom('site_events')
    .select('body')
    .where('site', '=', site)
    .orderBy('epoch', 'desc')
    .orderBy('sequence', 'desc')
    .limit(limit)
    .execute();
  return rows.reverse().map((row) => JSON.parse(row.body) as SiteEvent);
}
