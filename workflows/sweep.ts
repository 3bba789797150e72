/** Started every minute by the schedule `foothold-sweep`: what a terminated rollout leaves is put in order. */
import type { SweepSummary } from '../activities/contract.js';
import { atStart } from './proxies.js';

/** Fails after a while instead of waiting for ever: the next one is a minute away. */
export async function sweep(): Promise<SweepSummary> {
  return atStart.sweep();
}
