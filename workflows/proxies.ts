/** Every activity proxy, named by its patience. */
import { ActivityCancellationType, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { ControlActivities, SiteActivities } from '../activities/contract.js';

const SHORT = {
  startToCloseTimeout: '10s',
  retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '10s' },
} as const;

/** Short central effects that must happen: retried for ever, because a record that is not written holds changes. */
export const patient = proxyActivities<ControlActivities>(SHORT);

/**
 * Within the workflow's own task, for short central effects of workflows that are begun by the hundred: neither a task nor a
 * queue of their own. Two tries, then it fails: a registry that is away is waited for by `patient`.
 */
export const atOnce = proxyLocalActivities<ControlActivities>({
  startToCloseTimeout: '5s',
  retry: { initialInterval: '200ms', maximumAttempts: 2 },
});

/** What somebody says again in another way if it is given up. */
export const forQuarterHour = proxyActivities<ControlActivities>({ ...SHORT, scheduleToCloseTimeout: '15m' });

/** Before anything runs: the world gets a minute or so, then the rollout is refused with the reason. */
export const atStart = proxyActivities<ControlActivities>({
  startToCloseTimeout: '60s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s', maximumAttempts: 6 },
});

/** The gate's sampler lives as long as its soak; it resumes from the registry when its worker dies. */
export function gateSampler(soakMs: number, summary: string): Pick<ControlActivities, 'sampleGate'> {
  return proxyActivities<ControlActivities>({
    startToCloseTimeout: soakMs + 120_000,
    heartbeatTimeout: '10s',
    retry: { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '5s' },
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    summary,
  });
}

/**
 * A wish for files: handed over, and nothing is observed. Whom it does not reach before `withinMs` fetches later. Its end is
 * of no interest to a rollout that goes on or is stopped, so nobody waits for it.
 */
export function prefetchAtSite(queue: string, withinMs: number, summary: string): SiteActivities {
  return proxyActivities<SiteActivities>({
    taskQueue: queue,
    startToCloseTimeout: '60s',
    scheduleToCloseTimeout: withinMs,
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '60s' },
    cancellationType: ActivityCancellationType.ABANDON,
    allowEagerDispatch: false,
    summary,
  });
}

export interface SitePatience {
  queue: string;
  heartbeatMs: number;
  /** Undefined: waits until the site comes back, however long. */
  startWithinMs?: number;
  attemptMs: number;
  /** Over all attempts; undefined: without limit. The server ends the observer then, and knows its last state. */
  settleMs?: number;
  summary: string;
}

/**
 * A command to a site: attach and observe. Attempts die with the link and are retried without limit.
 * WAIT_CANCELLATION_COMPLETED because TRY_CANCEL was measured to drop the result and the state.
 */
export function atSite(patience: SitePatience): SiteActivities {
  return proxyActivities<SiteActivities>({
    taskQueue: patience.queue,
    heartbeatTimeout: patience.heartbeatMs,
    startToCloseTimeout: patience.attemptMs,
    ...(patience.startWithinMs === undefined ? {} : { scheduleToStartTimeout: patience.startWithinMs }),
    ...(patience.settleMs === undefined ? {} : { scheduleToCloseTimeout: patience.settleMs }),
    retry: { initialInterval: '500ms', backoffCoefficient: 1.5, maximumInterval: '5s' },
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    allowEagerDispatch: false,
    summary: patience.summary,
  });
}
