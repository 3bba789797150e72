/** Which of the agents that report speaks for its site: the others are noted, and nothing of what they say is believed. */
import type { Command } from '../../policies/model/command.js';
import { FIRST_EPOCH, type SiteIdentity } from '../../policies/model/enrolment.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { Reason } from '../../policies/model/verdict.js';
import { openToken } from '../../policies/signing/keyset.js';
import { judgeSpeaker, type KnownJournal, type ProvenToken } from '../../policies/site/judge-speaker.js';
import { identities, noteChange, putIdentity } from './enrolment.js';
import { hashHolds } from './journal.js';
import { believedKeys } from './keys.js';
import type { SiteAnomaly } from './registry.js';
import { noteAnomalies } from './site-anomalies.js';
import type { Db, Tx } from './tables.js';

const SITES_AT_ONCE = 500;

export interface Delivery {
  report: SiteReport;
  events: SiteEvent[];
}
/** Deliveries that are not believed, each with the reason. */
export interface Heard {
  refused: Map<Delivery, Reason>;
  anomalies: SiteAnomaly[];
}

/** Binds, adopts and doubts as reports give cause to, before anything else of them is recorded. */
export async function hearSpeakers<D extends Delivery>(tx: Tx, deliveries: D[], now: number): Promise<Heard> {
  const heard: Heard = { refused: new Map(), anomalies: [] };
  // What is not of the expected form is an anomaly of its own, noted where reports are recorded.
  const formed = deliveries.filter(({ report }) => Number.isSafeInteger(report.epoch));
  const sites = [...new Set(formed.map(({ report }) => report.site))];
  const known = await identities(tx, sites);
  const heads = await acknowledged(tx, sites);
  for (const delivery of formed) {
    const { report } = delivery;
    const journal = await journalOf(tx, delivery, heads.get(report.site));
    const identity = known.get(report.site);
    const speaker = judgeSpeaker(identity, report, journal, await provenBy(tx, identity, report), now);
    if (speaker.kind === 'refused' || speaker.kind === 'doubt') {
      heard.refused.set(delivery, speaker.reason);
      heard.anomalies.push(anomalyOf(report, speaker.reason, now));
    }
    const next = changed(identity ?? { site: report.site, epoch: FIRST_EPOCH }, report, speaker, now);
    if (next === undefined) continue;
    await putIdentity(tx, next.identity);
    known.set(report.site, next.identity);
    if (next.what !== undefined) {
      const { tokenId, instance } = report.enrolment ?? {};
      const detail = { epoch: report.epoch, ...(report.enrolment && { tokenId, instance }) };
      await noteChange(tx, {
        site: report.site,
        at: now,
        what: next.what,
        by: 'the site',
        reason: 'it reported',
        detail,
      });
    }
  }
  await noteAnomalies(tx, heard.anomalies);
  return heard;
}

/** Looked at only where it can matter: what is known already needs no proof, and costs no signature. */
async function provenBy(
  tx: Tx,
  known: SiteIdentity | undefined,
  { epoch, enrolment }: SiteReport,
): Promise<ProvenToken | undefined> {
  if (enrolment?.token === undefined) return undefined;
  if (known?.token !== undefined && epoch <= known.epoch) return undefined;
  return openToken(enrolment.token, await believedKeys(tx));
}

type Change = { identity: SiteIdentity; what?: 'bound' | 'adopted' } | undefined;

