/**
 * What is known (design §4 "Central state"): the one interface to the registry. Every method is one short transaction,
 * idempotent by the keys it is given. Times in epoch ms.
 */
import type { ControlKeys, IdentityChange, SiteIdentity } from '../../policies/model/enrolment.js';
import type { Command, ResultWord, Settled, SiteState, Verb } from '../../policies/model/command.js';
import type { EvidenceDraft, EvidenceEntry, EvidenceKey } from '../../policies/model/evidence.js';
import type { Finding, FrozenPlan } from '../../policies/model/plan.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { OutboxAcks, OutboxEntry, OutboxGap, OutboxPage } from '../../policies/model/telemetry.js';
import type { Commanded } from '../../policies/catch-up/owed-site.js';
import type { Debt, Desired, Freeze, HandedOver } from '../../policies/model/debt.js';
import type { RolloutOutcome, RolloutStatus, SiteOutcome, SiteOutcomeWord } from '../../policies/model/rollout.js';
import type { Selector } from '../../policies/model/strategy.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { TokenRequest } from './enrolment.js';
import type { KeyStep } from './keys.js';

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
  /**
   * The plan that this rollout was frozen with. A retry that resolved its files to another plan gets the first one
   * here, and must go on with that.
   */
  planDigest: string;
}

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

/** A site at which a command of a running rollout may still change something. */
export interface ChangingMember {
  site: string;
  group: string;
  /** Label of the rollout. */
  rollout: string;
}

export interface KnownReport {
  report: SiteReport;
  receivedAt: number;
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

/** Of Temporal. One that was made anew has the same name and another id. */
export interface Namespace {
  name: string;
  id: string;
}

/** `status`: absent while it has told nothing. `namespace`: absent where nobody has said in which one it runs. */
export interface UnsealedRollout {
  firstRunId: string;
  workflowId: string;
  label: string;
  stream: string;
  release: { version: string; digest: string };
  planDigest: string;
  generation: number;
  startedAt: number;
  namespace?: Namespace;
  status?: RolloutStatus;
}

export interface Block {
  stream: string;
  digest: string;
  version: string;
  rollout: string;
  at: number;
}

/** In place of a site: the block of the stream, and no quarantine. No site can have this name. */
export const BLOCK_ALONE = '@stream';

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
  freeze(
    frozen: FrozenPlan,
    run: {
      firstRunId: string;
      workflowId: string;
      /** A catch-up batch: first run id of the rollout that it belongs to. It never decides what sites should run. */
      of?: string;
      /** What the plan was narrowed to: promoted, it speaks for its own sites alone. */
      only?: Selector;
      /** Where its workflow runs: nobody else may say of it that it has ended. */
      namespace?: Namespace;
    },
    now: number,
  ): Promise<FrozenRollout>;
  frozenPlan(planDigest: string): Promise<FrozenPlan | undefined>;
  /** The run id that was first seen for (first run id, continuation): another one means that the run was reset. */
  recordRun(firstRunId: string, continuation: number, runId: string): Promise<string>;
  /** Raises the stream's next generation above one that a site reported. */
  adoptGeneration(stream: string, generation: number): Promise<void>;
  /**
   * The highest generation that a rollout known here may carry, 0 without any. A site that reports a higher one obeyed a
   * rollout that the registry has lost: it was restored to an earlier point, and `adoptLive` takes over what is live.
   */
  knownGeneration(stream: string): Promise<number>;

  putStatus(status: RolloutStatus): Promise<void>;
  /** By label, first run id, workflow id, or stream (then the running one, else the latest). */
  findRollout(reference: string): Promise<RolloutStatus | undefined>;
  rollouts(filter?: { stream?: string; running?: boolean; limit?: number }): Promise<RolloutStatus[]>;
  putFindings(firstRunId: string, findings: Finding[]): Promise<void>;
  findings(firstRunId: string): Promise<Finding[]>;

  /** Records that commands are about to be scheduled: from here on a revert owes these sites an undo. */
  recordCommanded(firstRunId: string, rows: CommandedRow[], now: number): Promise<void>;
  /**
   * Results with the reports and events they carry, and their evidence, in one transaction. `fresh` are the events among
   * them that say more than these results, the local revert of an earlier stage for instance; the inbox tells their
   * rollouts too, so that passing them on is quicker but not needed.
   */
  recordSettled(
    key: EvidenceKey,
    at: { stage: string; wave: number },
    settled: Settled[],
    now: number,
  ): Promise<{ fresh: FreshEvent[] }>;
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

