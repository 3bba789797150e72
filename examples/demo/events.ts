/** How many history events a rollout's shards took, from Temporal itself. */
import type { Client } from '@temporalio/client';

type History = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>;
type HistoryEvent = NonNullable<History['events']>[number];

export interface EventCount {
  /** Of shards that converge: activities scheduled, started and closed, and the workflow tasks that their closing caused. */
  converge: number;
  /** All events of all shards, those that undo included. */
  total: number;
}

/** Counts over every shard that the rollout started. */
export async function countShardEvents(client: Client, workflowId: string, firstRunId: string): Promise<EventCount> {
  const rollout = await client.workflow.getHandle(workflowId, firstRunId).fetchHistory();
  const shards = eventsOf(rollout).flatMap((event) => {
    const child = event.childWorkflowExecutionStartedEventAttributes;
    return child?.workflowType?.name === 'shard' ? [child.workflowExecution] : [];
  });
  const count: EventCount = { converge: 0, total: 0 };
  for (const shard of shards) {
    const handle = client.workflow.getHandle(shard?.workflowId ?? '', shard?.runId ?? undefined);
    const events = eventsOf(await handle.fetchHistory());
    if (!shard?.workflowId?.includes('/revert/')) count.converge += countConverge(events);
    count.total += events.length;
  }
  return count;
}

/**
 * A workflow task counts if a converge closed between the end of the task before it and its own start. The task that
 * schedules the first commands does not: it is there for any number of sites.
 */
export function countConverge(events: readonly HistoryEvent[]): number {
  const converges = new Set<string>();
  let count = 0;
  let closedSinceTask = false;
  for (const event of events) {
    if (event.activityTaskScheduledEventAttributes?.activityType?.name === 'converge') {
      converges.add(String(event.eventId));
      count += 1;
    }
    if (converges.has(String(scheduledIdOf(event)))) {
      count += 1;
      closedSinceTask ||= !event.activityTaskStartedEventAttributes;
    }
    // Its scheduling and its start; where a task is lost, those of the next attempt too.
    if (closedSinceTask && event.workflowTaskStartedEventAttributes) count += 2;
    if (closedSinceTask && event.workflowTaskCompletedEventAttributes) {
      count += 1;
      closedSinceTask = false;
    }
  }
  return count;
}

/** The scheduling event that the start or the end of an activity names. */
function scheduledIdOf(event: HistoryEvent): unknown {
  const attributes =
    event.activityTaskStartedEventAttributes ??
    event.activityTaskCompletedEventAttributes ??
    event.activityTaskFailedEventAttributes ??
    event.activityTaskTimedOutEventAttributes ??
    event.activityTaskCanceledEventAttributes;
  return attributes?.scheduledEventId;
}

function eventsOf(history: History): HistoryEvent[] {
  return history.events ?? [];
}
