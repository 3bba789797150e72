/** Opens the registry: its table of contents, each method bound to one database. */
import { Kysely } from 'kysely';
import type { FrozenPlan } from '../../policies/model/plan.js';
import { readAddress } from './address.js';
import * as commandedHistory from './commanded-history.js';
import { changingMembers } from './changing.js';
import * as commands from './commands.js';
import { debts, debtTotals, retiredReverts } from './debts.js';
import * as desired from './desired.js';
import * as documents from './documents.js';
import * as enrolment from './enrolment.js';
import * as evidenceLog from './evidence-log.js';
import * as freezes from './freezes.js';
import * as holds from './holds.js';
import * as generations from './generations.js';
import { handOver } from './hand-over.js';
import { history } from './history.js';
import * as inbox from './inbox.js';
import * as outbox from './outbox.js';
import * as journal from './journal.js';
import * as judged from './judged.js';
import * as keys from './keys.js';
import { migrate } from './migrations.js';
import * as plans from './plans.js';
import type { KnownDebts } from './known-debts.js';
import type { KnownFiles } from './known-files.js';
import type { KnownIdentities } from './known-identities.js';
import type { KnownRollouts } from './known-rollouts.js';
import type { KnownSites } from './known-sites.js';
import type { Registry } from './registry.js';
import * as reports from './reports.js';
import * as rollouts from './rollouts.js';
import * as runs from './runs.js';
import * as settle from './settle.js';
import { sealEnded } from './seal-ended.js';
import { refusedSpeakers, siteAnomalies } from './site-anomalies.js';
import { acknowledged } from './speakers.js';
import type { Store } from './store.js';
import type { Db, Tables, Tx } from './tables.js';
import { tally } from './tally.js';
import * as totals from './totals.js';
import { WorkerLock } from './worker-lock.js';

export interface RegistryOptions {
  /** How long a transaction waits for those of other processes, in ms; then WorldError `REGISTRY_BROKEN`. */
  patience?: number;
}

/**
 * `url` is `sqlite:PATH` (relative paths from the working directory), `sqlite::memory:` or `postgres://…`. Creates the
 * tables, and brings the schema up to date. Throws MistakeError (`REGISTRY_INVALID`, `REGISTRY_NEWER`) or WorldError
 * (`REGISTRY_UNREACHABLE`, `REGISTRY_BROKEN`).
 */
