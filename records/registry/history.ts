/** What happened, newest first, from wherever it is recorded; each part is chosen and cut off by the database. */
import type { SignedKeyset } from '../../policies/model/enrolment.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { SiteEvent } from '../../policies/model/report.js';
import { readCommandId } from './command-facts.js';
import { freezeOf } from './freezes.js';
import { holdOf } from './holds.js';
import { BLOCK_ALONE, type HistoryEntry, type HistoryFilter } from './registry.js';
import { siteAnomalies } from './site-anomalies.js';
import type { Db } from './tables.js';

type Part = (db: Db, filter: HistoryFilter) => Promise<HistoryEntry[]>;
const PARTS: Part[] = [
  ...[ofEvidence, ofJournal, ofAnomalies, ofAllowances, ofBlocks, ofFreezes, ofUnfreezes],
  ...[ofHolds, ofUnholds],
  ...[ofIdentities, ofControlKeys],
];

export async function history(db: Db, filter: HistoryFilter): Promise<HistoryEntry[]> {
  const parts = await Promise.all(PARTS.map((part) => part(db, filter)));
  return parts
    .flat()
    .toSorted((a, b) => b.at - a.at)
    .slice(0, filter.limit);
}

async function ofEvidence(db: Db, { site, stream, rollout, who, from, limit }: HistoryFilter): Promise<HistoryEntry[]> {
  let query = db
    .selectFrom('evidence')
    .leftJoin('rollouts', 'rollouts.first_run_id', 'evidence.first_run_id')
    .select(['evidence.body', 'evidence.site', 'evidence.who', 'rollouts.label', 'rollouts.stream'])
    .orderBy('evidence.at', 'desc')
    .orderBy('evidence.sequence', 'desc')
    .limit(limit);
  if (rollout !== undefined) query = query.where('evidence.first_run_id', '=', rollout);
  if (stream !== undefined) query = query.where('rollouts.stream', '=', stream);
  if (from !== undefined) query = query.where('evidence.at', '>=', from);
  if (who !== undefined) query = query.where('evidence.who', '=', who);
  // The journal itself is shown for a site: its events are not told twice.
  if (site !== undefined) query = query.where('evidence.site', '=', site).where('evidence.kind', '!=', 'site-event');
  return (await query.execute()).map(({ body, site: ofSite, who: by, label, stream: ofStream }) => {
    const { at, kind, data, rollout: firstRunId } = JSON.parse(body) as EvidenceEntry;
    const named = { ...(label !== null && { rollout: label }), ...(ofStream !== null && { stream: ofStream }) };
    const about = { ...(ofSite !== null && { site: ofSite }), ...(by !== null && { who: by }) };
    return { at, kind, firstRunId, ...named, ...about, data };
  });
}

/** Nothing sorts by time in there: a site's own journal is short, and its clock is its own. */
async function ofJournal(db: Db, { site, stream, rollout, who, from, limit }: HistoryFilter): Promise<HistoryEntry[]> {
  if (site === undefined || rollout !== undefined || who !== undefined) return [];
  let query = db.selectFrom('site_events').select('body').where('site', '=', site).orderBy('at', 'desc');
  if (from !== undefined) query = query.where('at', '>=', from);
  const rows = await query.orderBy('epoch', 'desc').orderBy('sequence', 'desc').execute();
  const events = rows.map(({ body }) => JSON.parse(body) as SiteEvent);
  return events
    .filter((event) => stream === undefined || event.stream === stream)
    .slice(0, limit)
    .map((event) => {
      const { at, kind, commandId, stream: ofStream } = event;
      const firstRunId = commandId === undefined ? undefined : readCommandId(commandId)?.firstRunId;
      const about = {
        ...(firstRunId !== undefined && { firstRunId }),
        ...(ofStream !== undefined && { stream: ofStream }),
      };
      return { at, kind: `event/${kind}`, site, ...about, data: { ...event } };
    });
}

async function ofAnomalies(
  db: Db,
  { site, stream, rollout, who, from, limit }: HistoryFilter,
): Promise<HistoryEntry[]> {
  if (site === undefined || rollout !== undefined || stream !== undefined || who !== undefined) return [];
  const found = await siteAnomalies(db, site, limit);
  return found
    .filter(({ at }) => from === undefined || at >= from)
    .map(({ at, kind, ...data }) => ({ at, kind: `anomaly/${kind}`, site, data }));
}

async function ofAllowances(
  db: Db,
  { site, stream, rollout, who, from, limit }: HistoryFilter,
): Promise<HistoryEntry[]> {
  if (rollout !== undefined) return [];
  let query = db.selectFrom('allowances').selectAll().orderBy('at', 'desc').limit(limit);
  if (stream !== undefined) query = query.where('stream', '=', stream);
  if (site !== undefined) query = query.where('site', 'in', [site, '*']);
  if (who !== undefined) query = query.where('by', '=', who);
  if (from !== undefined) query = query.where('at', '>=', from);
  return (await query.execute()).map(({ at, by, site: where, stream: of, digest, reason }) => ({
    at,
    kind: 'allow',
    stream: of,
    who: by,
    ...(where !== '*' && where !== BLOCK_ALONE && { site: where }),
    data: { digest, by, reason },
  }));
}

async function ofBlocks(db: Db, { site, stream, rollout, who, from, limit }: HistoryFilter): Promise<HistoryEntry[]> {
  if (site !== undefined || rollout !== undefined || who !== undefined) return [];
  let query = db.selectFrom('blocks').selectAll().orderBy('at', 'desc').limit(limit);
  if (stream !== undefined) query = query.where('stream', '=', stream);
  if (from !== undefined) query = query.where('at', '>=', from);
  return (await query.execute()).map(({ at, stream: of, rollout: label, digest, version }) => ({
    at,
    kind: 'block',
    stream: of,
    rollout: label,
    data: { digest, version },
  }));
}

