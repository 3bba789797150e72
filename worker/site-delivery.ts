/**
 * What a site says unasked (design §4): one signal with start to its inbox, on connect and for events that no
 * observer carries. Kept at the site until a command acknowledges it; the centre counts it once.
 */
import type { Client } from '@temporalio/client';
import type { SiteDoor } from '../policies/model/site-door.js';
import { TASK_QUEUE } from '../policies/model/rollout.js';
import { causeOf, pause } from './connection.js';
import type { Log } from './log.js';

const PAGE = 100;
const MOST = 5_000;
/** Events that happen together travel together. */
const GATHER_MS = 100;
const RETRY_MS = 2_000;
const CONTACT_MS = 15_000;
/** A site that missed a command while it was connected is tried again only once it was heard of. */
const REPORT_MS = 600_000;

export interface DeliveryOptions {
  site: string;
  door: SiteDoor;
  client: Client;
  log: Log;
  /** How often it reports with nothing to tell, in ms; a quarter more or less, so that a fleet does not speak at once. */
  reportEvery?: number;
}

/** Delivers until `signal` is aborted; never throws. */
export async function keepDelivering(options: DeliveryOptions, signal: AbortSignal): Promise<void> {
  const { door, log } = options;
  const sent = { through: 0 };
  let due = true;
  let wake: (() => void) | undefined;
  const stopListening = door.onEvent((event) => {
    if (door.observed(event)) return;
    due = true;
    wake?.();
  });
  let contactAt = Date.now() + CONTACT_MS;
  let reportAt = nextReport(options);
  while (!signal.aborted) {
    try {
      if (due || Date.now() >= reportAt) {
        due = false;
        await deliver(options, sent);
        reportAt = nextReport(options);
      } else if (Date.now() >= contactAt) {
        await options.client.workflowService.getSystemInfo({});
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          void pause(Math.min(contactAt, reportAt) - Date.now(), signal).then(resolve);
        });
        await pause(GATHER_MS, signal);
        continue;
      }
      door.contacted(Date.now());
      contactAt = Date.now() + CONTACT_MS;
    } catch (error) {
      due = true;
      log.warn({ cause: causeOf(error) }, 'the centre did not take the report');
      await pause(RETRY_MS, signal);
    }
  }
  stopListening();
}

function nextReport({ reportEvery = REPORT_MS }: DeliveryOptions): number {
  return Date.now() + reportEvery * (0.75 + Math.random() / 2);
}

/** Everything unacknowledged that this connection has not carried yet; the report also when there is nothing. */
async function deliver({ site, door, client }: DeliveryOptions, sent: { through: number }): Promise<void> {
  const events = door.unacknowledged(MOST).filter((event) => event.sequence > sent.through);
  const report = await door.report();
  for (let start = 0; start === 0 || start < events.length; start += PAGE) {
    const page = events.slice(start, start + PAGE);
    await client.workflow.signalWithStart('inbox', {
      workflowId: `inbox/${site}`,
      taskQueue: TASK_QUEUE,
      args: [site],
      signal: 'deliver',
      signalArgs: [{ report, events: page }],
      staticSummary: `what site ${site} reports`,
    });
    sent.through = page.at(-1)?.sequence ?? sent.through;
  }
}
