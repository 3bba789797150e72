/**
 * What returning sites say first, many sites in one workflow: when a thousand come back at once, a workflow for each is what their
 * return would wait for. Started by the first site's signal, ends when all that came is recorded. It is only the sooner of two ways:
 * a site does not count on it, and says the same again to its own inbox, with what it has to say next.
 */
import { condition, continueAsNew, log, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Delivery, TakenDelivery } from '../policies/model/inbox.js';
import { isDelivery, tellRollouts } from './inbox.js';
import { deliverSignal } from './messages.js';
import { atOnce, patient } from './proxies.js';

/** One effect records so many together. */
const TOGETHER = 50;

export async function arrivals(left: Delivery[] = []): Promise<void> {
  const waiting = [...left];
  const apart = new Set<number>();
  let taken = 0;
  setHandler(deliverSignal, (delivery) => void (isDelivery(delivery) && waiting.push(delivery)), {
    description: 'Report and events of a site that has come back.',
  });
  while (waiting.length > 0 || apart.size > 0) {
    // Before anything is recorded: while a task records, signals come, and a run with signals cannot be followed by another.
    if (apart.size === 0 && waiting.length <= TOGETHER && workflowInfo().continueAsNewSuggested) {
      return continueAsNew<typeof arrivals>(waiting);
    }
    const some = waiting.splice(0, TOGETHER).map((delivery) => ({ ...delivery, nth: (taken += 1) }));
    for (const one of await takeTogether(some)) {
      apart.add(one.nth);
      void takeApart(one).finally(() => apart.delete(one.nth));
    }
    // A task with signals behind it cannot end the run, and what it had recorded would be recorded again.
    await condition(() => waiting.length > 0, '1s');
  }
}

/** Those that could not be recorded, or of which nobody knows. */
async function takeTogether(deliveries: TakenDelivery[]): Promise<TakenDelivery[]> {
  if (deliveries.length === 0) return [];
  try {
    const recorded = await atOnce.recordArrivals(deliveries);
    await tellRollouts(recorded.flatMap((one) => one?.fresh ?? []));
    return deliveries.filter((_, index) => !recorded[index]);
  } catch (error) {
    log.info('arrivals could not be recorded together', { deliveries: deliveries.length, error: String(error) });
    return deliveries;
  }
}

/** Waits for a registry that is away, as long as it takes; nobody else waits for it. */
async function takeApart(delivery: TakenDelivery): Promise<void> {
  for (const recorded of await patient.recordArrivals([delivery])) await tellRollouts(recorded?.fresh ?? []);
}
