/** What sites should run, and what they still owe (design §2 "debt", §4.7; promise 4). Times in epoch ms. */
import type { SiteState, Verb } from './command.js';
import type { Selector } from './strategy.js';
import type { Reason } from './verdict.js';

/** The owner of debts that no rollout has any more. */
export const CATCH_UP = 'catchUp';

/** Workflow id of the reconciler of a stream: one per stream, so that no site has two owners. */
export function catchUpId(stream: string): string {
  return `foothold/catch-up/${stream}`;
}

/** Workflow id of the batch that the reconciler of a stream carries out: fixed, so that there is never a second one. */
export function batchId(stream: string): string {
  return `${catchUpId(stream)}/batch`;
}

/**
 * A converge or a revert that a site still owes. One converge at most for (site, stream): a newer one takes its place.
 * Reverts stand beside each other, one for each rollout that left one.
 */
export interface Debt {
  site: string;
  stream: string;
  verb: Verb;
  /** Of the rollout that left it. */
  firstRunId: string;
  workflowId: string;
  label: string;
  release: { version: string; digest: string };
  planDigest: string;
  stage: string;
  wave: number;
  generation: number;
  /** Of the latest command for it; 0 if none was ever scheduled. */
  try: number;
  commandId?: string;
  /** Workflow id of the shard that carries the command, if any ever did. */
  carrier?: string;
  /** First run id of the rollout that may command the site for it, or `catchUp`. Nobody else may. */
  owner: string;
  reason: Reason;
  /** When it was first owed. */
  since: number;
  /** Last known state of its command; null: never received. */
  state?: SiteState | null;
  /** A deferred one is scheduled again then. */
  until?: number;
}

/** What a site should run of a stream, and which rollout decided so. */
export interface Desired {
  site: string;
  stream: string;
  release: { version: string; digest: string };
  planDigest: string;
  /** Of the rollout that was sealed with it. */
  firstRunId: string;
  label: string;
  generation: number;
  /** The stage of the plan that the site was in; absent for a site that no plan has named. */
  stage?: string;
  since: number;
}

/** No new switch at the sites that it selects, by anything, until it is lifted or its time is over; undo never waits. */
export interface Freeze {
  /** `freeze-<n>` */
  id: string;
  /** Absent: every site. */
  only?: Selector;
  until: number;
  by: string;
  reason: string;
  at: number;
  lifted?: { at: number; by: string; reason: string };
}

/** What sealing did with the debts of a rollout. */
export interface HandedOver {
  stream: string;
  /** Now owned by `catchUp`. */
  passed: { converge: number; revert: number };
  /** Converges that nobody owes any more, because the rollout was not promoted. */
  cancelled: number;
}
