/**
 * Undos that retired sites owe: nobody will ever answer them. Their shards let go of them, and the evidence of the rollout
 * says who retired the site and why. Of every other site an undo never ends without its answer.
 */
import type { Reason } from '../../policies/model/verdict.js';
import { retiredReason } from './addressees.js';
import type { ControlDeps } from './deps.js';
import { signalIfOpen } from './temporal-facts.js';

export async function retiredAmong(
  { registry }: ControlDeps,
  sites: string[],
): Promise<{ site: string; reason: Reason }[]> {
  const identities = await registry.identities(sites);
  return sites.flatMap((site) => {
    const reason = retiredReason(identities.get(site));
    return reason === undefined ? [] : [{ site, reason }];
  });
}

/** One debt that `retiredReverts` names. The record comes last: until then the next sweep finds it again. */
export async function giveUpRetired(
  { registry, client, now }: ControlDeps,
  debt: Awaited<ReturnType<ControlDeps['registry']['retiredReverts']>>[number],
): Promise<void> {
  const { site, carrier, commandId, firstRunId, stage, wave } = debt;
  const reason = retiredReason((await registry.identities([site])).get(site));
  if (reason === undefined || commandId === undefined) return;
  if (carrier !== undefined) await signalIfOpen(client, carrier, 'retired', [site]);
  const outcome = { site, outcome: 'owed' as const, stage, wave, reason, state: null };
  const key = { firstRunId, runId: 'sweep', activityId: `retired/${site}` };
  await registry.recordDispositions(key, [{ site, commandId, outcome }], now());
}
