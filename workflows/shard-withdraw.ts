/**
 * Commands that were scheduled before their sites were frozen, held or the like (design §4.7 "deferred"). What no agent has
 * begun is withdrawn: its activity is cancelled, and the site waits as it would have, had the freeze been there before.
 * What an agent has begun goes on: it has no way to be stopped but by an undo.
 */
import { condition } from '@temporalio/workflow';
import type { DeferredCommand } from '../activities/contract.js';
import { patient } from './proxies.js';
import { defer } from './shard-defer.js';
import { namedSites } from './shard-refused.js';
import type { ShardRun } from './shard-run.js';

/** An undo is never withdrawn. Nothing new is commanded until the registry was asked. */
export function noteHindered(run: ShardRun, sites: unknown): void {
  if (run.input.verb === 'revert' || run.stopped) return;
  for (const site of namedSites(sites)) if (run.sites.has(site) && !run.outcomes.has(site)) run.withdrawing.add(site);
}

/** For as long as the shard runs. */
export async function keepWithdrawing(run: ShardRun): Promise<void> {
  for (;;) {
    // A page that is being signed may hold the very commands that are asked about.
    await condition(() => run.closing || (run.withdrawing.size > 0 && !run.signing));
    if (run.closing) return;
    const asked = [...run.withdrawing];
    const sites = asked.flatMap((id) => run.sites.get(id) ?? []);
    const { hindered, begun, unclear } = await patient.judgeWithdrawal({ ...run.input, sites: [] }, sites);
    for (const why of hindered) withdraw(run, why, { begun, unclear });
    for (const site of asked) run.withdrawing.delete(site);
  }
}

function withdraw(run: ShardRun, why: DeferredCommand, known: { begun: string[]; unclear: boolean }): void {
  const { site } = why;
  if (run.stopped || run.outcomes.has(site)) return;
  if (run.issued.some((command) => command.site === site)) {
    run.issued = run.issued.filter((command) => command.site !== site);
    return defer(run, why);
  }
  const flight = run.inFlight.get(site);
  if (!flight) return;
  if (known.begun.includes(flight.command.commandId)) flight.begun = true;
  if (flight.begun) return;
  if (known.unclear) run.unsure.add(site);
  run.calledOff.set(site, why);
  run.observing.get(site)?.cancel();
}
