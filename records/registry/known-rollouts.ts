/** Rollouts: their plans, generations and runs, how they stand, what was judged, and their evidence. */
import type { EvidenceDraft, EvidenceEntry, EvidenceKey } from '../../policies/model/evidence.js';
import type { Finding, FrozenPlan } from '../../policies/model/plan.js';
import type { RolloutStatus, SiteOutcome } from '../../policies/model/rollout.js';
import type { Selector } from '../../policies/model/strategy.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { CommandedRow } from './known-sites.js';

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

/** Of Temporal. One that was made anew has the same name and another id. */
export interface Namespace {
  name: string;
  id: string;
}

/** A site at which a command of a running rollout may still change something. */
export interface ChangingMember {
  site: string;
  group: string;
  /** Label of the rollout. */
  rollout: string;
}

export interface EndedRollout {
  /** The status to seal it with, outcome included. */
  sealed: RolloutStatus;
  /** `updatedAt` of its status as it was; absent: it had told nothing. */
  seenAt?: number;
  /** The run that ended. */
  runId: string;
  /** Sites that were commanded and have not answered. */
  unheard: { site: string; commandId: string; outcome: SiteOutcome }[];
  evidence: EvidenceDraft;
}

export interface KnownRollouts {
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
  /**
   * Seals a rollout whose workflow has ended, by compare-and-set on what it had told (`seenAt`) when Temporal was asked: a run
   * that was reset meanwhile and has spoken since goes on. False, and nothing is recorded, if it has or is sealed already.
   */
  sealEnded(ended: EndedRollout, now: number): Promise<boolean>;
  /** By label, first run id, workflow id, or stream (then the running one, else the latest). */
  findRollout(reference: string): Promise<RolloutStatus | undefined>;
  rollouts(filter?: { stream?: string; running?: boolean; limit?: number }): Promise<RolloutStatus[]>;
  putFindings(firstRunId: string, findings: Finding[]): Promise<void>;
  findings(firstRunId: string): Promise<Finding[]>;
  /** Rollouts of the stream that are not sealed, with the sites of their plans; `of` on a catch-up batch. */
  runningPlans(
    stream: string,
  ): Promise<{ label: string; firstRunId: string; workflowId: string; sites: string[]; of?: string }[]>;
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
  /** A run of it was reset: `recordRun` answers with no run from now on, until a person goes on with one. */
  disownRuns(firstRunId: string, continuation: number): Promise<void>;
  /** A person goes on with this run: `recordRun` answers with it from now on. False, and nothing changed: it answers with another. */
  adoptRun(firstRunId: string, continuation: number, runId: string): Promise<boolean>;
  putSamples(firstRunId: string, stage: string, wave: number, samples: Sample[]): Promise<void>;
  samples(firstRunId: string, stage?: string, wave?: number): Promise<(Sample & { stage: string; wave: number })[]>;
  /**
   * A retry repeats its entries: what it says differently is not recorded. One call an activity; an activity that
   * appends twice gives the second call another `activityId`, such as `<id>/seal`.
   */
  appendEvidence(key: EvidenceKey, drafts: EvidenceDraft[], now: number): Promise<void>;
  /** All of it, or that of one kind. */
  evidence(firstRunId: string, kind?: string): Promise<EvidenceEntry[]>;
  /** Where the chain ends, kept apart from it: entries cut off its end show against this. */
  evidenceHead(firstRunId: string): Promise<{ sequence: number; hash: string } | undefined>;
}
