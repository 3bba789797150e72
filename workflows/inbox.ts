/**
 * The inbox of a site: what it reports with no observer attached, and on connect. Started by the site's signal, ends
 * when all that came is recorded. Nothing of the journal is acknowledged here: only a signed command does that.
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
import type { InboxRecorded, LateNews } from '../activities/contract.js';
import type { Delivery } from '../policies/model/inbox.js';
import type { SiteReport } from '../policies/model/report.js';
import type { InboxEnd, OutboxAcks, OutboxPage } from '../policies/model/telemetry.js';
import { deliverSignal, lateNewsSignal } from './messages.js';
import { atOnce, patient } from './proxies.js';

const IDLE = '10s';

/** Ends with what is recorded of the site's journal, and of its outbox if it brought any: the site asks for it. */
export async function inbox(_site: string): Promise<InboxEnd | undefined> {
  const deliveries: Delivery[] = [];
  let end: InboxEnd | undefined;
  let taken = 0;
  setHandler(deliverSignal, (delivery) => void (isDelivery(delivery) && deliveries.push(delivery)), {
    description: 'Report and events of the site.',
  });
  // When a thousand sites come back at once, this workflow is what their return waits for: one task each, and no timer.
  const short = patched('inbox-is-one-task');
  while (short ? deliveries.length > 0 : await condition(() => deliveries.length > 0, IDLE)) {
    const next = deliveries.shift();
    if (!next) continue;
    taken += 1;
    end = joined(end, await take(next, taken, short));
    if (next.outbox) end = joined(end, await recordOutbox(next.report, next.outbox, short));
  }
  await condition(allHandlersFinished);
  return end;
}

/** Of two epochs only the later word counts: sequences begin anew. */
function joined(before: InboxEnd | undefined, told: InboxEnd | undefined): InboxEnd | undefined {
  if (!told) return before;
  return before?.epoch === told.epoch ? { ...before, ...told } : told;
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
export function isDelivery(input: unknown): boolean {
  if (typeof input !== 'object' || input === null) return false;
  const { report, events } = input as Record<string, unknown>;
  const named = typeof report === 'object' && report !== null && 'site' in report && typeof report.site === 'string';
  const told = named && Array.isArray(events);
  if (!told) log.warn('a delivery that is none was dropped', { input: String(JSON.stringify(input)).slice(0, 200) });
  return told;
}

async function take({ report, events }: Delivery, nth: number, short: boolean): Promise<InboxEnd | undefined> {
  const recorded = await atOnceIf(short, ({ recordInbox }) => recordInbox(report, events, nth));
  const { fresh, journal }: InboxRecorded = Array.isArray(recorded) ? { fresh: recorded } : recorded;
  await tellRollouts(fresh);
  return journal === undefined ? undefined : { epoch: report.epoch, journal };
}

/** The running rollouts that something new concerns. */
export async function tellRollouts(fresh: LateNews[]): Promise<void> {
  for (const { workflowId, firstRunId, outcomes, answers } of fresh) {
    await getExternalWorkflowHandle(workflowId)
      .signal(lateNewsSignal, { firstRunId, outcomes, answers })
      .catch((error: unknown) => log.info('the rollout has ended meanwhile', { workflowId, error: String(error) }));
  }
}
