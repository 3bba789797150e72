/** Started every minute by the schedule `foothold-sweep`: what a terminated rollout leaves is put in order. */
import type { GiveUp, SweepSummary } from '../activities/contract.js';
import { atStart } from './proxies.js';

/** `word`: only when a person starts it. Fails after a while instead of waiting for ever: the next one is a minute away. */
export async function sweep(word?: GiveUp): Promise<SweepSummary> {
  return word ? atStart.sweep(word) : atStart.sweep();
}

/** Started by who freezes or holds something, so that commands under way need not wait for the next sweep. */
export async function withdraw(): Promise<{ asked: number }> {
  return atStart.withdrawHindered();
}
