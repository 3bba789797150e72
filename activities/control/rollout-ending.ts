/** What Temporal says of a rollout that the registry takes for running. */
import { WorkflowFailedError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { hasEnded, type RolloutOutcome } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { UnsealedRollout } from '../../records/registry/registry.js';

export interface RolloutEnding {
  outcome: RolloutOutcome;
  reason: Reason;
  /** The person whose word it is; absent: nobody's. */
  by?: string;
  /** The run that ended, where Temporal knows one: a rollout that was reset may end again. */
  runId?: string;
  /** By Temporal's clock, as is whatever a run that was reset tells after it. */
  endedAt?: number;
}

/** `open`: a run that was reset, or is paused, is one. `gone`: this namespace knows no run of it. */
export type Found = { is: 'open' } | { is: 'gone' } | { is: 'ended'; ending: RolloutEnding };

/** An error of Temporal is thrown, and ends nothing. */
export async function findRun(
  client: Client,
  rollout: Pick<UnsealedRollout, 'workflowId' | 'firstRunId'>,
): Promise<Found> {
  const { workflowId, firstRunId } = rollout;
  const latest = await describe(client, workflowId);
  if (!latest) return { is: 'gone' };
  if (latest.firstRunId === firstRunId) {
    return hasEnded(latest.status) ? ended(client, workflowId, latest) : { is: 'open' };
  }
  const own = await describe(client, workflowId, firstRunId);
  if (!own) return { is: 'gone' };
  // The workflow id belongs to another rollout by now, which began after ours had ended.
  return hasEnded(own.status) || own.status === 'CONTINUED_AS_NEW' ? ended(client, workflowId, own) : { is: 'open' };
}

async function ended(client: Client, workflowId: string, run: Described): Promise<Found> {
  const { runId, endedAt } = run;
  const ending = await endingOf(client, workflowId, run);
  return { is: 'ended', ending: { ...ending, runId, ...(endedAt !== undefined && { endedAt }) } };
}

interface Described {
  runId: string;
  firstRunId: string;
  status: string;
  endedAt?: number;
}

async function describe(client: Client, workflowId: string, runId?: string): Promise<Described | undefined> {
  try {
    const described = await client.workflow.getHandle(workflowId, runId).describe();
    const firstRunId = described.raw.workflowExecutionInfo?.firstRunId;
    const { closeTime, status } = described;
    const closed = closeTime ? { endedAt: closeTime.getTime() } : {};
    return { runId: described.runId, firstRunId: firstRunId ?? described.runId, status: status.name, ...closed };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** `word`: of the person who gave it up, where this Temporal is not the one that it ran in. */
export function unknownEnding(
  { workflowId, namespace }: UnsealedRollout,
  word?: { by: string; reason: string },
): RolloutEnding {
  const where = namespace ? ` in the namespace ${namespace.name} (${namespace.id})` : '';
  const why = word ? `given up by ${word.by}: ${word.reason}` : 'deleted, or past its retention';
  const reason: Reason = { code: 'WORKFLOW_UNKNOWN', detail: `${workflowId} is not there${where}: ${why}` };
  return { outcome: 'terminated', reason, ...(word && { by: word.by }) };
}

/** An end that the workflow itself had recorded is missing here only if the registry was restored to before it. */
async function endingOf(client: Client, workflowId: string, { runId, status }: Described): Promise<RolloutEnding> {
  if (status === 'COMPLETED') {
    const detail = 'Temporal says that it was promoted; the registry did not know';
    return { outcome: 'promoted', reason: { code: 'GATE_PASSED', detail } };
  }
  if (status === 'FAILED') return failureOf(client, workflowId, runId);
  return {
    outcome: 'terminated',
    reason: { code: 'TERMINATED', detail: await whoEnded(client, workflowId, runId, status) },
  };
}

const OUTCOMES: Record<string, RolloutOutcome> = {
  RolloutReverted: 'reverted',
  RolloutAborted: 'aborted',
  RolloutRefused: 'refused',
};

async function failureOf(client: Client, workflowId: string, runId: string): Promise<RolloutEnding> {
  const error: unknown = await client.workflow
    .getHandle(workflowId, runId)
    .result()
    .then(
      () => undefined,
      (failure: unknown) => failure,
    );
  if (!(error instanceof WorkflowFailedError)) throw error;
  const { cause } = error;
  const outcome = cause instanceof ApplicationFailure ? OUTCOMES[cause.type ?? ''] : undefined;
  const detail = `Temporal says: ${cause?.message ?? 'it failed'}`;
  if (!outcome) return { outcome: 'terminated', reason: { code: 'TERMINATED', detail } };
  return { outcome, reason: { code: outcome === 'reverted' ? 'REVERT_REQUESTED' : 'ABORTED', detail } };
}

const CLOSE_EVENT = 2;

async function whoEnded(client: Client, workflowId: string, runId: string, status: string): Promise<string> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    historyEventFilterType: CLOSE_EVENT,
  });
  const told = history?.events?.at(-1)?.workflowExecutionTerminatedEventAttributes;
  if (!told) return `Temporal says ${status}`;
  return `by ${told.identity || 'nobody named'}: ${told.reason || 'no reason given'}`;
}
