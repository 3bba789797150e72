/**
 * The inbox of a site: what it reports with no observer attached, and on connect. Started by the site's signal, ends
 * when nothing more comes. Nothing is acknowledged here: the next command tells the site what is recorded.
 */
import { allHandlersFinished, condition, getExternalWorkflowHandle, log, setHandler } from '@temporalio/workflow';
import type { SiteEvent, SiteReport } from '../policies/model/report.js';
import type { OutboxAcks } from '../policies/model/telemetry.js';
import { deliverSignal, lateNewsSignal, type Delivery } from './messages.js';
import { patient } from './proxies.js';

const IDLE = '10s';

/** Ends with what is recorded of the site's outbox, if it brought any: the site asks for it, and deletes that much. */
export async function inbox(_site: string): Promise<OutboxAcks | undefined> {
  const deliveries: Delivery[] = [];
  let acks: OutboxAcks | undefined;
  setHandler(deliverSignal, (delivery) => void (isDelivery(delivery) && deliveries.push(delivery)), {
    description: 'Report and events of the site.',
  });
  while (await condition(() => deliveries.length > 0, IDLE)) {
    const next = deliveries.shift();
    if (next) await take(next.report, next.events);
    if (next?.outbox) acks = (await patient.recordOutbox(next.report, next.outbox)) ?? acks;
  }
  await condition(allHandlersFinished);
  return acks;
}

/** What is no delivery at all must not stop the next one; what is wrong inside one the registry notes as an anomaly. */
function isDelivery(input: unknown): boolean {
  if (typeof input !== 'object' || input === null) return false;
  const { report, events } = input as Record<string, unknown>;
  const told = typeof report === 'object' && report !== null && Array.isArray(events);
  if (!told) log.warn('a delivery that is none was dropped', { input: String(JSON.stringify(input)).slice(0, 200) });
  return told;
}

async function take(report: SiteReport, events: SiteEvent[]): Promise<void> {
  const fresh = await patient.recordInbox(report, events);
  for (const { workflowId, firstRunId, outcomes, answers } of fresh) {
    await getExternalWorkflowHandle(workflowId)
      .signal(lateNewsSignal, { firstRunId, outcomes, answers })
      .catch((error: unknown) => log.info('the rollout has ended meanwhile', { workflowId, error: String(error) }));
  }
}
