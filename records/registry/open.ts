/** Opens the registry: its table of contents, each method bound to one database. */
import { Kysely } from 'kysely';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { FrozenPlan } from '../../policies/model/plan.js';
import * as commands from './commands.js';
import * as documents from './documents.js';
import * as evidenceLog from './evidence-log.js';
import * as inbox from './inbox.js';
import * as journal from './journal.js';
import { migrate } from './migrations.js';
import type { Registry } from './registry.js';
import * as reports from './reports.js';
import * as rollouts from './rollouts.js';
import * as settle from './settle.js';
import { siteAnomalies } from './site-anomalies.js';
import { openSqlite, type SqliteStore } from './sqlite.js';
import type { Db, Tables } from './tables.js';

export interface RegistryOptions {
  /** How long a transaction waits for those of other processes, in ms; then WorldError `REGISTRY_BROKEN`. */
  patience?: number;
}

/**
 * `url` is `sqlite:PATH` (relative paths from the working directory) or `sqlite::memory:`. Creates the database, and
 * brings its schema up to date. Throws MistakeError (`REGISTRY_INVALID`, `REGISTRY_NEWER`, `NOT_AVAILABLE`) or
 * WorldError (`REGISTRY_UNREACHABLE`, `REGISTRY_BROKEN`).
 */
export async function openRegistry(url: string, options: RegistryOptions = {}): Promise<Registry> {
  const path = sqlitePath(url);
  const store = await openSqlite(path, options.patience ?? 30_000);
  const db: Db = new Kysely<Tables>({ dialect: store.dialect });
  try {
    await migrate(db, path, Date.now());
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return { ...ownership(db, store, path), ...central(db), ...ofRollouts(db), ...ofSites(db) };
}

function sqlitePath(url: string): string {
  if (/^postgres(ql)?:/.test(url)) {
    const message = 'a PostgreSQL registry is not available yet: expected `registry: sqlite:PATH` in foothold.yaml';
    throw new MistakeError('NOT_AVAILABLE', message);
  }
  const path = /^sqlite:(.+)$/s.exec(url)?.[1];
  if (path !== undefined && !path.includes('\0')) return path;
  // The scheme alone: an address may hold a password.
  const scheme = /^[a-z+]+:/.exec(url)?.[0] ?? 'an address without a scheme';
  throw new MistakeError('REGISTRY_INVALID', `expected \`registry: sqlite:PATH\` in foothold.yaml, got ${scheme}`);
}

function ownership(db: Db, store: SqliteStore, path: string): Pick<Registry, 'lockForWorker' | 'close'> {
  return {
    async lockForWorker(owner) {
      if (store.lock()) {
        const row = { owner, since: Date.now() };
        await db.transaction().execute(async (tx) => {
          const insert = tx.insertInto('worker').values({ id: 1, ...row });
          await insert.onConflict((conflict) => conflict.column('id').doUpdateSet(row)).execute();
        });
        return;
      }
      const holder = await db.selectFrom('worker').selectAll().executeTakeFirst();
      const since = holder ? `${holder.owner}, since ${new Date(holder.since).toISOString()}` : 'an unnamed process';
      const message = `expected to be the only control worker of the registry ${path}, but ${since} holds it: stop that one first`;
      throw new WorldError('REGISTRY_LOCKED', message);
    },
    async close() {
      await db.destroy();
      store.unlock();
    },
  };
}

type Central = 'importDocument' | 'latestDocument' | 'documents' | 'block' | 'blocks' | 'allow' | 'allowances';

function central(db: Db): Pick<Registry, Central> {
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

type OfRollouts =
  | 'freeze'
  | 'frozenPlan'
  | 'recordRun'
  | 'adoptGeneration'
  | 'putStatus'
  | 'findRollout'
  | 'rollouts'
  | 'putFindings'
  | 'findings'
  | 'putSamples'
  | 'samples'
  | 'appendEvidence'
  | 'evidence'
  | 'evidenceHead';

function ofRollouts(db: Db): Pick<Registry, OfRollouts> {
  const plans = new PlanCache(db);
  return {
    freeze: (frozen, run, now) => rollouts.freeze(db, frozen, run, now),
    frozenPlan: (planDigest) => plans.get(planDigest),
    recordRun: (firstRunId, continuation, runId) => rollouts.recordRun(db, firstRunId, continuation, runId),
    adoptGeneration: (stream, generation) => reports.adoptGeneration(db, stream, generation),
    putStatus: (status) => rollouts.putStatus(db, status),
    findRollout: (reference) => rollouts.findRollout(db, reference),
    rollouts: (filter) => rollouts.rollouts(db, filter),
    putFindings: (firstRunId, findings) => rollouts.putFindings(db, firstRunId, findings),
    findings: (firstRunId) => rollouts.findings(db, firstRunId),
    putSamples: (firstRunId, stage, wave, samples) => rollouts.putSamples(db, firstRunId, stage, wave, samples),
    samples: (firstRunId, stage, wave) => rollouts.samples(db, firstRunId, stage, wave),
    appendEvidence: (key, drafts, now) => evidenceLog.appendEvidence(db, key, drafts, now),
    evidence: (firstRunId) => evidenceLog.evidence(db, firstRunId),
    evidenceHead: (firstRunId) => evidenceLog.evidenceHead(db, firstRunId),
  };
}

type OfSites =
  | 'recordCommanded'
  | 'recordSettled'
  | 'recordDispositions'
  | 'siteRows'
  | 'commanded'
  | 'recordState'
  | 'recordReport'
  | 'recordSiteEvents'
  | 'siteAnomalies'
  | 'reports'
  | 'siteEvents'
  | 'ackedThrough';

function ofSites(db: Db): Pick<Registry, OfSites> {
  return {
    recordCommanded: (firstRunId, rows, now) => commands.recordCommanded(db, firstRunId, rows, now),
    recordSettled: (key, at, settled, now) => settle.recordSettled(db, key, at, settled, now),
    recordDispositions: (key, rows, now) => commands.recordDispositions(db, key, rows, now),
    siteRows: (firstRunId) => commands.siteRows(db, firstRunId),
    commanded: (firstRunId, stage) => commands.commanded(db, firstRunId, stage),
    recordState: (firstRunId, site, state) => commands.recordState(db, firstRunId, site, state),
    recordReport: (report, now) => reports.recordReport(db, report, now),
    recordSiteEvents: (report, events, now, delivery) => inbox.recordSiteEvents(db, report, events, now, delivery),
    siteAnomalies: (site, limit) => siteAnomalies(db, site, limit),
    reports: (sites) => reports.reports(db, sites),
    siteEvents: (site, limit) => journal.siteEvents(db, site, limit),
    ackedThrough: (sites) => journal.ackedThrough(db, sites),
  };
}

/** Every page of a wave reads the plan, which never changes: parsing megabytes each time would cost more than the page. */
class PlanCache {
  static readonly KEPT = 4;
  readonly #plans = new Map<string, FrozenPlan>();
  constructor(readonly db: Db) {}

  async get(digest: string): Promise<FrozenPlan | undefined> {
    const known = this.#plans.get(digest) ?? (await rollouts.frozenPlan(this.db, digest));
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
