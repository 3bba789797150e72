/** Shards that bring owed reverts to their sites after the rollout: started again, with the same commands, where lost. */
import type { Debt } from '../model/debt.js';
import type { LinkClass, Site } from '../model/fleet.js';
import { SHARD_SIZE, type OutlineSite, type ShardInput } from '../model/outline.js';
import type { FrozenPlan } from '../model/plan.js';
import type { LostCarrier } from './facts.js';

/** The workflow id of the shard that carries an owed revert: the one that did, or a fixed one where none is known. */
export function carrierOf(debt: Pick<Debt, 'carrier' | 'label' | 'stage'>): string {
  return debt.carrier ?? `${debt.label}/${debt.stage}/revert/owed`;
}

/**
 * One shard for each lost carrier, with the sites that still owe: (generation, try) and so the ids are those of before.
 * `queue` and link are taken from the fleet as it is now, else from the plan; a site that neither holds is left out, for
 * nobody knows where to send it.
 */
export function planCarriers(
  debts: readonly Debt[],
  plans: ReadonlyMap<string, FrozenPlan>,
  fleet: readonly Site[],
): LostCarrier[] {
  const now = new Map(fleet.map((site) => [site.id, site]));
  const byCarrier = new Map<string, Debt[]>();
  for (const debt of debts.filter(({ verb }) => verb === 'revert')) {
    byCarrier.set(carrierOf(debt), [...(byCarrier.get(carrierOf(debt)) ?? []), debt]);
  }
  return [...byCarrier].flatMap(([workflowId, owed]) => {
    const [first] = owed;
    const sites = owed.flatMap(({ site, planDigest }) => now.get(site) ?? plans.get(planDigest)?.sites[site] ?? []);
    if (!first || sites.length === 0) return [];
    return { workflowId, input: inputOf(first, owed, sites) };
  });
}

type Addressed = Pick<Site, 'id' | 'queue' | 'link'>;

function inputOf(first: Debt, owed: Debt[], sites: Addressed[]): ShardInput {
  const links: Record<string, LinkClass> = {};
  for (const { link } of sites) links[link.name] = link;
  const tries = owed.filter((debt) => debt.try !== first.try).map((debt) => [debt.site, debt.try] as const);
  return {
    workflowId: first.workflowId,
    firstRunId: first.firstRunId,
    label: first.label,
    planDigest: first.planDigest,
    release: { stream: first.stream, ...first.release },
    verb: 'revert',
    generation: first.generation,
    try: first.try,
    ...(tries.length > 0 && { tries: Object.fromEntries(tries) }),
    stage: first.stage,
    wave: first.wave,
    shard: 0,
    sites: sites.map(outlineSite),
    links,
    settleWithin: 'link',
    concurrency: SHARD_SIZE,
  };
}

function outlineSite({ id, queue, link }: Addressed): OutlineSite {
  return { id, link: link.name, ...(queue === `site-${id}` ? {} : { queue }) };
}
