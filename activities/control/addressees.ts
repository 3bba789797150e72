/** Whom a command is for (docs/decisions/0003): the epoch, the instance and the journal that the centre knows a site by. */
import type { Command } from '../../policies/model/command.js';
import { FIRST_EPOCH, type SiteIdentity } from '../../policies/model/enrolment.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { Registry } from '../../records/registry/registry.js';
import type { ControlDeps } from './deps.js';

export interface Addressee {
  /** Fields of the command: an agent that is somebody else refuses it. */
  fields: Pick<Command, 'ackedThrough' | 'epoch' | 'instance'>;
  /** Set: no converge may be issued, until a person has done something about it. A revert always is. */
  hindered?: Reason;
}

/**
 * What was read last, for an undo that cannot wait for the registry: without epoch and instance, the very agent that it
 * is for would refuse it.
 */
const remembered = new WeakMap<Registry, Map<string, Addressee>>();

export async function readAddressees({ registry }: ControlDeps, sites: string[]): Promise<Map<string, Addressee>> {
  const [identities, acked] = await Promise.all([registry.identities(sites), registry.acknowledged(sites)]);
  const read = new Map(sites.map((site) => [site, addresseeOf(identities.get(site), acked.get(site))]));
  const kept = remembered.get(registry) ?? new Map<string, Addressee>();
  for (const [site, addressee] of read) kept.set(site, addressee);
  remembered.set(registry, kept);
  return read;
}

/** Owed sites with what stands against their identity, if nothing stands in their way yet. */
export async function judgeIdentities<S extends { site: string; hindered?: Reason }>(
  { registry }: ControlDeps,
  owed: S[],
): Promise<S[]> {
  const identities = await registry.identities(owed.map(({ site }) => site));
  return owed.map((one) => {
    const hindered = one.hindered ?? hindranceOf(identities.get(one.site));
    return hindered === undefined ? one : { ...one, hindered };
  });
}

/** As far as this process has ever read them. */
export function rememberedAddressees({ registry }: ControlDeps, sites: string[]): Map<string, Addressee> {
  const kept = remembered.get(registry);
  return new Map(sites.flatMap((site) => (kept?.has(site) ? [[site, kept.get(site) as Addressee] as const] : [])));
}

/** Of a site of which nothing is known. */
export const UNKNOWN_ADDRESSEE: Addressee = { fields: { ackedThrough: { epoch: FIRST_EPOCH, sequence: 0 } } };

function addresseeOf(identity: SiteIdentity | undefined, acked: Command['ackedThrough'] | undefined): Addressee {
  const epoch = identity?.epoch ?? FIRST_EPOCH;
  // What is recorded of an earlier epoch says nothing to an agent of this one.
  const ackedThrough = acked?.epoch === epoch ? acked : { epoch, sequence: 0 };
  const fields = {
    ackedThrough,
    ...(epoch === FIRST_EPOCH ? {} : { epoch }),
    ...(identity?.instance === undefined ? {} : { instance: identity.instance }),
  };
  const hindered = hindranceOf(identity);
  return { fields, ...(hindered && { hindered }) };
}

export function retiredReason(identity: SiteIdentity | undefined): Reason | undefined {
  if (!identity?.retired) return undefined;
  const { by, reason } = identity.retired;
  return { code: 'SITE_RETIRED', detail: `retired by ${by}: ${reason}` };
}

function hindranceOf(identity: SiteIdentity | undefined): Reason | undefined {
  const retired = retiredReason(identity);
  if (retired) return retired;
  if (!identity?.doubt) return undefined;
  const { code, detail } = identity.doubt;
  return { code, detail: `${detail}; if the hardware or its disk is another: foothold fleet replace ${identity.site}` };
}
