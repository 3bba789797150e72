/** What the histories of shards say: from when to when they worked, and how many events that took. Pure, but for reading. */
import type { Client } from '@temporalio/client';
import { countConverge } from '../../examples/demo/events.js';

type History = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>;
export type HistoryEvent = NonNullable<History['events']>[number];

/** Times in epoch ms of the server's clock. */
export interface Counted {
  from: number;
  to: number;
  /** Attributable to the activity of the sites: scheduled, started, closed, and the workflow tasks that they caused. */
  ofSites: number;
  total: number;
}

export async function readHistory(client: Client, workflowId: string, runId?: string): Promise<HistoryEvent[]> {
  return (await client.workflow.getHandle(workflowId, runId).fetchHistory()).events ?? [];
}

/** The shards that a rollout started, as their histories. */
export async function readShards(client: Client, rolloutId: string): Promise<HistoryEvent[][]> {
  const started = (await readHistory(client, rolloutId)).flatMap((event) => {
    const child = event.childWorkflowExecutionStartedEventAttributes;
    return child?.workflowType?.name === 'shard' ? [child.workflowExecution] : [];
  });
  return Promise.all(started.map((shard) => readHistory(client, shard?.workflowId ?? '', shard?.runId ?? undefined)));
}

/** From the first `first` activity scheduled to the last `last` activity completed, over all histories. */
export function countHistories(histories: HistoryEvent[][], first: string, last: string): Counted {
  const counted: Counted = { from: Infinity, to: -Infinity, ofSites: 0, total: 0 };
  for (const events of histories) {
    const names = new Map<string, string>();
    for (const event of events) {
      const scheduled = event.activityTaskScheduledEventAttributes?.activityType?.name;
      if (typeof scheduled === 'string') names.set(String(event.eventId), scheduled);
      if (scheduled === first) counted.from = Math.min(counted.from, timeOf(event));
      const completed = event.activityTaskCompletedEventAttributes?.scheduledEventId;
      if (completed && names.get(String(completed)) === last) counted.to = Math.max(counted.to, timeOf(event));
    }
    counted.ofSites += countConverge(events);
    counted.total += events.length;
  }
  return counted;
}

function timeOf({ eventTime }: HistoryEvent): number {
  return Number(eventTime?.seconds ?? NaN) * 1_000 + (eventTime?.nanos ?? NaN) / 1e6;
}
