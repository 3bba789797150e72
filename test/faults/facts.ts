/** What is judged of one seed: plain data from the sites' own logs, the registry, Temporal and the scripted Prometheus. */
import type { Command, Result } from '../../policies/model/command.js';
import type { Debt } from '../../policies/model/debt.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { Plan } from '../../policies/model/plan.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { CommandedSite, SiteRow } from '../../records/registry/registry.js';

/** One line of a site's own log, in the order in which it happened there. Times in epoch ms. */
export type SiteEntry =
  | { kind: 'command'; at: number; judged: 'same' | 'stale' | 'fresh'; command: Command }
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
  startedAt: number;
  closedAt?: number;
}

/** What one shard scheduled and learned, in the order of its history. */
export interface ShardHistory {
  workflowId: string;
  stage: string;
  wave: number;
  firstRunId: string;
  /** `site` of each converge scheduled, and of each result that came back. */
  steps: ({ kind: 'scheduled'; site: string } | { kind: 'settled'; site: string; result: Result })[];
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
