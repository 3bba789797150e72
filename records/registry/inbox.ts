/**
 * How commands end, as the journals of sites bring it, through the inbox or with a result: at most once each counts,
 * whichever way it came first.
 */
import type { EvidenceDraft } from '../../policies/model/evidence.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import { addLocalRevert, readCommandId, type Arrival } from './command-facts.js';
import { addToLedger, CommandLedger, outcomeKnown, scheduled, UNKNOWN_PLACE } from './command-ledger.js';
import { appendDrafts, type KeyedDraft } from './evidence-log.js';
import { anomaly, contiguousOf, hashHolds, sortEvents, storeEvents, type SortedEvents } from './journal.js';
import { Gathered } from './gathered.js';
import type { FreshEvent, Recorded, SiteAnomaly } from './registry.js';
import { recordGaps } from './outbox.js';
import { recordReports } from './reports.js';
import { hearSpeakers } from './speakers.js';
import { noteAnomalies } from './site-anomalies.js';
import type { Db, RolloutRow, SiteEventRow, Tx } from './tables.js';

const UNNAMED = 'inbox';

/** What one site told at once. `delivery` names it, so that recording it once more is known for that. */
export interface Told {
  report: SiteReport;
  events: SiteEvent[];
  now: number;
  delivery?: { runId: string; name: string } | undefined;
}

/** Thousands of sites come back at once, each with an inbox of its own: they share transactions. */
export function gatherInboxes(db: Db): Gathered<Told, Recorded> {
  return new Gathered({ record: (told) => recordTold(db, told), nameOf: ({ report }) => String(report.site) });
}

async function recordTold(db: Db, told: Told[]): Promise<Recorded[]> {
  const now = Math.max(...told.map((one) => one.now));
  return db.transaction().execute(async (tx) => {
    const heard = await hearSpeakers(tx, told, now);
    const believed = told.filter((one) => !heard.refused.has(one));
    const ofReports = await recordReports(
      tx,
      believed.map(({ report }) => report),
      now,
    );
    const recorded: Recorded[] = [];
    for (const one of told) {
      const of = (anomalies: SiteAnomaly[]) => anomalies.filter(({ site }) => site === String(one.report.site));
      if (heard.refused.has(one)) recorded.push({ fresh: [], anomalies: of(heard.anomalies) });
      else recorded.push(await recordBelieved(tx, one, of(ofReports), now));
    }
    return recorded;
  });
}

async function recordBelieved(
  tx: Tx,
  { report, events, delivery }: Told,
  ofReport: SiteAnomaly[],
  now: number,
): Promise<Recorded> {
  // Without a name for the delivery its retry cannot be told from another delivery: told once is told.
  const toldBy = delivery === undefined ? UNNAMED : `${delivery.runId}/${delivery.name}`;
  const journals = [{ site: report.site, events }];
  const { fresh, anomalies } = await recordJournals(tx, new CommandLedger(), journals, toldBy, now);
  const journal = (await contiguousOf(tx, report.site, report.epoch)) ?? 0;
  return { fresh, anomalies: [...ofReport, ...anomalies], journal };
}

/** An event that says how a command ended, with what it made of the command. */
interface Ending {
  event: SiteEvent;
  commandId: string;
  arrival: Arrival;
}

export async function recordJournals(
  tx: Tx,
  ledger: CommandLedger,
  journals: { site: string; events: SiteEvent[] }[],
  toldBy: string | undefined,
  now: number,
): Promise<{ fresh: FreshEvent[]; anomalies: SiteAnomaly[] }> {
  const sorted: SortedEvents = { fresh: [], known: [], anomalies: [] };
  // A site may answer for two streams in one page: what both journals hold is compared as one.
  for (const [site, events] of joinBySite(journals)) {
    const ofSite = await sortEvents(tx, site, events, now);
    sorted.fresh.push(...ofSite.fresh);
    sorted.known.push(...ofSite.known);
    sorted.anomalies.push(...ofSite.anomalies);
  }
  const told = await tellLedger(tx, ledger, sorted, now);
  const tells = new Set(
    told.filter(({ arrival }) => arrival === 'first' || arrival === 'moved').map((one) => one.event),
  );
  await ledger.save(tx, now);
  await storeEvents(tx, sorted.fresh, tells, toldBy ?? null, now);
  await recordGaps(tx, sorted.fresh, now);
  await noteAnomalies(tx, sorted.anomalies);
  const untold = await takeUntold(tx, sorted.known, toldBy);
  const fresh = await freshEvents(tx, ledger, [...sorted.fresh.filter((event) => tells.has(event)), ...untold]);
  await appendDrafts(tx, await draftsOf(tx, ledger, tells, sorted.anomalies), now);
  return { fresh, anomalies: sorted.anomalies };
}

function joinBySite(journals: { site: string; events: SiteEvent[] }[]): Map<string, SiteEvent[]> {
  const joined = new Map<string, SiteEvent[]>();
  for (const { site, events } of journals) joined.set(site, [...(joined.get(site) ?? []), ...events]);
  return joined;
}

