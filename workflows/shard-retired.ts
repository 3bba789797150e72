/**
 * Undos that nobody waits for any more: their sites were retired. Given up one by one, and only on the registry's word: an
 * undo of any other site never ends without its answer.
 */
import { condition } from '@temporalio/workflow';
import type { Reason } from '../policies/model/verdict.js';
import { patient } from './proxies.js';
import { namedSites } from './shard-refused.js';
import { dispositionOf, type ShardRun } from './shard-run.js';

/** A converge ends by itself, at its `settleBy`. */
export function noteRetired(run: ShardRun, sites: unknown): void {
  if (run.input.verb !== 'revert') return;
  for (const site of namedSites(sites)) if (run.sites.has(site) && !run.outcomes.has(site)) run.retiring.add(site);
}

/** For as long as the shard runs. */
export async function keepGivingUp(run: ShardRun): Promise<void> {
  for (;;) {
    await condition(() => run.closing || run.retiring.size > 0);
    if (run.closing) return;
    const asked = [...run.retiring];
    const retired = await patient.retiredAmong(asked);
    for (const { site, reason } of retired) giveUp(run, site, reason);
    for (const site of asked) run.retiring.delete(site);
  }
}

/** Whoever said that it is retired has recorded it. */
function giveUp(run: ShardRun, site: string, reason: Reason): void {
  if (run.outcomes.has(site)) return;
  run.refused.delete(site);
  run.pending = run.pending.filter(({ id }) => id !== site);
  run.issued = run.issued.filter((command) => command.site !== site);
  run.outcomes.set(site, { ...dispositionOf(run, site, 'owed'), reason, state: null });
  run.observing.get(site)?.cancel();
}