  recordReport(report: SiteReport, now: number): Promise<void>;
  /**
   * Events of one site, idempotent by (site, epoch, sequence); a gap or a broken hash link throws nothing and is
   * recorded as evidence of it. Returns the results that were new, with the rollout that each belongs to.
   *
   * `delivery` names the activity that calls. With it, a retry after a crash between commit and answer gets the same
   * `fresh` again, so that no local revert is recorded and then told to nobody; without it, a retry gets none.
   */
  recordSiteEvents(
    report: SiteReport,
    events: SiteEvent[],
    now: number,
    delivery?: { runId: string; activityId: string },
  ): Promise<{ fresh: FreshEvent[]; anomalies: SiteAnomaly[] }>;
  /** Each entry once, by (site, epoch, priority, sequence), in whatever order; what is recorded without a hole but a gap. */
  recordOutbox(report: SiteReport, page: OutboxPage, now: number): Promise<OutboxAcks | undefined>;
  /** The latest entries of a site's outbox, and its gaps, oldest first. */
  siteOutbox(site: string, limit: number): Promise<{ entries: OutboxEntry[]; gaps: (OutboxGap & { epoch: number })[] }>;
  /** The latest anomalies of a site, newest first. */
  siteAnomalies(site: string, limit: number): Promise<SiteAnomaly[]>;
  /** By site: the agent that was refused last, why, and when that was first so. */
  refusedSpeakers(): Promise<Map<string, { code: string; detail: string; at: number }>>;
  reports(sites?: string[]): Promise<Map<string, KnownReport>>;
  /** The latest `limit` events of a site, in the order of its journal. */
  siteEvents(site: string, limit: number): Promise<SiteEvent[]>;
  /**
   * For each site the last sequence without a gap before it, of the latest epoch: what a command acknowledges. Epoch 0
   * for a site of which nothing was ever recorded. A gap that the site itself takes for acknowledged (`report.acked`) is
   * passed over, with an anomaly `gap`: a registry that was restored has lost those events, and nobody tells them again.
   */
  ackedThrough(sites: string[]): Promise<Map<string, { epoch: number; sequence: number }>>;

  block(block: Block): Promise<void>;
  blocks(stream: string): Promise<Block[]>;
  /**
   * From `now` on lifts with `site` the quarantine there, with `BLOCK_ALONE` the block of (stream, digest), and without
   * either the block and the quarantine at every site.
   */
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

  /**
   * Debts, owed reverts first, then the oldest. Opened where commands and dispositions are recorded (a revert when it is
   * commanded, a converge when it is owed or deferred), closed by the result, wherever that comes from.
   */
  debts(filter?: {
    stream?: string;
    site?: string;
    owner?: string;
    verb?: Verb;
    firstRunId?: string;
    limit?: number;
  }): Promise<Debt[]>;
  /** How many are open, by stream and verb: counted by the database. */
  debtTotals(): Promise<{ stream: string; verb: Verb; owner: string; count: number }[]>;
  /**
   * Sealing, by compare-and-set on the owner, in one transaction with `desired`. *promoted*: converge debts pass to
   * `catchUp`, and every site of the plan should run the release (a plan without `only` sets it for the whole stream, so
   * that new sites get it). Any other outcome: converge debts are cancelled, and the sites that confirmed and were sent no
   * revert keep what they have as desired, also those that confirm only later. Owed reverts always pass. A catch-up batch
   * leaves what is desired as it is. *halted* is no seal and changes nothing. Repeating it changes nothing and gives the
   * same answer, until the rollout goes on after all: by `adoptRun`, or by a status that is not sealed. Throws MistakeError `ROLLOUT_NOT_FOUND`.
   */
  handOver(firstRunId: string, outcome: RolloutOutcome, now: number): Promise<HandedOver>;
  /** By site: the later of its own and the stream's. Sites for which nothing was ever decided are absent. */
  desired(stream: string, sites: string[]): Promise<Map<string, Desired>>;
  /** What a site of which no plan has spoken should run: by the latest promoted rollout without `only`. */
  streamDesired(stream: string): Promise<Omit<Desired, 'site'> | undefined>;
  /** Streams for which anything is desired. */
  desiredStreams(): Promise<string[]>;
  /**
   * The site is known to have gone beyond what the registry knows (it was restored to an earlier point): what it reports
   * becomes what it should run, and the stream's generation is raised above its own. Never the reverse.
   */
  adoptLive(
    site: string,
    stream: string,
    live: { version: string; digest: string },
    generation: number,
    now: number,
  ): Promise<void>;
  /** Rollouts of the stream that are not sealed, with the sites of their plans; `of` on a catch-up batch. */
  runningPlans(
    stream: string,
  ): Promise<{ label: string; firstRunId: string; workflowId: string; sites: string[]; of?: string }[]>;
  /**
   * Every rollout that is not sealed or has not been handed over, oldest first; also one whose plan is frozen and that
   * has told nothing yet.
   */
  unsealedRollouts(): Promise<UnsealedRollout[]>;
  /** Its workflow was found in this namespace. One that is known already stays. */
  placeRollout(firstRunId: string, namespace: Namespace): Promise<void>;
  /** The latest catch-up batch that brought what the rollout `of` (its first run id) had decided. */
  latestBatch(of: string): Promise<RolloutStatus | undefined>;
  /**
   * Commands that were scheduled, over all rollouts of the stream, in that order. Without `sites`: to every site, which
   * with many rollouts is a long answer; name the `version` then.
   */
  commandsOf(stream: string, filter: { sites?: string[]; version?: string }): Promise<Commanded[]>;
  /** What happened, newest first. Without a filter: everywhere. */
  history(filter: HistoryFilter): Promise<HistoryEntry[]>;

