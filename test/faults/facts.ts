/** What is judged of one seed: plain data from the sites' own logs, the registry, Temporal and the scripted Prometheus. */
import type { Command, Result } from '../../policies/model/command.js';
import type { Debt } from '../../policies/model/debt.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { Plan } from '../../policies/model/plan.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { NotTaken } from '../../policies/site/not-taken.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { CommandedSite, SiteRow } from '../../records/registry/registry.js';

/** One line of a site's own log, in the order in which it happened there. Times in epoch ms. */
export type SiteEntry =
  /** Taken in. `epoch`: of the agent; `signedBy`: ids of the keys that the command came with. */
  | {
      kind: 'command';
      at: number;
      judged: 'same' | 'stale' | 'fresh';
      command: Command;
      epoch: number;
      signedBy: string[];
    }
  | { kind: 'refused'; at: number; epoch: number; command: Command; reason: NotTaken }
  /** A new box is in the place of the one before; `live` is what it came with. */
  | { kind: 'replaced'; at: number; epoch: number; live: string }
  | { kind: 'result'; at: number; result: Result }
  | { kind: 'switch'; at: number; from: string; to: string; commandId: string; why: string };

/** One answer of the scripted Prometheus to the gate's query. */
export interface GivenAnswer {
  stage: string;
  /** The time that was asked about. */
  at: number;
  value: number | 'nothing' | 'error';
}

/** A workflow execution as the server keeps it. */
export interface Run {
  workflowId: string;
  type: string;
  runId: string;
  running: boolean;
  /** The run after it is its own continuation. */
  continued?: boolean;
  startedAt: number;
  closedAt?: number;
}

/** What one shard scheduled and learned, in the order of its history. */
export interface ShardHistory {
  workflowId: string;
  stage: string;
  wave: number;
  firstRunId: string;
  startedAt: number;
  /** `site` of each converge scheduled, and of each result that came back. Times by the server. */
  steps: (
    | { kind: 'scheduled'; at: number; site: string; commandId: string }
    | { kind: 'settled'; at: number; site: string; result: Result }
  )[];
}

/** A site that was given its next epoch: `at` is when the registry had said so. */
export interface Replacement {
  site: string;
  epoch: number;
  at: number;
}

/** A control key that signs nothing any more: `at` is when the rotation had ended. */
export interface Rotation {
  oldKeyId: string;
  at: number;
}

export interface RolloutFacts {
  firstRunId: string;
  workflowId: string;
  status: RolloutStatus;
  plan: Plan;
  evidence: EvidenceEntry[];
  head: { sequence: number; hash: string } | undefined;
  rows: SiteRow[];
  commanded: CommandedSite[];
  samples: (Sample & { stage: string; wave: number })[];
}

export interface SeedFacts {
  seed: number;
  stream: string;
  /** Digest that was live everywhere before the first rollout. */
  before: string;
  sites: Record<string, SiteEntry[]>;
  rollouts: RolloutFacts[];
  shards: ShardHistory[];
  runs: Run[];
  answers: GivenAnswer[];
  replacements: Replacement[];
  rotations: Rotation[];
  /** Epoch of the report that the centre believes of each site, after all. */
  believed: Record<string, number>;
  /** When the last rollout had closed and dark sites were still dark. */
  debtsAtSeal: { at: number; debts: Debt[] };
  /** After every site was back and the centre had its time. */
  debtsAtEnd: { at: number; debts: Debt[] };
}

export interface Violation {
  seed: number;
  invariant: string;
  detail: string;
}
