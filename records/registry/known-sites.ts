/** Sites: what they were commanded, how that ended, what they report and journal, and what happened. */
import type { OutboxAcks, OutboxEntry, OutboxGap, OutboxPage } from '../../policies/model/telemetry.js';
import type { JudgedDesired, JudgedReport } from '../../policies/catch-up/drift.js';
import type { ResultWord, Settled, SiteState, Verb } from '../../policies/model/command.js';
import type { EvidenceKey } from '../../policies/model/evidence.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { SiteOutcome, SiteOutcomeWord } from '../../policies/model/rollout.js';
import type { Selector } from '../../policies/model/strategy.js';
import type { Reason } from '../../policies/model/verdict.js';

/**
 * One row a site of a rollout, ordered by site: the outcome of its latest command that has one. A
 * local revert, or a rejection, stays the site's outcome when the central revert after it found nothing to change.
 */
export interface SiteRow extends SiteOutcome {
  commandId: string;
  verb: Verb;
  recordedAt: number;
  /** What the command had answered before a local revert changed the outcome. */
  first?: { result: ResultWord; at: number };
  /** A later command of the rollout to this site that has no outcome yet; `state` as last recorded. */
  pending?: { commandId: string; verb: Verb; state?: SiteState | null };
}

/** A site for which a converge was ever scheduled, with its latest converge and the outcome of the site. */
export interface CommandedSite {
  site: string;
  stage: string;
  wave: number;
  commandId: string;
  switchBy?: number;
  /** Last recorded state of an unsettled command; null: never received; absent: nothing was recorded. */
  state?: SiteState | null;
  outcome?: SiteOutcome;
}

/** A command that is about to be scheduled. `carrier`: workflow id of the shard that carries it. */
export interface CommandedRow {
  site: string;
  stage: string;
  wave: number;
  verb: Verb;
  commandId: string;
  switchBy?: number;
  carrier?: string;
}

/** A site event that told something new of a rollout: `outcome` is what it makes of the site. */
export interface FreshEvent {
  firstRunId: string;
  workflowId: string;
  running: boolean;
  event: SiteEvent;
  outcome: SiteOutcome;
}

/** What became of one delivery. */
export interface Recorded {
  fresh: FreshEvent[];
  anomalies: SiteAnomaly[];
  /** Up to where the epoch of the report is recorded without a hole; absent for an agent that was refused. */
  journal?: number;
}

/** An answer that counts for nothing: the agent that gave it does not speak for the site, and why. */
export interface Disbelieved {
  site: string;
  commandId: string;
  reason: Reason;
}

/**
 * What was wrong with an event: `gap` (events before it are missing), `link` (not linked to the event before it),
 * `hash` (content and hash differ), `conflict` (the sequence is taken by another event), `foreign` (it speaks for
 * another site), `result` (another result for a command that has a final one), `generation` (a report names one that
 * cannot be), `malformed` (not an event or report at all), `identity` (an agent that does not speak for the site; nothing
 * else of what it delivered is recorded).
 */
export interface SiteAnomaly {
  site: string;
  epoch: number;
  sequence: number;
  kind: 'gap' | 'link' | 'hash' | 'conflict' | 'foreign' | 'result' | 'generation' | 'malformed' | 'identity';
  detail: Record<string, unknown>;
  at: number;
}

export interface KnownReport {
  report: SiteReport;
  receivedAt: number;
}

/** All that decides how the sites of a fleet stand: each row for all sites that say the same. */
export interface Tally {
  /** Of every site that reported. */
  versions: { versions: Record<string, string>; sites: string[] }[];
  /** `noted`: held, observed only, in safe mode, or with paths that differ from the release, by the report. */
  reported: { stream: string; report: JudgedReport; noted: boolean; sites: string[] }[];
  /** Put at the centre, and in force. */
  holds: { site: string; stream?: string }[];
  /** Of sites, ascending: of two for one site the later counts, unless the stream's own is later still. */
  desired: { stream: string; decided: JudgedDesired; sites: string[] }[];
  desiredOfStream: Map<string, JudgedDesired>;
  /** `knownGeneration` of each stream that was asked about. */
  known: Map<string, number>;
  reverts: { stream: string; sites: string[] }[];
  /** Sites whose speaker a person has to know of. */
  speakers: Record<'doubt' | 'refused' | 'waiting', string[]>;
}

/** How many sites of a rollout stand alike. `unsettled`: commanded, and nothing is known yet. */
export interface SiteTotal {
  stage: string;
  outcome: SiteOutcomeWord | 'unsettled';
  count: number;
  /** Of these, how many have a later command of the rollout without an outcome. */
  pending: number;
}

export interface HistoryFilter {
  site?: string;
  stream?: string;
  /** First run id. */
  rollout?: string;
  /** Only what a person did, under this name. */
  who?: string;
  /** Epoch ms: nothing older. */
  from?: number;
  /** Which freezes are meant, by their `only`; the registry does not know what a selector selects. */
  frozen?: (only: Selector | undefined) => boolean;
  limit: number;
}

