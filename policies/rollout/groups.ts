/** Redundancy groups (design §4.7): nobody touches a site while a mate may still be changing. */
import type { SiteOutcome } from '../model/rollout.js';

/**
 * From `accepted` on, or with a state that nobody knows, a site without a result counts as changing. `null` is known:
 * the command was never received. A deferred site counts only if what it was sent before may have been begun.
 */
export function isChanging(outcome: SiteOutcome): boolean {
  if (outcome.outcome === 'deferred') return outcome.state !== undefined && outcome.state !== null;
  return outcome.outcome === 'owed' && outcome.state !== null;
}