function changed(
  identity: SiteIdentity,
  report: SiteReport,
  speaker: ReturnType<typeof judgeSpeaker>,
  now: number,
): Change {
  const { site, epoch, enrolment } = report;
  switch (speaker.kind) {
    case 'refused':
      return undefined;
    case 'doubt': {
      const since = identity.doubt?.since ?? now;
      return { identity: { ...identity, doubt: { ...speaker.reason, since, reportedAt: report.at } } };
    }
    case 'bind':
      return { identity: { ...identity, ...boundBy(report, now) }, what: 'bound' };
    case 'adopt': {
      const token = enrolment && { token: { id: enrolment.tokenId, expiresAt: now } };
      // A doubt is about two journals of one epoch: another epoch ends it, a token does not.
      const doubt = epoch === identity.epoch && identity.doubt ? { doubt: identity.doubt } : {};
      return { identity: { site, epoch, ...token, ...boundBy(report, now), ...doubt }, what: 'adopted' };
    }
    case 'speaks': {
      // The agent that was there first speaks on: whoever else there was, commands name this one's journal.
      if (identity.doubt === undefined || report.at <= identity.doubt.reportedAt) return undefined;
      const { doubt: _, ...clear } = identity;
      return { identity: clear };
    }
  }
}

function boundBy({ enrolment }: SiteReport, now: number): Pick<SiteIdentity, 'instance' | 'boundAt'> {
  return enrolment === undefined ? {} : { instance: enrolment.instance, boundAt: now };
}

/** One row a site, epoch and speaker: an agent that goes on reporting must not fill the registry. */
function anomalyOf({ site, epoch, enrolment, head }: SiteReport, reason: Reason, at: number): SiteAnomaly {
  const hash = enrolment?.instance ?? (reason.code === 'JOURNAL_FORKED' ? 'forked' : 'unenrolled');
  return { site, epoch, sequence: 0, kind: 'identity', detail: { hash: `${reason.code}/${hash}`, reason, head }, at };
}

type Acked = Command['ackedThrough'];

/**
 * Where the journal of the site, as the centre has it, leaves off: compared with what is delivered. Only agents that name
 * their head are held to it. An event that was altered on the way proves no second journal.
 */
async function journalOf(tx: Tx, { report, events }: Delivery, head: Acked | undefined): Promise<KnownJournal> {
  if (report.head === undefined || head?.hash === undefined || head.epoch !== report.epoch) return {};
  if (report.sequence < head.sequence) {
    const stored = await hashAt(tx, report.site, report.epoch, report.sequence);
    if (stored !== undefined && stored !== report.head) return { forkedAt: report.sequence };
  }
  if (report.sequence === head.sequence && report.head !== head.hash) return { forkedAt: head.sequence };
  const told = events.filter((event) => event.site === report.site && event.epoch === report.epoch && hashHolds(event));
  const same = told.find((event) => event.sequence === head.sequence);
  if (same && same.hash !== head.hash) return { forkedAt: head.sequence };
  const next = told.find((event) => event.sequence === head.sequence + 1);
  return next && next.previous !== head.hash ? { forkedAt: next.sequence } : {};
}

async function hashAt(tx: Tx, site: string, epoch: number, sequence: number): Promise<string | undefined> {
  const row = await tx
    .selectFrom('site_events')
    .select('hash')
    .where('site', '=', site)
    .where('epoch', '=', epoch)
    .where('sequence', '=', sequence)
    .executeTakeFirst();
  return row?.hash;
}

/** For each site of which anything is recorded: the last event without a gap before it, of its latest epoch. */
export async function acknowledged(db: Db, sites: string[]): Promise<Map<string, Acked>> {
  const acked = new Map<string, Acked>();
  for (let from = 0; from < sites.length; from += SITES_AT_ONCE) {
    const rows = await db
      .selectFrom('site_epochs')
      .leftJoin('site_events', (join) =>
        join
          .onRef('site_events.site', '=', 'site_epochs.site')
          .onRef('site_events.epoch', '=', 'site_epochs.epoch')
          .onRef('site_events.sequence', '=', 'site_epochs.contiguous'),
      )
      .select(['site_epochs.site', 'site_epochs.epoch', 'site_epochs.contiguous', 'site_events.hash'])
      .where('site_epochs.site', 'in', sites.slice(from, from + SITES_AT_ONCE))
      .orderBy('site_epochs.epoch')
      .execute();
    for (const { site, epoch, contiguous, hash } of rows) {
      acked.set(site, { epoch, sequence: contiguous, ...(hash !== null && { hash }) });
    }
  }
  return acked;
}
