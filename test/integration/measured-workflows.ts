/** Workflows of temporal-measured.test.ts: one observes a command, and lets go of it when told to. */
import {
  CancellationScope,
  defineSignal,
  isCancellation,
  proxyActivities,
  setHandler,
  type ActivityCancellationType,
} from '@temporalio/workflow';
import type { SiteActivities } from '../../activities/contract.js';
import type { Page, Settled } from '../../policies/model/command.js';

export const letGoSignal = defineSignal('letGo');

/** What the activity answered, or `nothing` if it was cancelled without an answer. */
export async function observed(
  queue: string,
  page: Page,
  cancellationType: ActivityCancellationType,
): Promise<Settled[] | 'nothing'> {
  const site = proxyActivities<SiteActivities>({
    taskQueue: queue,
    startToCloseTimeout: '60s',
    heartbeatTimeout: '2s',
    cancellationType,
    retry: { maximumAttempts: 1 },
  });
  const scope = new CancellationScope();
  setHandler(letGoSignal, () => scope.cancel());
  try {
    return await scope.run(() => site.converge(page));
  } catch (error) {
    if (isCancellation(error)) return 'nothing';
    throw error;
  }
}
