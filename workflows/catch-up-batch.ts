/** How the end of a batch, and what a signal asks for, change what the reconciler remembers. */
import { ApplicationFailure, ChildWorkflowFailure, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { CatchUpFacts } from '../policies/catch-up/facts.js';
import type { CatchUpMemory } from '../policies/catch-up/next.js';
import type { RolloutRequest } from '../policies/model/rollout.js';
import type { Decision } from '../policies/rollout/decide.js';
import type { Reason } from '../policies/model/verdict.js';

const [SOON, FIRST, MOST] = [5_000, 60_000, 3_600_000];
const ASKED_MOST = 1_000;

type Refusal = CatchUpMemory['refused'][string];

/**
 * A batch that was refused changed nothing at any site: it is tried again, less and less often. How one that was reverted,
 * aborted or terminated goes on is in the registry, where a person's word is. Rethrows what is no end of a batch.
 */
export function endOfBatch(error: unknown, times: number, now: number): Refusal | undefined {
  if (error instanceof WorkflowExecutionAlreadyStartedError) return otherRuns(times, now, 'another batch is running');
  if (!(error instanceof ChildWorkflowFailure)) throw error;
  const { cause } = error;
  if (!(cause instanceof ApplicationFailure) || cause.type !== 'RolloutRefused') return undefined;
  const reason = (cause.details?.[0] as Reason | undefined) ?? { code: 'BEGIN_FAILED', detail: cause.message };
  if (reason.code === 'STREAM_LOCKED') return otherRuns(times, now, reason.detail);
  return { times: times + 1, until: now + Math.min(MOST, FIRST * 2 ** Math.min(times, 20)), reason };
}

/** Its plan may not be frozen yet, so that the registry does not show it: looked at again soon. */
function otherRuns(times: number, now: number, detail: string): Refusal {
  return { times, until: now + SOON, reason: { code: 'STREAM_LOCKED', detail } };
}

/**
 * A batch of which nobody got there is over: its sites are owed as before, and nothing is there to judge. A person's
 * rollout would wait for a person instead.
 */
export function isOverForNow(request: RolloutRequest, { kind, reason }: Decision): boolean {
  return request.catchUp !== undefined && kind === 'wait' && reason.code === 'NO_CONFIRMED_SITE';
}

/** A batch that this run of the reconciler has begun. */
export interface OpenBatch {
  workflowId: string;
  ended: boolean;
}

/**
 * No second one is decided beside it: the registry does not know it until its plan is frozen, and what was read before
 * its end is not what it left.
 */
export function beside(batch: OpenBatch | undefined, facts: CatchUpFacts): CatchUpFacts {
  if (!batch || facts.running) return facts;
  const { workflowId } = batch;
  return { ...facts, running: { label: workflowId, workflowId, isCatchUp: true } };
}

export function forget(memory: CatchUpMemory, of: string): void {
  memory.refused = Object.fromEntries(Object.entries(memory.refused).filter(([key]) => key !== of));
}

/** Sites of `{"retry": [...]}` that were not asked for yet. Never throws: anyone can signal anything. */
export function readAsked(payload: unknown, memory: CatchUpMemory): string[] {
  if (typeof payload !== 'object' || payload === null) return [];
  const { retry } = payload as { retry?: unknown };
  if (!Array.isArray(retry)) return [];
  const fresh = retry.filter((site): site is string => typeof site === 'string' && !memory.asked.includes(site));
  return [...new Set(fresh)].slice(0, Math.max(0, ASKED_MOST - memory.asked.length));
}
