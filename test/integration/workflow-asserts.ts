/** What the tests of the workflows ask again and again: waiting, failures, and what the history of a workflow says. */
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { WorkflowStage } from './workflow-stage.js';

export type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

export const asker = { by: 'test', reason: 'to see it happen' };

export async function failureOf(result: Promise<unknown>): Promise<ApplicationFailure> {
  const error = await result.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure) return error.cause;
  throw new Error(`expected a failed workflow, got ${String(error)}`);
}

/** Patience, not a bound: a machine that runs other servers at the same time may lose ten seconds more than once. */
const PATIENCE_MS = 60_000;

export async function until<T>(
  read: () => Promise<T | undefined> | T | undefined,
  words: string | (() => string),
  within = PATIENCE_MS,
): Promise<T> {
  const end = Date.now() + within;
  while (Date.now() < end) {
    const value = await read();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for: ${typeof words === 'string' ? words : words()}`);
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Commands that these sites received, in order. */
export function commandsOf(stage: WorkflowStage, sites: string[]): string[] {
  return stage.seen.commands.filter((line) => sites.includes(line.split(' ')[1] ?? ''));
}

export function received(stage: WorkflowStage, line: string, times = 1): Promise<true> {
  return until(() => stage.seen.commands.filter((one) => one === line).length >= times || undefined, line);
}

export async function statusOf(handle: WorkflowHandle): Promise<RolloutStatus | null> {
  return handle.query<RolloutStatus | null>('status');
}

/** The status of the rollout once `judge` holds of it; a failure says how it stood last. */
export function seen(
  handle: WorkflowHandle,
  judge: (status: RolloutStatus) => boolean,
  words: string,
  within?: number,
): Promise<RolloutStatus> {
  let last: RolloutStatus | null = null;
  const read = async () => {
    last = await statusOf(handle).catch(() => null);
    return last && judge(last) ? last : undefined;
  };
  const stood = () => JSON.stringify({ state: last?.state, wait: last?.wait, prefetch: last?.prefetch });
  return until(read, () => `${words}; last seen: ${stood()}`, within);
}

export function waitFor(handle: WorkflowHandle, code: string, within?: number): Promise<RolloutStatus> {
  return seen(handle, ({ wait }) => wait?.reason.code === code, `the wait ${code}`, within);
}

export async function historyOf(stage: WorkflowStage, workflowId: string, runId?: string): Promise<HistoryEvent[]> {
  const history = await stage.client.workflow.getHandle(workflowId, runId).fetchHistory();
  return history.events ?? [];
}

/** Ids of the child workflows that a history began and whose end it does not tell. */
export function openChildren(events: HistoryEvent[]): string[] {
  const open = new Map<string, string>();
  for (const event of events) {
    const started = event.childWorkflowExecutionStartedEventAttributes?.workflowExecution;
    if (started) open.set(started.runId ?? '', started.workflowId ?? '');
    const ended =
      event.childWorkflowExecutionCompletedEventAttributes ??
      event.childWorkflowExecutionFailedEventAttributes ??
      event.childWorkflowExecutionCanceledEventAttributes ??
      event.childWorkflowExecutionTerminatedEventAttributes ??
      event.childWorkflowExecutionTimedOutEventAttributes;
    if (ended) open.delete(ended.workflowExecution?.runId ?? '');
  }
  return [...open.values()];
}

export function timeOf(event: HistoryEvent | undefined): number {
  const { seconds, nanos } = event?.eventTime ?? {};
  return Number(seconds ?? NaN) * 1_000 + (nanos ?? 0) / 1e6;
}

/** Starts a new run of the workflow from a workflow task of its history, as `temporal workflow reset` does. */
export async function resetTo(
  stage: WorkflowStage,
  workflowId: string,
  pick: (events: HistoryEvent[]) => HistoryEvent | undefined,
): Promise<string> {
  const { runId } = await stage.client.workflow.getHandle(workflowId).describe();
  const event = pick(await historyOf(stage, workflowId, runId));
  if (!event) throw new Error('there is no such workflow task to reset to');
  const answer = await stage.client.workflowService.resetWorkflowExecution({
    namespace: stage.server.namespace,
    workflowExecution: { workflowId, runId },
    workflowTaskFinishEventId: event.eventId ?? null,
    requestId: `reset-${String(event.eventId)}-${runId}`,
    reason: 'test',
  });
  return answer.runId;
}

/** The last workflow task that had ended when `mark` was written, and before it. */
export function taskBefore(mark: (event: HistoryEvent) => boolean) {
  return (events: HistoryEvent[]): HistoryEvent | undefined => {
    const at = events.findIndex(mark);
    return events.slice(0, at).findLast((event) => event.workflowTaskCompletedEventAttributes);
  };
}

/** A test that failed must not hold the stream against the next one. */
export async function freeTheStream(stage: WorkflowStage): Promise<void> {
  const lock = await stage.client.workflow
    .getHandle('foothold/stream/edge-proxy')
    .describe()
    .catch(() => undefined);
  const holder = lock?.memo?.['holder'] as { workflowId: string } | undefined;
  if (lock?.status.name !== 'RUNNING' || !holder) return;
  await stage.client.workflow
    .getHandle(holder.workflowId)
    .terminate('its test is over')
    .catch(() => undefined);
  await pause(500);
}

/** The commands that the Temporal UI shows of the rollout now. */
export async function offered(handle: WorkflowHandle): Promise<string[]> {
  const query = '__temporal_workflow_metadata';
  const { currentDetails } = await handle.query<{ currentDetails?: string }>(query);
  return [...(currentDetails ?? '').matchAll(/`foothold ([^`]*) --reason …`/g)].map(([, command]) => command ?? '');
}