export async function openRegistry(url: string, options: RegistryOptions = {}): Promise<Registry> {
  const store = await openStore(url, options.patience ?? 30_000);
  const db: Db = new Kysely<Tables>({ dialect: store.dialect });
  try {
    await migrate(db, store.place, Date.now());
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return {
    ...ownership(db, store),
    ...central(db),
    ...ofRollouts(db),
    ...ofSites(db),
    ...ofDebts(db),
    ...ofIdentities(db),
  };
}

/** Only the database that is asked for is loaded: the command line pays for what it loads. */
export async function openStore(url: string, patience: number): Promise<Store> {
  const address = readAddress(url);
  if (address.kind === 'sqlite') return (await import('./sqlite.js')).openSqlite(address.path, patience);
  return (await import('./postgres.js')).openPostgres(address, patience);
}

function ownership(db: Db, store: Store): Pick<Registry, 'lockForWorker' | 'close'> {
  const lock = new WorkerLock(db, store);
  return {
    lockForWorker: (owner) => lock.take(owner),
    async close() {
      await lock.leave();
      await db.destroy();
      store.alone?.unlock();
    },
  };
}

function central(db: Db): KnownFiles {
  return {
    importDocument: (document, now) => documents.importDocument(db, document, now),
    latestDocument: (kind, name) => documents.latestDocument(db, kind, name),
    documents: (kind) => documents.documents(db, kind),
    block: (block) => documents.block(db, block),
    blocks: (stream) => documents.blocks(db, stream),
    allow: (stream, digest, site, by, reason, now) => documents.allow(db, stream, digest, site, by, reason, now),
    allowances: (stream, digest) => documents.allowances(db, stream, digest),
  };
}

function ofRollouts(db: Db): KnownRollouts {
  const kept = new PlanCache(db);
  return {
    freeze: (frozen, run, now) => plans.freeze(db, frozen, run, now),
    frozenPlan: (planDigest) => kept.get(planDigest),
    recordRun: (firstRunId, continuation, runId) => runs.recordRun(db, firstRunId, continuation, runId),
    disownRuns: (firstRunId, continuation) => runs.disownRuns(db, firstRunId, continuation),
    adoptRun: (firstRunId, continuation, runId) => runs.adoptRun(db, firstRunId, continuation, runId),
    adoptGeneration: (stream, generation) => reports.adoptGeneration(db, stream, generation),
    knownGeneration: (stream) => generations.knownGeneration(db, stream),
    runningPlans: (stream) => plans.runningPlans(db, stream, (planDigest) => kept.get(planDigest)),
    commandClearOfMates: (firstRunId, rows, now) => {
      const changing = (tx: Tx, groups: string[]) => changingMembers(tx, groups, (digest) => kept.get(digest, tx));
      return commands.commandClearOfMates(db, firstRunId, rows, changing, now);
    },
    changingMembers: (groups) => changingMembers(db, groups, (planDigest) => kept.get(planDigest)),
    putStatus: (status) => rollouts.putStatus(db, status),
    sealEnded: (ended, now) => sealEnded(db, ended, now),
    findRollout: (reference) => rollouts.findRollout(db, reference),
    rollouts: (filter) => rollouts.rollouts(db, filter),
    putFindings: (firstRunId, findings) => judged.putFindings(db, firstRunId, findings),
    findings: (firstRunId) => judged.findings(db, firstRunId),
    putSamples: (firstRunId, stage, wave, samples) => judged.putSamples(db, firstRunId, stage, wave, samples),
    samples: (firstRunId, stage, wave) => judged.samples(db, firstRunId, stage, wave),
    appendEvidence: (key, drafts, now) => evidenceLog.appendEvidence(db, key, drafts, now),
    evidence: (firstRunId, kind) => evidenceLog.evidence(db, firstRunId, kind),
    evidenceHead: (firstRunId) => evidenceLog.evidenceHead(db, firstRunId),
  };
}

function ofSites(db: Db): KnownSites {
  const inboxes = inbox.gatherInboxes(db);
  return {
    recordCommanded: (firstRunId, rows, now) => commands.recordCommanded(db, firstRunId, rows, now),
    recordSettled: (key, at, settled, now) => settle.recordSettled(db, key, at, settled, now),
    recordDispositions: (key, rows, now) => commands.recordDispositions(db, key, rows, now),
    revertedStages: (firstRunId) => commands.revertedStages(db, firstRunId),
    siteRows: (firstRunId, filter) => totals.siteRows(db, firstRunId, filter),
    siteTotals: (firstRunId) => totals.siteTotals(db, firstRunId),
    problemSites: (firstRunId, limit) => totals.problemSites(db, firstRunId, limit),
    history: (filter) => history(db, filter),
    commanded: (firstRunId, stage) => commands.commanded(db, firstRunId, stage),
    recordState: (firstRunId, site, state) => commands.recordState(db, firstRunId, site, state),
    recordReport: (report, now) => reports.recordReport(db, report, now),
    recordSiteEvents: (report, events, now, delivery) => inboxes.do({ report, events, now, delivery }),
    recordOutbox: (report, page, now) => outbox.recordOutbox(db, report, page, now),
    siteOutbox: (site, limit) => outbox.siteOutbox(db, site, limit),
    siteAnomalies: (site, limit) => siteAnomalies(db, site, limit),
    refusedSpeakers: (sites) => refusedSpeakers(db, sites),
    tally: (streams, now) => tally(db, streams, now),
    reports: (sites) => reports.reports(db, sites),
    siteEvents: (site, limit) => journal.siteEvents(db, site, limit),
    ackedThrough: (sites) => journal.ackedThrough(db, sites),
  };
}

function ofDebts(db: Db): KnownDebts {
  return {
    debts: (filter) => debts(db, filter),
    retiredReverts: () => retiredReverts(db),
    debtTotals: () => debtTotals(db),
    openConverges: (now) => commandedHistory.openConverges(db, now),
    commandsOf: (stream, filter) => commandedHistory.commandsOf(db, stream, filter),
    latestBatch: (of) => commandedHistory.latestBatch(db, of),
    unsealedRollouts: () => commandedHistory.unsealedRollouts(db),
    placeRollout: (firstRunId, namespace) => commandedHistory.placeRollout(db, firstRunId, namespace),
    handOver: (firstRunId, outcome, now) => handOver(db, firstRunId, outcome, now),
    desired: (stream, sites) => desired.desired(db, stream, sites),
    streamDesired: (stream) => desired.streamDesired(db, stream),
    desiredStreams: () => desired.desiredStreams(db),
    adoptLive: (site, stream, live, generation, now) => generations.adoptLive(db, site, stream, live, generation, now),
    putFreeze: (freeze) => freezes.putFreeze(db, freeze),
    liftFreezes: (only, lifted) => freezes.liftFreezes(db, only, lifted),
    freezes: (now) => freezes.freezes(db, now),
    putHold: (hold) => holds.putHold(db, hold),
    liftHolds: (site, stream, lifted) => holds.liftHolds(db, site, stream, lifted),
    holds: (now) => holds.holds(db, now),
  };
}

function ofIdentities(db: Db): KnownIdentities {
  return {
    identities: (sites) => enrolment.identities(db, sites),
    retiredSites: () => enrolment.retiredSites(db),
    siteIdsEver: () => enrolment.siteIdsEver(db),
    identityChanges: (site, limit) => enrolment.identityChanges(db, site, limit),
    enrol: (request, now) => enrolment.enrol(db, request, now),
    replace: (request, now) => enrolment.replace(db, request, now),
    retire: (request, now) => enrolment.retire(db, request, now),
    acknowledged: (sites) => acknowledged(db, sites),
    controlKeys: () => keys.controlKeys(db),
    stepKeys: (step, now) => keys.stepKeys(db, step, now),
    knowControlKey: (publicPem, by, now) => keys.knowControlKey(db, publicPem, by, now),
  };
}

/** Every page of a wave reads the plan, which never changes: parsing megabytes each time would cost more than the page. */
class PlanCache {
  static readonly KEPT = 4;
  readonly #plans = new Map<string, FrozenPlan>();
  constructor(readonly db: Db) {}

  /** `within`: the transaction that asks, if one does: it would wait for any other statement for ever. */
  async get(digest: string, within: Db = this.db): Promise<FrozenPlan | undefined> {
    const known = this.#plans.get(digest) ?? (await plans.frozenPlan(within, digest));
    if (known === undefined) return undefined;
    this.#plans.delete(digest);
    this.#plans.set(digest, deepFreeze(known));
    if (this.#plans.size > PlanCache.KEPT) this.#plans.delete([...this.#plans.keys()][0] ?? '');
    return known;
  }
}

/** The same object goes to every caller: who changes it must find out at once. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
