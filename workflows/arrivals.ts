/**
 * What returning sites say first, many sites in one workflow: when a thousand come back at once, a workflow for each is what their
 * return would wait for. Started by the first site's signal, ends when all that came is recorded. It is only the sooner of two ways:
 * a site does not count on it, and says the same again to its own inbox, with what it has to say next.
 */
import { condition, continueAsNew, log, patched, setHandler, sleep, workflowInfo } from '@temporalio/workflow';
import type { Delivery, TakenDelivery } from '../policies/model/inbox.js';
import { isDelivery, tellRollouts } from './inbox.js';
import { deliverSignal } from './messages.js';
import { atOnce, forQuarterHour, patient } from './proxies.js';

/** One effect records so many together. */
const TOGETHER = 50;
/** A workflow has 2,000 activities at once at most. */
const MOST_APART = 500;
const QUIET_FOR = '1s';

/** `continueAfterEvents`: for tests; otherwise as Temporal suggests. */
export async function arrivals(left: Delivery[] = [], continueAfterEvents?: number): Promise<void> {
  const waiting = [...left];
  const apart = new Set<number>();
  let taken = 0;
  setHandler(deliverSignal, (delivery) => void (isDelivery(delivery) && waiting.push(delivery)), {
    description: 'Report and events of a site that has come back.',
  });
  while (waiting.length > 0) {
    // Before anything is recorded: while a task records, signals come, and a run with signals cannot be followed by another.
    if (apart.size === 0 && waiting.length <= TOGETHER && isLong(continueAfterEvents)) {
      return continueAsNew<typeof arrivals>(waiting, continueAfterEvents);
    }
    await condition(() => apart.size < MOST_APART);
    const some = waiting.splice(0, TOGETHER).map((delivery) => ({ ...delivery, nth: (taken += 1) }));
    for (const one of await takeTogether(some)) {
      apart.add(one.nth);
      void takeApart(one, () => apart.delete(one.nth));
    }
    if (waiting.length > 0) await endTask();
    await condition(() => waiting.length > 0 || apart.size === 0);
    // A task with signals behind it cannot end the run (measured), and what it had recorded would be recorded again.
    await condition(() => waiting.length > 0, QUIET_FOR);
  }
}

/**
 * What is recorded is safe then, and the signals that wait behind it are few: the server makes a task fail that has a hundred behind
 * it. Not by a timer: the server has read its timers up to a second ahead, and one that is set for sooner waits for as long (measured).
 */
async function endTask(): Promise<void> {
  if (!patched('arrivals-go-on-at-once')) return sleep(1);
  await patient.recordArrivals([]);
}

function isLong(events: number | undefined): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || (events !== undefined && historyLength > events);
}

/** Those that could not be recorded, or of which nobody knows. */
async function takeTogether(deliveries: TakenDelivery[]): Promise<TakenDelivery[]> {
  try {
    const recorded = await atOnce.recordArrivals(deliveries);
    await tellRollouts(recorded.flatMap((one) => one?.fresh ?? []));
    return deliveries.filter((_, index) => !recorded[index]);
  } catch (error) {
    log.info('arrivals could not be recorded together', { deliveries: deliveries.length, error: String(error) });
    return deliveries;
  }
}

/** Waits for a registry that is away, and not for ever: the site says it again to its own inbox, and this one must end. */
async function takeApart(delivery: TakenDelivery, taken: () => void): Promise<void> {
  try {
    for (const recorded of await forQuarterHour.recordArrivals([delivery])) await tellRollouts(recorded?.fresh ?? []);
  } catch (error) {
    log.warn('an arrival was given up', { site: delivery.report.site, error: String(error) });
  }
  taken();
}
