/** The floor: the least that Temporal can be asked for the same work, one activity a site from a sliding window. */
import { proxyActivities } from '@temporalio/workflow';

export interface FloorShard {
  queues: string[];
  window: number;
}

export async function floorShard({ queues, window }: FloorShard): Promise<void> {
  const waiting = [...queues];
  const slot = async () => {
    for (let taskQueue = waiting.shift(); taskQueue !== undefined; taskQueue = waiting.shift()) {
      const site = { taskQueue, startToCloseTimeout: '10m', allowEagerDispatch: false } as const;
      await proxyActivities<{ noop(): Promise<void> }>(site).noop();
    }
  };
  await Promise.all(Array.from({ length: window }, slot));
}
