/** What the site says of itself. */
import { keyIdOf } from '../policies/signing/keyset.js';
import type { SignedToken } from '../policies/model/enrolment.js';
import type { DriftReport, HeldRelease, SiteReport, StorageReport, StreamReport } from '../policies/model/report.js';
import { timeToUndoAgain } from '../policies/site/decide-undo-again.js';
import { healthOf } from '../policies/site/decide-watch.js';
import { commandUnderWay, liveRelease } from './advance.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import { holdsReport } from './holds.js';
import { lastSamples } from './last-samples.js';
import { readRound } from './scrub/scrub.js';
import type { HeldRow, StreamRow } from './store/rows.js';
import type { Store } from './store/store.js';
import { strandedOf } from './trial.js';

export const AGENT_VERSION = '0.1.0';

export async function reportOf(context: SiteContext): Promise<SiteReport> {
  const versions = await context.versions();
  const { store } = context;
  const holds = holdsReport(context);
  return {
    site: context.site,
    at: context.clock.now(),
    epoch: store.number('epoch'),
    ...journalHead(store),
    acked: store.number('ackedThrough'),
    agentVersion: AGENT_VERSION,
    streams: Object.fromEntries(streamRows(store).map((row) => [row.stream, streamReport(context, row)])),
    versions,
    quarantined: store.quarantine(),
    ...(holds.length > 0 ? { holds } : {}),
    ...(context.observing ? { observing: true as const } : {}),
    ...enrolmentOf(store),
    storage: storageOf(context),
    keyset: { version: context.trust.version, keys: context.trust.pems.map(keyIdOf).sort() },
  };
}

/** An observing agent was shown releases, and others were sent files, of streams that they never had a command of. */
function streamRows(store: Store): StreamRow[] {
  const rows = store.streams();
  const known = new Set(rows.map(({ stream }) => stream));
  const further = new Set([...store.driftStreams(), ...store.prefetches().map(({ wish }) => wish.stream)]);
  return [...rows, ...[...further].flatMap((stream) => (known.has(stream) ? [] : [store.stream(stream)]))];
}

function storageOf({ storage, store }: SiteContext): StorageReport {
  const round = readRound(store);
  return {
    ...(storage.fault ? { fault: storage.fault } : {}),
    freeBytes: storage.reserve.free(),
    reserveWhole: storage.reserve.whole,
    ...(round ? { scrubbedAt: round.at } : {}),
    damaged: round?.damaged ?? [],
  };
}

function journalHead(store: Store): Pick<SiteReport, 'sequence' | 'head'> {
  const last = store.lastEvent();
  return last ? { sequence: last.sequence, head: last.hash } : { sequence: 0 };
}

function enrolmentOf(store: Store): Pick<SiteReport, 'enrolment'> {
  const [tokenId, instance, kept] = [store.fact('tokenId'), store.fact('instance'), store.fact('token')];
  if (tokenId === undefined || instance === undefined) return {};
  // An agent that was enrolled by an older program has kept none.
  const token = kept === undefined ? {} : { token: JSON.parse(kept) as SignedToken };
  return { enrolment: { tokenId, instance, ...token } };
}

function streamReport(context: SiteContext, row: StreamRow): StreamReport {
  const { store } = context;
  const live = liveRelease(context, row);
  const confirmed = store.confirmed(row.stream);
  const lkg = live?.confirmedAt === undefined ? confirmed[0] : confirmed[1];
  const pending = pendingRelease(context, row);
  const drift = driftOf(store, row.stream);
  const prefetched = context.prefetched.report(row.stream);
  const waits = row.state === 'staged' ? context.waits.get(row.stream) : undefined;
  return {
    state: row.state,
    ...safeModeOf(context, row),
    ...(drift ? { drift } : {}),
    ...(live ? { live: heldRelease(live) } : {}),
    ...(lkg ? { lkg: heldRelease(lkg) } : {}),
    ...(pending ? { pending } : {}),
    ...(prefetched ? { prefetched } : {}),
    ...(waits ? { waits } : {}),
    generation: row.generation,
    try: row.try,
    checks: lastSamples(context, row, live).map(({ tally, sampledAt }) => ({
      name: tally.name,
      need: tally.need,
      healthy: healthOf(tally) === 'healthy',
      ...(healthOf(tally) === 'inconclusive' ? { inconclusive: true as const } : {}),
      detail: tally.detail,
      ...(sampledAt === undefined ? {} : { sampledAt }),
    })),
  };
}

/** When the journal may tell of it again is the agent's own affair. */
function driftOf(store: Store, stream: string): DriftReport | undefined {
  const kept = store.drift(stream);
  if (!kept) return undefined;
  const { told: _, ...report } = kept;
  return report;
}

function safeModeOf({ clock }: SiteContext, row: StreamRow): Pick<StreamReport, 'safeMode'> {
  const { safeMode } = row;
  if (!safeMode) return {};
  const left = timeToUndoAgain(strandedOf(row), momentOf(clock));
  return { safeMode: { ...safeMode, ...(left === undefined ? {} : { undoAgainIn: left }) } };
}

/** Being brought in: named by the command under way, as long as it is not settled. */
function pendingRelease({ store }: SiteContext, row: StreamRow): HeldRelease | undefined {
  const under = commandUnderWay(store, row);
  if (under?.command.verb !== 'converge') return undefined;
  return { version: under.command.releaseVersion, digest: under.command.digest };
}

function heldRelease(row: HeldRow): HeldRelease {
  const { version, digest, confirmedAt } = row;
  return { version, digest, ...(confirmedAt === undefined ? {} : { confirmedAt }) };
}