/** Freezes are for all streams, and which sites one selects the registry cannot tell: whoever asks for a site says it. */
async function ofFreezes(db: Db, { rollout, who, from, limit, frozen }: HistoryFilter): Promise<HistoryEntry[]> {
  if (rollout !== undefined) return [];
  let query = db.selectFrom('freezes').selectAll().orderBy('at', 'desc');
  if (frozen === undefined) query = query.limit(limit);
  if (who !== undefined) query = query.where('by', '=', who);
  if (from !== undefined) query = query.where('at', '>=', from);
  const freezes = (await query.execute()).map(freezeOf).filter(({ only }) => frozen?.(only) ?? true);
  return freezes.slice(0, limit).map(({ lifted: _, ...freeze }) => {
    return { at: freeze.at, kind: 'freeze', who: freeze.by, data: { ...freeze } };
  });
}

async function ofUnfreezes(db: Db, { rollout, who, from, limit, frozen }: HistoryFilter): Promise<HistoryEntry[]> {
  if (rollout !== undefined) return [];
  let query = db.selectFrom('freezes').selectAll().where('lifted_at', 'is not', null).orderBy('lifted_at', 'desc');
  if (frozen === undefined) query = query.limit(limit);
  if (who !== undefined) query = query.where('lifted_by', '=', who);
  if (from !== undefined) query = query.where('lifted_at', '>=', from);
  const freezes = (await query.execute()).map(freezeOf).filter(({ only }) => frozen?.(only) ?? true);
  return freezes.slice(0, limit).flatMap(({ id, only, lifted }) => {
    if (lifted === undefined) return [];
    const data = { id, ...(only && { only }), by: lifted.by, reason: lifted.reason };
    return [{ at: lifted.at, kind: 'unfreeze', who: lifted.by, data }];
  });
}

/** Only those that were put at the centre: a hold at the site is in its journal. */
async function ofHolds(db: Db, { site, stream, rollout, who, from, limit }: HistoryFilter): Promise<HistoryEntry[]> {
  if (rollout !== undefined) return [];
  let query = db.selectFrom('site_holds').selectAll().orderBy('at', 'desc').limit(limit);
  if (site !== undefined) query = query.where('site', '=', site);
  if (stream !== undefined) query = query.where('stream', 'in', [stream, '']);
  if (who !== undefined) query = query.where('by', '=', who);
  if (from !== undefined) query = query.where('at', '>=', from);
  return (await query.execute()).map(holdOf).map(({ lifted: _, ...hold }) => {
    return { at: hold.at, kind: 'hold', ...placeOf(hold), who: hold.by, data: { ...hold } };
  });
}

async function ofUnholds(db: Db, { site, stream, rollout, who, from, limit }: HistoryFilter): Promise<HistoryEntry[]> {
  if (rollout !== undefined) return [];
  let query = db.selectFrom('site_holds').selectAll().where('lifted_at', 'is not', null);
  query = query.orderBy('lifted_at', 'desc').limit(limit);
  if (site !== undefined) query = query.where('site', '=', site);
  if (stream !== undefined) query = query.where('stream', 'in', [stream, '']);
  if (who !== undefined) query = query.where('lifted_by', '=', who);
  if (from !== undefined) query = query.where('lifted_at', '>=', from);
  return (await query.execute()).map(holdOf).flatMap((hold) => {
    const { id, lifted } = hold;
    if (lifted === undefined) return [];
    const data = { id, by: lifted.by, reason: lifted.reason };
    return [{ at: lifted.at, kind: 'unhold', ...placeOf(hold), who: lifted.by, data }];
  });
}

function placeOf({ site, stream }: { site: string; stream?: string }): { site: string; stream?: string } {
  return { site, ...(stream === undefined ? {} : { stream }) };
}

/** Who enrolled, replaced or retired a site, and what its own reports changed. */
async function ofIdentities(
  db: Db,
  { site, stream, rollout, who, from, limit }: HistoryFilter,
): Promise<HistoryEntry[]> {
  if (rollout !== undefined || stream !== undefined) return [];
  let query = db
    .selectFrom('identity_changes')
    .selectAll()
    .orderBy('at', 'desc')
    .orderBy('number', 'desc')
    .limit(limit);
  if (site !== undefined) query = query.where('site', '=', site);
  if (who !== undefined) query = query.where('by', '=', who);
  if (from !== undefined) query = query.where('at', '>=', from);
  return (await query.execute()).map(({ site: of, at, what, by, reason, detail }) => {
    const data = { ...(JSON.parse(detail) as Record<string, unknown>), by, reason };
    return { at, kind: `site/${what}`, site: of, who: by, data };
  });
}

/** Each step of a rotation signs a keyset of its own. They are those of all sites. */
async function ofControlKeys(
  db: Db,
  { site, stream, rollout, who, from, limit }: HistoryFilter,
): Promise<HistoryEntry[]> {
  if (site !== undefined || rollout !== undefined || stream !== undefined) return [];
  let query = db.selectFrom('control_keysets').selectAll().orderBy('version', 'desc').limit(limit);
  if (who !== undefined) query = query.where('by', '=', who);
  if (from !== undefined) query = query.where('issued_at', '>=', from);
  return (await query.execute()).map(({ version, envelope, issued_at: at, by }) => {
    const signedBy = (JSON.parse(envelope) as SignedKeyset).signatures.map(({ keyid }) => keyid);
    return { at, kind: 'keyset', who: by, data: { version, signedBy, by } };
  });
}