/**
 * One thing that happened. `kind` is that of the evidence entry (`plan`, `verb`, `gate`, `result` …); `allow`, `block`,
 * `freeze` or `unfreeze`; or, only with a filter by site, `event/<kind>` for what its journal says and `anomaly/<kind>`.
 * `at` is the centre's clock, or the site's for its events. `data` is what was recorded, as it was recorded.
 */
export interface HistoryEntry {
  at: number;
  kind: string;
  /** Label, and first run id. */
  rollout?: string;
  firstRunId?: string;
  site?: string;
  stream?: string;
  who?: string;
  data: Record<string, unknown>;
}

export interface KnownSites {
  /** Records that commands are about to be scheduled: from here on a revert owes these sites an undo. */
  recordCommanded(firstRunId: string, rows: CommandedRow[], now: number): Promise<void>;
  /**
   * Results with the reports and events they carry, and their evidence, in one transaction. `fresh` are the events among
   * them that say more than these results, the local revert of an earlier stage for instance; the inbox tells their
   * rollouts too, so that passing them on is quicker but not needed. `disbelieved` are the answers of agents that do not
   * speak for their sites: those sites are owed as before.
   */
  recordSettled(
    key: EvidenceKey,
    at: { stage: string; wave: number },
    settled: Settled[],
    now: number,
  ): Promise<{ fresh: FreshEvent[]; disbelieved: Disbelieved[] }>;
  recordDispositions(
    key: EvidenceKey,
    rows: { site: string; commandId: string; outcome: SiteOutcome }[],
    now: number,
  ): Promise<void>;
  siteRows(
    firstRunId: string,
    filter?: { outcome?: SiteOutcomeWord; site?: string; limit?: number },
  ): Promise<SiteRow[]>;
  /** Counted by the database, in the order of stage and outcome. */
  siteTotals(firstRunId: string): Promise<SiteTotal[]>;
  /** Those that a person should look at, the worst first: safe-mode, reverted at the site, rejected, owed, deferred. */
  problemSites(firstRunId: string, limit: number): Promise<SiteRow[]>;
  /** Sites for which a converge was ever scheduled, in a stage or in all, with the latest state known. */
  commanded(firstRunId: string, stage?: string): Promise<CommandedSite[]>;
  /** Stages of which sites were sent a revert. */
  revertedStages(firstRunId: string): Promise<string[]>;
  recordReport(report: SiteReport, now: number): Promise<void>;
  /**
   * Events of one site, idempotent by (site, epoch, sequence); a gap or a broken hash link throws nothing and is
   * recorded as evidence of it. Returns the results that were new, with the rollout that each belongs to.
   *
   * `delivery` names what is told: one of the deliveries that a run of an inbox took. With it, whoever records it once more,
   * because the answer was lost, gets the same `fresh` again, so that no local revert is recorded and then told to nobody;
   * without it, nobody does.
   */
  recordSiteEvents(
    report: SiteReport,
    events: SiteEvent[],
    now: number,
    delivery?: { runId: string; name: string },
  ): Promise<Recorded>;
  /** The latest anomalies of a site, newest first. */
  siteAnomalies(site: string, limit: number): Promise<SiteAnomaly[]>;
  /** By site: the agent that was refused last, why, and when that was first so. */
  refusedSpeakers(sites?: string[]): Promise<Map<string, { code: string; detail: string; at: number }>>;
  reports(sites?: string[]): Promise<Map<string, KnownReport>>;
  /** Of all sites at once, by groups: what would be ten thousand rows each. */
  tally(streams: string[], now: number): Promise<Tally>;
  /** Each entry once, by (site, epoch, priority, sequence), in whatever order; what is recorded without a hole but a gap. */
  recordOutbox(report: SiteReport, page: OutboxPage, now: number): Promise<OutboxAcks | undefined>;
  /** The latest `limit` entries of each priority of a site's outbox, by the site's time, and its gaps, oldest first. */
  siteOutbox(site: string, limit: number): Promise<{ entries: OutboxEntry[]; gaps: (OutboxGap & { epoch: number })[] }>;
  /** The latest `limit` events of a site, in the order of its journal. */
  siteEvents(site: string, limit: number): Promise<SiteEvent[]>;
  /**
   * For each site the last sequence without a gap before it, of the latest epoch: what a command acknowledges. Epoch 0
   * for a site of which nothing was ever recorded. A gap that the site itself takes for acknowledged (`report.acked`) is
   * passed over, with an anomaly `gap`: a registry that was restored has lost those events, and nobody tells them again.
   */
  ackedThrough(sites: string[]): Promise<Map<string, { epoch: number; sequence: number }>>;
  /** What happened, newest first. Without a filter: everywhere. */
  history(filter: HistoryFilter): Promise<HistoryEntry[]>;
  /** For readers that need the recorded state of an unsettled command. */
  recordState(firstRunId: string, site: string, state: SiteState | null): Promise<void>;
}
