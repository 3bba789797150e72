/** The plan as the rollout workflow carries it: ids, patience and gates, without variables (those are read by activity). */
import type { LinkClass } from './fleet.js';
import type { PlanStage } from './plan.js';
import type { ReleaseRef } from './release.js';
import type { OnFailure } from './strategy.js';

/** `queue` only where it is not `site-<id>`; `group` is the redundancy group. */
export interface OutlineSite {
  id: string;
  link: string;
  queue?: string;
  group?: string;
}

export interface OutlineStage extends Omit<PlanStage, 'waves'> {
  waves: { sites: OutlineSite[]; hold?: true }[];
}

export interface PlanOutline {
  planDigest: string;
  label: string;
  generation: number;
  release: ReleaseRef;
  strategy: {
    name: string;
    owner: string;
    onFailure: OnFailure;
    onInconclusive: { within: number; then: OnFailure };
    /** Absent: sites fetch when they converge. */
    prefetch?: number;
  };
  links: Record<string, LinkClass>;
  stages: OutlineStage[];
}

/** What one shard is asked to do: at most 500 sites of one wave, or of one stage's undo. */
export interface ShardInput {
  workflowId: string;
  firstRunId: string;
  label: string;
  planDigest: string;
  release: ReleaseRef;
  verb: 'converge' | 'revert';
  /** For a converge the plan's generation; for a revert one more. */
  generation: number;
  try: number;
  /** Sites whose command has another try than `try`. */
  tries?: Record<string, number>;
  /** The rollout's run that asks. A converge is not issued for a run that was reset; a revert always is. */
  run?: { runId: string; continuation: number };
  stage: string;
  wave: number;
  shard: number;
  sites: OutlineSite[];
  links: Record<string, LinkClass>;
  settleWithin: 'link' | number;
  concurrency: number;
}

export const SHARD_SIZE = 500;
