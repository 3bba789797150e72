/** Workflows of temporal-measured.test.ts: small ones that do one thing of which design §4 says how Temporal does it. */
import {
  CancellationScope,
  condition,
  continueAsNew,
  defineSignal,
  isCancellation,
  proxyActivities,
  setHandler,
  startChild,
  type ActivityCancellationType,
  type ParentClosePolicy,
} from '@temporalio/workflow';
import type { SiteActivities } from '../../activities/contract.js';
import type { Page, Settled } from '../../policies/model/command.js';

export const letGoSignal = defineSignal('letGo');

/** What the activity answered, or `nothing` if it was cancelled without an answer. */
export async function observed(
  queue: string,
  page: Page,
  cancellationType: ActivityCancellationType,
  attemptMs = 60_000,
): Promise<Settled[] | 'nothing'> {
  const site = proxyActivities<SiteActivities>({
    taskQueue: queue,
    startToCloseTimeout: attemptMs,
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

/** As a rollout brings a command: attempts without limit. */
export async function brought(queue: string, page: Page): Promise<Settled[]> {
  const site = proxyActivities<SiteActivities>({
    taskQueue: queue,
    startToCloseTimeout: '10m',
    heartbeatTimeout: '2s',
    retry: { initialInterval: '500ms', backoffCoefficient: 1 },
  });
  return site.converge(page);
}

/** Open until somebody lets it go, or ends it. */
export async function open(): Promise<void> {
  let over = false;
  setHandler(letGoSignal, () => void (over = true));
  await condition(() => over);
}

/** Continues as new beside a child: open, or closed before. The run after it stays until it is let go. */
export async function parent(
  child: string,
  parentClosePolicy: ParentClosePolicy,
  closeFirst: boolean,
  isSecond = false,
): Promise<void> {
  if (isSecond) return open();
  const handle = await startChild(open, { workflowId: child, parentClosePolicy });
  if (closeFirst) {
    await handle.signal(letGoSignal);
    await handle.result();
  }
  await continueAsNew<typeof parent>(child, parentClosePolicy, closeFirst, true);
}

export const badSignal = defineSignal<[{ by: string }]>('bad');
export const abortSignal = defineSignal('abort');

/** Ends by `abort`; `careful`: what a bad payload does to the handler stays in it. */
export async function abortable(careful: boolean): Promise<string> {
  let aborted = false;
  const heard: string[] = [];
  setHandler(badSignal, (payload) => {
    try {
      heard.push(payload.by.toUpperCase());
    } catch (error) {
      if (!careful) throw error;
      heard.push('ignored');
    }
  });
  setHandler(abortSignal, () => void (aborted = true));
  await condition(() => aborted);
  return heard.join();
}
