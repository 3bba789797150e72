/**
 * What a site says unasked (design §4): one signal with start to its inbox, on connect and for events that no
 * observer carries. Kept at the site until a command acknowledges it; the centre counts it once.
 */
import type { Client } from '@temporalio/client';
import { LINK_TIMERS, retryPause, type LinkTimers } from '../policies/model/link.js';
import type { SiteDoor } from '../policies/model/site-door.js';
import { TASK_QUEUE } from '../policies/model/rollout.js';
import { causeOf, pause } from './connection.js';
import type { Log } from './log.js';

const PAGE = 100;
const MOST = 5_000;

export interface DeliveryOptions {
  site: string;
  door: SiteDoor;
  /** Read for every call: a renewed certificate comes with another one. */
  client: Client;
  log: Log;
  timers?: LinkTimers;
  /** Instead of that of `timers`; a quarter more or less, so that a fleet does not speak at once. */
  reportEvery?: number;
  /** Hears of every answer of the centre, and of every call that had none, with its cause. */
  onEcho?: (failure?: string) => void;
}

/** Delivers until `signal` is aborted; never throws. */
export async function keepDelivering(options: DeliveryOptions, signal: AbortSignal): Promise<void> {
  const { door, log, timers = LINK_TIMERS.fibre } = options;
  const sent = { through: 0 };
  let failures = 0;
  let due = true;
  let wake: (() => void) | undefined;
  const stopListening = door.onEvent((event) => {
    if (door.observed(event)) return;
    due = true;
    wake?.();
  });
  let contactAt = Date.now() + timers.contactEvery;
  let reportAt = nextReport(options);
  while (!signal.aborted) {
    try {
      if (due || Date.now() >= reportAt) {
        due = false;
        await deliver(options, sent);
        reportAt = nextReport(options);
      } else if (Date.now() >= contactAt) {
        await echoed(options, () => options.client.workflowService.getSystemInfo({}));
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          void pause(Math.min(contactAt, reportAt) - Date.now(), signal).then(resolve);
        });
        await pause(timers.gather, signal);
        continue;
      }
      door.contacted(Date.now());
      options.onEcho?.();
      failures = 0;
      contactAt = Date.now() + timers.contactEvery;
    } catch (error) {
      due = true;
      failures += 1;
      options.onEcho?.(`the centre did not answer: ${causeOf(error)}`);
      log.warn({ cause: causeOf(error) }, 'the centre did not take the report');
      await pause(retryPause(timers, failures, Math.random()), signal);
    }
  }
  stopListening();
}

/** A connection over which nothing comes back looks open for hours: only an answer in time is one. */
function echoed<T>({ client, timers = LINK_TIMERS.fibre }: DeliveryOptions, ask: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + timers.echoWithin, ask);
}

function nextReport({ timers = LINK_TIMERS.fibre, reportEvery = timers.reportEvery }: DeliveryOptions): number {
  return Date.now() + reportEvery * (0.75 + Math.random() / 2);
}

/** Everything unacknowledged that this connection has not carried yet; the report also when there is nothing. */
async function deliver(options: DeliveryOptions, sent: { through: number }): Promise<void> {
  const { site, door, client } = options;
  const events = door.unacknowledged(MOST).filter((event) => event.sequence > sent.through);
  const report = await door.report();
  for (let start = 0; start === 0 || start < events.length; start += PAGE) {
    const page = events.slice(start, start + PAGE);
    await echoed(options, () =>
      client.workflow.signalWithStart('inbox', {
        workflowId: `inbox/${site}`,
        taskQueue: TASK_QUEUE,
        args: [site],
        signal: 'deliver',
        signalArgs: [{ report, events: page }],
        staticSummary: `what site ${site} reports`,
      }),
    );
    sent.through = page.at(-1)?.sequence ?? sent.through;
  }
}
