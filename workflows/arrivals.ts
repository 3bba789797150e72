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
const AWAY_FOR = '2s';

/** `continueAfterEvents`: for tests; otherwise as Temporal suggests. */
export async function arrivals(left: Delivery[] = [], continueAfterEvents?: number): Promise<void> {
  const waiting: TakenDelivery[] = [];
  const apart = new Set<number>();
  let heard = 0;
  const hear = (delivery: Delivery) => waiting.push({ ...delivery, nth: (heard += 1) });
  left.forEach(hear);
  setHandler(deliverSignal, (delivery) => void (isDelivery(delivery) && hear(delivery)), {
    description: 'Report and events of a site that has come back.',
  });
  while (waiting.length > 0) {
    // Before anything is recorded: while a task records, signals come, and a run with signals cannot be followed by another.
    if (apart.size === 0 && waiting.length <= TOGETHER && isLong(continueAfterEvents)) {
      return continueAsNew<typeof arrivals>(waiting, continueAfterEvents);
    }
    await condition(() => apart.size < MOST_APART);
    const { taken, unrecorded, away } = await takeTogether(waiting.slice(0, TOGETHER));
    waiting.splice(0, taken);
    for (const one of unrecorded) {
      apart.add(one.nth);
      void takeApart(one, () => apart.delete(one.nth));
    }
    if (waiting.length > 0) await (away ? sleep(AWAY_FOR) : endTask());
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

interface Together {
  /** So many, from the first on. */
  taken: number;
  /** Those of them that could not be recorded, or of which nobody knows. */
  unrecorded: TakenDelivery[];
  away?: true;
}

/**
 * How many were taken the effect says, and not what is waiting: where the server made a task fail behind which a hundred signals were,
 * the SDK goes on with the run as it was, and a replay sees from the start what came by then (measured; fault O6). For the same
 * reason a failure, which says nothing, stands for the first alone.
 */
async function takeTogether(deliveries: TakenDelivery[]): Promise<Together> {
  try {
    const recorded = await atOnce.recordArrivals(deliveries);
    await tellRollouts(recorded.flatMap((one) => one?.fresh ?? []));
    return { taken: recorded.length, unrecorded: deliveries.filter((_, index) => recorded[index] === null) };
  } catch (error) {
    log.info('arrivals could not be recorded together', { deliveries: deliveries.length, error: String(error) });
    if (!patched('arrivals-fail-one-by-one')) return { taken: deliveries.length, unrecorded: deliveries };
    return { taken: 1, unrecorded: deliveries.slice(0, 1), away: true };
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
