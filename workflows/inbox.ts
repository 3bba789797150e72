/**
 * The inbox of a site: what it reports with no observer attached, and on connect. Started by the site's signal, ends
 * when all that came is recorded. Nothing is acknowledged here: the next command tells the site what is recorded.
 */
import {
  allHandlersFinished,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  patched,
  setHandler,
} from '@temporalio/workflow';
import type { SiteEvent, SiteReport } from '../policies/model/report.js';
import type { OutboxAcks, OutboxPage } from '../policies/model/telemetry.js';
import { deliverSignal, lateNewsSignal, type Delivery } from './messages.js';
import { atOnce, patient } from './proxies.js';

const IDLE = '10s';

/** Ends with what is recorded of the site's outbox, if it brought any: the site asks for it, and deletes that much. */
export async function inbox(_site: string): Promise<OutboxAcks | undefined> {
  const deliveries: Delivery[] = [];
  let acks: OutboxAcks | undefined;
  setHandler(deliverSignal, (delivery) => void (isDelivery(delivery) && deliveries.push(delivery)), {
    description: 'Report and events of the site.',
  });
  // When a thousand sites come back at once, this workflow is what their return waits for: one task each, and no timer.
  const short = patched('inbox-is-one-task');
  while (short ? deliveries.length > 0 : await condition(() => deliveries.length > 0, IDLE)) {
    const next = deliveries.shift();
    if (next) await take(next.report, next.events, short);
    if (next?.outbox) acks = (await recordOutbox(next.report, next.outbox, short)) ?? acks;
  }
  await condition(allHandlersFinished);
  return acks;
}

function recordOutbox(report: SiteReport, page: OutboxPage, short: boolean): Promise<OutboxAcks | undefined> {
  return atOnceIf(short, ({ recordOutbox: record }) => record(report, page));
}

type Effects = Pick<typeof patient, 'recordInbox' | 'recordOutbox'>;

/** An effect that fails at once is as good as one that was never tried: each is made once, however often it is called. */
async function atOnceIf<T>(short: boolean, effect: (by: Effects) => Promise<T>): Promise<T> {
  if (!short) return effect(patient);
  try {
    return await effect(atOnce);
  } catch (error) {
    if (isCancellation(error)) throw error;
    return effect(patient);
  }
}

/** What is no delivery at all must not stop the next one; what is wrong inside one the registry notes as an anomaly. */
function isDelivery(input: unknown): boolean {
  if (typeof input !== 'object' || input === null) return false;
  const { report, events } = input as Record<string, unknown>;
  const told = typeof report === 'object' && report !== null && Array.isArray(events);
  if (!told) log.warn('a delivery that is none was dropped', { input: String(JSON.stringify(input)).slice(0, 200) });
  return told;
}

async function take(report: SiteReport, events: SiteEvent[], short: boolean): Promise<void> {
  const fresh = await atOnceIf(short, ({ recordInbox }) => recordInbox(report, events));
  for (const { workflowId, firstRunId, outcomes, answers } of fresh) {
    await getExternalWorkflowHandle(workflowId)
      .signal(lateNewsSignal, { firstRunId, outcomes, answers })
      .catch((error: unknown) => log.info('the rollout has ended meanwhile', { workflowId, error: String(error) }));
  }
}
