/** Which redundancy groups may be changing: some member has a command of a running rollout without a result (design §4.7). */
import type { FrozenPlan } from '../../policies/model/plan.js';
import { isChanging } from '../../policies/rollout/groups.js';
import { factsOf } from './command-rows.js';
import type { ChangingMember } from './registry.js';
import type { Db } from './tables.js';

type PlanOf = (digest: string) => Promise<FrozenPlan | undefined>;

export async function changingMembers(db: Db, groups: string[], planOf: PlanOf): Promise<ChangingMember[]> {
  if (groups.length === 0) return [];
  const running = await db
    .selectFrom('rollouts')
    .select(['first_run_id', 'label', 'plan_digest'])
    .where('sealed', '=', 0)
    .where('plan_digest', '!=', '')
    .execute();
  const found: ChangingMember[] = [];
  // One after the other: within a transaction there is one connection.
  for (const { first_run_id: firstRunId, label, plan_digest } of running) {
    const plan = await planOf(plan_digest);
    const members = plan ? membersOf(plan, groups) : new Map<string, string>();
    const sites = await openSites(db, firstRunId, [...members.keys()]);
    found.push(...sites.map((site) => ({ site, group: members.get(site) ?? '', rollout: label })));
  }
  return found;
}

/** Sites with a command that was scheduled and has neither a result nor was known never to have arrived. */
async function openSites(db: Db, firstRunId: string, sites: string[]): Promise<string[]> {
  if (sites.length === 0) return [];
  const rows = await db
    .selectFrom('commands')
    .selectAll()
    .where('first_run_id', '=', firstRunId)
    .where('site', 'in', sites)
    .where('scheduled_at', 'is not', null)
    .where('result', 'is', null)
    .where('later', 'is', null)
    .execute();
  const open = rows.map(factsOf).filter(({ disposition }) => disposition === undefined || isChanging(disposition));
  return [...new Set(open.map(({ site }) => site))];
}

/** Asked for every page of a wave, of a plan that never changes. */
const GROUPS = new WeakMap<FrozenPlan, Map<string, string[]>>();

/** Site → group, for the members of these groups. */
function membersOf(plan: FrozenPlan, groups: string[]): Map<string, string> {
  let index = GROUPS.get(plan);
  if (!index) GROUPS.set(plan, (index = indexGroups(plan)));
  const members = new Map<string, string>();
  for (const group of groups) for (const site of index.get(group) ?? []) members.set(site, group);
  return members;
}

function indexGroups({ sites }: FrozenPlan): Map<string, string[]> {
  const index = new Map<string, string[]>();
  for (const { id, redundancyGroup } of Object.values(sites)) {
    if (redundancyGroup === undefined) continue;
    index.set(redundancyGroup, [...(index.get(redundancyGroup) ?? []), id]);
  }
  return index;
}