/** Adds what new events say of commands, in the order of the journal. */
async function tellLedger(tx: Tx, ledger: CommandLedger, sorted: SortedEvents, now: number): Promise<Ending[]> {
  const telling = sorted.fresh.flatMap((event) => {
    const commandId = endsCommand(event);
    return commandId === undefined ? [] : [{ event, commandId }];
  });
  await ledger.load(
    tx,
    telling.map((one) => one.commandId),
  );
  return telling.flatMap(({ event, commandId }) => {
    const read = readCommandId(commandId);
    if (read?.site !== event.site || (event.result !== undefined && event.result.site !== event.site)) {
      sorted.anomalies.push(anomaly(event, 'foreign', now, { commandId }));
      return [];
    }
    // What was altered on the way is kept, but nothing is ever promoted on it.
    if (event.result?.result === 'confirmed' && !hashHolds(event)) return [];
    const arrival = addEvent(ledger, read.firstRunId, event, commandId, now);
    if (arrival === 'contradiction') sorted.anomalies.push(anomaly(event, 'result', now, { commandId }));
    return [{ event, commandId, arrival }];
  });
}

function endsCommand(event: SiteEvent): string | undefined {
  if (event.result !== undefined) return event.result.commandId;
  return event.kind === 'reverted' || event.kind === 'safe-mode' ? event.commandId : undefined;
}

function addEvent(
  ledger: CommandLedger,
  firstRunId: string,
  event: SiteEvent,
  commandId: string,
  now: number,
): Arrival {
  if (event.result !== undefined) return addToLedger(ledger, firstRunId, UNKNOWN_PLACE, event.result, now);
  const facts = ledger.touch(commandId, () => scheduled(firstRunId, event.site, commandId, UNKNOWN_PLACE, now));
  const arrival = addLocalRevert(facts, event);
  if (arrival === 'moved') facts.recordedAt = now;
  return arrival;
}

/** Of known events those that no delivery told yet, or that this very delivery told before it was tried again. */
async function takeUntold(tx: Tx, known: SiteEventRow[], toldBy: string | undefined): Promise<SiteEvent[]> {
  const untold = known.filter((row) => row.tells === 1 && (row.told_by === null || repeats(row.told_by, toldBy)));
  if (toldBy !== undefined)
    for (const { site, epoch, sequence } of untold.filter((row) => row.told_by === null))
      await tx
        .updateTable('site_events')
        .set({ told_by: toldBy })
        .where('site', '=', site)
        .where('epoch', '=', epoch)
        .where('sequence', '=', sequence)
        .execute();
  return untold.map((row) => JSON.parse(row.body) as SiteEvent);
}

function repeats(toldBy: string, now: string | undefined): boolean {
  return toldBy === now && now !== UNNAMED;
}

async function freshEvents(tx: Tx, ledger: CommandLedger, events: SiteEvent[]): Promise<FreshEvent[]> {
  const ids = events.map((event) => endsCommand(event) ?? '');
  await ledger.load(tx, ids);
  const rollouts = await rolloutsOf(tx, ids);
  return events.flatMap((event, index) => {
    const commandId = ids[index] ?? '';
    const rollout = rollouts.get(readCommandId(commandId)?.firstRunId ?? '');
    const facts = ledger.get(commandId);
    if (rollout === undefined || facts === undefined) return [];
    const { first_run_id: firstRunId, workflow_id: workflowId, sealed } = rollout;
    return [{ firstRunId, workflowId, running: sealed === 0, event, outcome: outcomeKnown(facts) }];
  });
}

async function rolloutsOf(tx: Tx, commandIds: string[]): Promise<Map<string, RolloutRow>> {
  const runs = new Set(commandIds.map((id) => readCommandId(id)?.firstRunId ?? ''));
  if (runs.size === 0) return new Map();
  const rows = await tx
    .selectFrom('rollouts')
    .selectAll()
    .where('first_run_id', 'in', [...runs])
    .execute();
  return new Map(rows.map((row) => [row.first_run_id, row]));
}

/**
 * What goes into evidence of events, whichever way they came: each once, under the event's own name. Only rollouts that
 * are known get any: a site cannot begin a chain.
 */
async function draftsOf(
  tx: Tx,
  ledger: CommandLedger,
  tells: Set<SiteEvent>,
  anomalies: SiteAnomaly[],
): Promise<KeyedDraft[]> {
  const drafts: { commandId: string; event: Pick<SiteEvent, 'site' | 'epoch' | 'sequence'>; draft: EvidenceDraft }[] =
    [];
  for (const event of tells) {
    const commandId = endsCommand(event) ?? '';
    const facts = ledger.get(commandId);
    const data = { commandId, site: event.site, event, outcome: facts && outcomeKnown(facts) };
    drafts.push({ commandId, event, draft: { kind: 'site-event', data } });
  }
  for (const found of anomalies) {
    const about = found.detail['commandId'] ?? (found.detail['event'] as SiteEvent | undefined)?.commandId;
    if (typeof about === 'string')
      drafts.push({ commandId: about, event: found, draft: { kind: 'site-anomaly', data: { ...found } } });
  }
  const rollouts = await rolloutsOf(
    tx,
    drafts.map((one) => one.commandId),
  );
  return drafts.flatMap(({ commandId, event, draft }) => {
    const firstRunId = readCommandId(commandId)?.firstRunId ?? '';
    const keyed = { firstRunId, runId: `site/${event.site}`, activityId: `${event.epoch}/${event.sequence}` };
    const slot = draft.kind === 'site-event' ? 'event' : `${String(draft.data['kind'])}/${hashIn(draft)}`;
    return rollouts.has(firstRunId) ? [{ ...keyed, slot, draft }] : [];
  });
}

function hashIn(draft: EvidenceDraft): string {
  const { hash } = draft.data['detail'] as Record<string, unknown>;
  return typeof hash === 'string' ? hash : '';
}
