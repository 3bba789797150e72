/**
 * The direct link of a site: an activity-only Temporal worker on the site's own queue, beside the agent. It may be
 * absent for weeks; the agent does not notice.
 */
import { Client } from '@temporalio/client';
import { Worker, type NativeConnection, type WorkerOptions } from '@temporalio/worker';
import { createSiteActivities } from '../activities/site/converge.js';
import type { SiteDoor } from '../policies/model/site-door.js';
import { causeOf, connectPatiently, pause, type Patience, type TemporalSettings } from './connection.js';
import type { Log } from './log.js';
import { keepDelivering } from './site-delivery.js';

export interface SiteLinkOptions {
  site: string;
  queue: string;
  door: SiteDoor;
  /** Streams that the site runs: two observers each (a converge and the revert that replaces it), and two to spare. */
  streams: number;
  temporal: TemporalSettings;
  patience: Patience;
  log: Log;
}

const STATE_POLL_MS = 1_000;

/** Keeps the link up until `signal` is aborted. Never throws: whatever fails is named, and tried again. */
export async function runSiteLink(options: SiteLinkOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const connection = await connectPatiently(options.temporal, options.patience, signal, options.log);
    if (!connection) return;
    try {
      await serve(options, connection, signal);
    } catch (error) {
      options.log.warn({ cause: causeOf(error) }, 'the link ended; it is built anew');
    }
    await connection.close().catch((error: unknown) => options.log.debug({ cause: causeOf(error) }, 'not closed'));
    await pause(options.patience.firstMs, signal);
  }
}

async function serve(options: SiteLinkOptions, connection: NativeConnection, signal: AbortSignal): Promise<void> {
  const { namespace } = options.temporal;
  const worker = await Worker.create({ ...siteWorkerOptions(options), connection, namespace });
  const ended = new AbortController();
  const client = new Client({ connection, namespace });
  const delivering = keepDelivering({ ...options, client }, ended.signal);
  try {
    await untilWorkerEnds(worker, signal);
  } finally {
    ended.abort();
    await delivering;
  }
}

/** Everything about a site's worker but its connection. */
export function siteWorkerOptions(options: Pick<SiteLinkOptions, 'site' | 'queue' | 'door' | 'streams'>) {
  return {
    taskQueue: options.queue,
    identity: `site-${options.site}`,
    activities: createSiteActivities(options.door, Date.now),
    maxConcurrentActivityTaskExecutions: 2 * options.streams + 2,
    // `maxConcurrentActivityTaskPolls` is never read by SDK 1.24: without this a site would hold ten polls.
    activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 1 },
    shutdownGraceTime: '1s',
    shutdownForceTime: '3s',
  } satisfies WorkerOptions;
}

/** `run()` of an activity-only worker that has FAILED never settles (measured): its state is watched instead. */
async function untilWorkerEnds(worker: Worker, signal: AbortSignal): Promise<void> {
  let over = false;
  const running = worker.run().finally(() => (over = true));
  running.catch(() => undefined);
  while (!over && !signal.aborted) {
    if (worker.getState() === 'FAILED') throw new Error('the Temporal worker has failed: credential or namespace');
    await pause(STATE_POLL_MS, signal);
  }
  if (!over) worker.shutdown();
  await running;
}