  /** Returns it with its id. */
  putFreeze(freeze: Omit<Freeze, 'id' | 'lifted'>): Promise<Freeze>;
  /** Lifts those whose `only` is the same (absent: those without one); returns them. */
  liftFreezes(only: Selector | undefined, lifted: { at: number; by: string; reason: string }): Promise<Freeze[]>;
  /** In force at `now`. */
  freezes(now: number): Promise<Freeze[]>;

  /**
   * As `recordCommanded`, for members of redundancy groups: a site is left out, and nothing recorded of it, while a mate
   * may be changing. Judged and recorded at once: of two rollouts, or two workers, that ask for mates one gets them.
   */
  commandClearOfMates(
    firstRunId: string,
    rows: (CommandedRow & { group?: string })[],
    now: number,
  ): Promise<{ site: string; mate: ChangingMember }[]>;
  /** Members of these redundancy groups, of any stream, at which something may be changing. */
  changingMembers(groups: string[]): Promise<ChangingMember[]>;

  /** A person goes on with a run that was reset: `recordRun` answers with it from now on. */
  adoptRun(firstRunId: string, continuation: number, runId: string): Promise<void>;

  /** Who sites are (docs/decisions/0003): those ever enrolled, replaced, retired or doubted; every other is in epoch 1. */
  identities(sites?: string[]): Promise<Map<string, SiteIdentity>>;
  retiredSites(): Promise<Set<string>>;
  /** Ids of the sites of every fleet that was ever imported. */
  siteIdsEver(): Promise<Set<string>>;
  /** What was done to a site's identity, newest first. */
  identityChanges(site: string, limit: number): Promise<IdentityChange[]>;
  /** A token for the site's epoch. Throws MistakeError SITE_RETIRED, ENROLMENT_USED. */
  enrol(request: TokenRequest, now: number): Promise<SiteIdentity>;
  /** The next epoch, with a token for it. Throws MistakeError SITE_RETIRED. */
  replace(request: TokenRequest, now: number): Promise<SiteIdentity>;
  /** For good: its debts stand no more, its reports are refused. */
  retire(
    request: { site: string; by: string; reason: string },
    now: number,
  ): Promise<{ changed: boolean; cancelled: number; identity: SiteIdentity }>;
  /** As `ackedThrough`, with the hash of that event; a site of which nothing is recorded is absent. */
  acknowledged(sites: string[]): Promise<Map<string, Command['ackedThrough']>>;
  /** The latest signed keyset and the rotation under way. */
  controlKeys(): Promise<ControlKeys>;
  /** One step of a rotation. Throws MistakeError ROTATION_STEP if another came first. */
  stepKeys(step: KeyStep, now: number): Promise<void>;
  /** The public half (PEM) that the control worker signs with: with it, tokens prove themselves to an empty registry. */
  knowControlKey(publicPem: string, by: string, now: number): Promise<void>;

  putSamples(firstRunId: string, stage: string, wave: number, samples: Sample[]): Promise<void>;
  samples(firstRunId: string, stage?: string, wave?: number): Promise<(Sample & { stage: string; wave: number })[]>;

  /**
   * A retry repeats its entries: what it says differently is not recorded. One call an activity; an activity that
   * appends twice gives the second call another `activityId`, such as `<id>/seal`.
   */
  appendEvidence(key: EvidenceKey, drafts: EvidenceDraft[], now: number): Promise<void>;
  evidence(firstRunId: string): Promise<EvidenceEntry[]>;
  /** Where the chain ends, kept apart from it: entries cut off its end show against this. */
  evidenceHead(firstRunId: string): Promise<{ sequence: number; hash: string } | undefined>;
  /** For readers that need the recorded state of an unsettled command. */
  recordState(firstRunId: string, site: string, state: SiteState | null): Promise<void>;
}
