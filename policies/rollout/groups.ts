/** Redundancy groups across waves (design §4.7): nobody touches a site while a mate may still be changing. */
import type { OutlineSite } from '../model/outline.js';
import type { SiteOutcome } from '../model/rollout.js';

/**
 * From `accepted` on, or with a state that nobody knows, a site without a result counts as changing. `null` is known:
 * the command was never received.
 */
export function isChanging(outcome: SiteOutcome): boolean {
  return outcome.outcome === 'owed' && outcome.state !== null;
}

/** Splits a wave: sites that may be commanded, and those that wait because a mate elsewhere is changing. */
export function judgeGroups(
  wave: OutlineSite[],
  fleet: OutlineSite[],
  outcomes: Map<string, SiteOutcome>,
): { free: OutlineSite[]; waiting: { site: OutlineSite; mate: string }[] } {
  const changing = new Map<string, string>();
  for (const { id, group } of fleet) {
    const outcome = outcomes.get(id);
    if (group !== undefined && outcome && isChanging(outcome)) changing.set(group, id);
  }
  const waiting = wave.flatMap((site) => {
    const mate = site.group === undefined ? undefined : changing.get(site.group);
    return mate === undefined ? [] : [{ site, mate }];
  });
  const held = new Set(waiting.map(({ site }) => site.id));
  return { free: wave.filter((site) => !held.has(site.id)), waiting };
}
