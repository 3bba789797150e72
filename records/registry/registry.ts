/**
 * What is known (design §4 "Central state"): the one interface to the registry. Every method is one short transaction,
 * idempotent by the keys it is given. Times in epoch ms.
 */
import type { Settled, SiteState } from '../../policies/model/command.js';
import type { EvidenceDraft, EvidenceEntry, EvidenceKey } from '../../policies/model/evidence.js';
import type { Finding, FrozenPlan } from '../../policies/model/plan.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { RolloutStatus, SiteOutcome } from '../../policies/model/rollout.js';
import type { Sample } from '../../policies/model/verdict.js';

export type DocumentKind = 'fleet' | 'strategy';
/** A file as it was imported: `body` is its parsed, filled form; `digest` the sha256 of its JCS form. */
export interface ImportedDocument {
  kind: DocumentKind;
  name: string;
  digest: string;
  body: unknown;
  importedAt: number;
}

export interface FrozenRollout {
  /** `edge-proxy-2.4.0-3` */
  label: string;
  /** For converging; reverts of this rollout carry `generation + 1`. */
  generation: number;
  attempt: number;
}

/** One row a site of a rollout, by its stage and wave; `outcome` only once it is known. */
export interface SiteRow extends SiteOutcome {
  commandId: string;
  verb: 'converge' | 'revert';
  recordedAt: number;
}

export interface KnownReport {
  report: SiteReport;
  receivedAt: number;
}

export interface Block {
  stream: string;
  digest: string;
  version: string;
  rollout: string;
  at: number;
}

export interface Registry {
  /** Takes the control worker's lock; throws WorldError naming the holder while another live process has it. */
  lockForWorker(owner: string): Promise<void>;
  close(): Promise<void>;

  importDocument(
    document: Omit<ImportedDocument, 'importedAt'>,
    now: number,
  ): Promise<{ changed: boolean; before?: string }>;
  /** The latest import of a name. */
  latestDocument(kind: DocumentKind, name: string): Promise<ImportedDocument | undefined>;
  documents(kind: DocumentKind): Promise<ImportedDocument[]>;

  /** Stores the plan, and takes label, attempt and two generations in one transaction; the same first run id gets the same answer. */
  freeze(frozen: FrozenPlan, run: { firstRunId: string; workflowId: string }, now: number): Promise<FrozenRollout>;
  frozenPlan(planDigest: string): Promise<FrozenPlan | undefined>;
  /** The run id that was first seen for (first run id, continuation): another one means that the run was reset. */
  recordRun(firstRunId: string, continuation: number, runId: string): Promise<string>;
  /** Raises the stream's next generation above one that a site reported. */
  adoptGeneration(stream: string, generation: number): Promise<void>;

  putStatus(status: RolloutStatus): Promise<void>;
  /** By label, first run id, workflow id, or stream (then the running one, else the latest). */
  findRollout(reference: string): Promise<RolloutStatus | undefined>;
  rollouts(filter?: { stream?: string; running?: boolean; limit?: number }): Promise<RolloutStatus[]>;
  putFindings(firstRunId: string, findings: Finding[]): Promise<void>;
  findings(firstRunId: string): Promise<Finding[]>;

  /** Records that commands are about to be scheduled: from here on a revert owes these sites an undo. */
  recordCommanded(
    firstRunId: string,
    rows: {
      site: string;
      stage: string;
      wave: number;
      verb: 'converge' | 'revert';
      commandId: string;
      switchBy?: number;
    }[],
    now: number,
  ): Promise<void>;
  /** Results with the reports and events they carry, and their evidence, in one transaction. */
  recordSettled(key: EvidenceKey, at: { stage: string; wave: number }, settled: Settled[], now: number): Promise<void>;
  recordDispositions(
    key: EvidenceKey,
    rows: { site: string; commandId: string; outcome: SiteOutcome }[],
    now: number,
  ): Promise<void>;
  siteRows(firstRunId: string): Promise<SiteRow[]>;
  /** Sites for which a converge was ever scheduled, in a stage or in all, with the latest state known. */
  commanded(
    firstRunId: string,
    stage?: string,
  ): Promise<{ site: string; commandId: string; switchBy?: number; outcome?: SiteOutcome }[]>;

  recordReport(report: SiteReport, now: number): Promise<void>;
  /**
   * Events of one site, idempotent by (site, epoch, sequence); a gap or a broken hash link throws nothing and is
   * recorded as evidence of it. Returns the results that were new, with the rollout that each belongs to.
   */
  recordSiteEvents(
    report: SiteReport,
    events: SiteEvent[],
    now: number,
  ): Promise<{ fresh: { firstRunId: string; workflowId: string; running: boolean; event: SiteEvent }[] }>;
  reports(sites?: string[]): Promise<Map<string, KnownReport>>;
  siteEvents(site: string, limit: number): Promise<SiteEvent[]>;
  /** The last sequence without a gap before it, per epoch: what a command acknowledges. */
  ackedThrough(site: string): Promise<{ epoch: number; sequence: number }>;

  block(block: Block): Promise<void>;
  blocks(stream: string): Promise<Block[]>;
  /** Lifts the block of (stream, digest), or with `site` the quarantine there, from `now` on. */
  allow(
    stream: string,
    digest: string,
    site: string | undefined,
    by: string,
    reason: string,
    now: number,
  ): Promise<void>;
  /** Sites (or `*`) where the quarantine of the digest was lifted, and when. */
  allowances(stream: string, digest: string): Promise<{ site: string; at: number }[]>;

  putSamples(firstRunId: string, stage: string, wave: number, samples: Sample[]): Promise<void>;
  samples(firstRunId: string, stage?: string, wave?: number): Promise<(Sample & { stage: string; wave: number })[]>;

  appendEvidence(key: EvidenceKey, drafts: EvidenceDraft[], now: number): Promise<void>;
  evidence(firstRunId: string): Promise<EvidenceEntry[]>;
  /** For readers that need the recorded state of an unsettled command. */
  recordState(firstRunId: string, site: string, state: SiteState | null): Promise<void>;
}
