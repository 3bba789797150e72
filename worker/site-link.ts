/**
 * The direct link of a site: an activity-only Temporal worker on the site's own queue, beside the agent. It may be
 * absent for weeks; the agent does not notice.
 */
import { Client } from '@temporalio/client';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { createSiteActivities, type Asker } from '../activities/site/converge.js';
import { retryPause, type LinkState, type LinkTimers } from '../policies/model/link.js';
import type { SiteDoor } from '../policies/model/site-door.js';
import {
  causeOf,
  closeConnection,
  connectPatiently,
  pause,
  type Connected,
  type TemporalSettings,
} from './connection.js';
import { Due } from './due.js';
import type { Log } from './log.js';
import { Announced, keepDelivering, type DeliveryOptions } from './site-delivery.js';

export interface SiteLinkOptions {
  site: string;
  queue: string;
  door: SiteDoor;
  /** Streams that the site runs: two observers each (a converge and the revert that replaces it), and two to spare. */
  streams: number;
  /** Read again and again: a profile that is mended and a certificate that is renewed need no restart. May throw. */
  readTemporal: () => TemporalSettings;
  timers: LinkTimers;
  /** Hears how the link stands, at every change and every failure. */
  onState?: (state: LinkState) => void;
  log: Log;
  /** How often the settings are compared with those in use, ms. */
  settingsEvery?: number;
}

const STATE_POLL_MS = 1_000;
const SETTINGS_EVERY_MS = 10_000;
/** A link that held for this long begins anew with its patience. */
const HELD_MS = 60_000;
const ASK_WITHIN_MS = 5_000;

/** Keeps the link up until `signal` is aborted. Never throws: whatever fails is named, and tried again. */
export async function runSiteLink(options: SiteLinkOptions, signal: AbortSignal): Promise<void> {
  const { log, timers } = options;
  const standing = new Standing(options.onState);
  const announced = new Announced();
  for (let failures = 0; !signal.aborted;) {
    const failed = (cause: string, tries: number) => standing.down(cause, failures + tries);
    const connected = await connectPatiently(options.readTemporal, timers, signal, log, failed);
    if (!connected) return;
    const held: Held = { now: connected };
    const began = performance.now();
    try {
      await serve({ ...options, announced }, held, standing, signal);
    } catch (error) {
      failures = performance.now() - began < HELD_MS ? failures + 1 : 1;
      const cause = await nameCause(held.now, error);
      standing.down(cause, failures);
      log.warn({ cause }, 'the link ended; it is built anew');
    }
    await closeAndTell(held.now, log);
    await pause(retryPause(timers, failures, Math.random()), signal);
  }
}

/** The connection in use: another takes its place when the settings have changed. */
interface Held {
  now: Connected;
}

/** How the link stands: told when it changes, and when there is another cause. */
class Standing {
  private last: LinkState = { state: 'down', since: Date.now(), failures: 0 };

  constructor(private readonly tell: (state: LinkState) => void = () => undefined) {}

  up(): void {
    this.set('up', this.last.cause, 0);
  }

  down(cause: string, failures: number): void {
    this.set('down', cause, failures);
  }

  private set(state: LinkState['state'], cause: string | undefined, failures: number): void {
    const since = state === this.last.state ? this.last.since : Date.now();
    this.last = { state, since, ...(cause === undefined ? {} : { cause }), failures };
    this.tell(this.last);
  }
}

type Lasting = SiteLinkOptions & { announced: Announced };

async function serve(options: Lasting, held: Held, standing: Standing, signal: AbortSignal): Promise<void> {
  const { connection, settings } = held.now;
  const { namespace } = settings;
  // Worker.create does not ask for the namespace, and a worker without one fails a minute later without a word.
  const { namespaceInfo } = await connection.withDeadline(Date.now() + ASK_WITHIN_MS, () =>
    connection.workflowService.describeNamespace({ namespace }),
  );
  const ended = new AbortController();
  const { site, door, log, timers, announced } = options;
  let failures = 0;
  const onEcho = (failure?: string) => {
    failures = failure === undefined ? 0 : failures + 1;
    if (failure === undefined) standing.up();
    else standing.down(failure, failures);
  };
  const client = new Client({ connection, namespace });
  const namespaceId = namespaceInfo?.id ?? undefined;
  const due = new Due();
  const delivery: DeliveryOptions = { site, door, log, timers, client, namespaceId, onEcho, due, announced };
  const onResult = (asker: Asker) => due.answers(asker);
  const worker = await Worker.create({ ...siteWorkerOptions({ ...options, onResult }), connection, namespace });
  const delivering = keepDelivering(delivery, ended.signal);
  const following = followSettings(options, held, { worker, delivery }, ended.signal);
  try {
    await untilWorkerEnds(worker, signal);
  } finally {
    ended.abort();
    await Promise.all([delivering, following]);
  }
}

/**
 * A renewed certificate, another key or address: a second connection takes the place of the first, and what is under way
 * goes on over it (measured). Settings that cannot be read or used change nothing: the connection in use may still be good.
 */
async function followSettings(
  { readTemporal, log, settingsEvery = SETTINGS_EVERY_MS }: SiteLinkOptions,
  held: Held,
  users: { worker: Worker; delivery: DeliveryOptions },
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = held.now.settings;
  for (;;) {
    await pause(settingsEvery, signal);
    if (signal.aborted) return;
    try {
      const settings = readTemporal();
      if (isSame(settings, held.now.settings)) continue;
      if (settings.namespace !== namespace) throw new Error(`expected namespace ${namespace} until the next restart`);
      const connection = await NativeConnection.connect(settings.connection);
      const before = held.now;
      held.now = { connection, settings };
      users.worker.connection = connection;
      users.delivery.client = new Client({ connection, namespace });
      log.info({ address: settings.connection.address }, 'the link goes on over a new connection');
      await closeAndTell(before, log);
    } catch (error) {
      log.warn({ cause: causeOf(error) }, 'the new settings cannot be used; the link goes on with those before');
    }
  }
}

async function closeAndTell({ connection }: Connected, log: Log): Promise<void> {
  const cause = await closeConnection(connection);
  if (cause !== undefined) log.debug({ cause }, 'not closed');
}

function isSame(a: TemporalSettings, b: TemporalSettings): boolean {
  return textOf(a) === textOf(b);
}

/** Keys and certificates are bytes. Compared only, never shown. */
function textOf(settings: TemporalSettings): string {
  return JSON.stringify(settings, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  );
}

/** A worker that has failed does not say why: whoever refuses it says so when asked. */
async function nameCause({ connection, settings }: Connected, error: unknown): Promise<string> {
  const { namespace } = settings;
  const where = `namespace ${namespace} on ${settings.connection.address ?? 'Temporal'}`;
  try {
    const ask = () => connection.workflowService.describeNamespace({ namespace });
    await connection.withDeadline(Date.now() + ASK_WITHIN_MS, ask);
    return `${where}: ${causeOf(error)}`;
  } catch (refusal) {
    return `${where}: ${causeOf(refusal)}`;
  }
}

/** Everything about a site's worker but its connection. */
export function siteWorkerOptions(
  options: Pick<SiteLinkOptions, 'site' | 'queue' | 'door' | 'streams'> & { onResult?: (asker: Asker) => void },
) {
  return {
    taskQueue: options.queue,
    identity: `site-${options.site}`,
    activities: createSiteActivities(options.door, Date.now, options.onResult),
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
    if (worker.getState() === 'FAILED') throw new Error('the Temporal worker has failed');
    await pause(STATE_POLL_MS, signal);
  }
  if (!over) worker.shutdown();
  await running;
}
