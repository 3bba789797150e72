/**
 * Commands that were handed out before a person froze or held their sites, or retired them. What waits for a dark site would
 * be begun when it comes back. The registry knows which may be open; their shards withdraw what no agent has begun.
 */
import { Context } from '@temporalio/activity';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import type { OutlineSite, ShardInput } from '../../policies/model/outline.js';
import type { OpenConverge, Registry } from '../../records/registry/registry.js';
import type { Withdrawal } from '../contract.js';
import { readAddressees } from './addressees.js';
import { hinderedSites } from './defer.js';
import type { ControlDeps } from './deps.js';
import { describeRunning, signalIfOpen } from './temporal-facts.js';

/** By registry: what its shards were told last. A freeze of weeks must not cost a running shard a signal every minute. */
const told = new WeakMap<Registry, Set<string>>();

/** `asked`: sites that shards were told of now and not before. */
export async function withdrawHindered(deps: ControlDeps): Promise<{ asked: number }> {
  const before = told.get(deps.registry) ?? new Set();
  const hindered = await openHindered(deps);
  const fresh = [...hindered].filter(([key]) => !before.has(key)).map(([, command]) => command);
  for (const [carrier, its] of grouped(fresh, 'carrier')) {
    const sites = [...new Set(its.map(({ site }) => site))];
    await signalIfOpen(deps.client, carrier, 'withdraw', sites);
  }
  // Only once all were told: what failed is told again.
  told.set(deps.registry, new Set(hindered.keys()));
  return { asked: fresh.length };
}

function grouped(commands: OpenConverge[], by: 'carrier' | 'firstRunId'): Map<string, OpenConverge[]> {
  const groups = new Map<string, OpenConverge[]>();
  for (const command of commands) groups.set(command[by], [...(groups.get(command[by]) ?? []), command]);
  return groups;
}

/** By what makes it another: a command that is issued again has another `switchBy`. */
async function openHindered(deps: ControlDeps): Promise<Map<string, OpenConverge>> {
  const { registry } = deps;
  const open = await registry.openConverges(deps.now());
  // What a site holds by itself it refuses by itself.
  const inForce = [...(await registry.freezes(deps.now())), ...(await registry.holds(deps.now()))].length > 0;
  const found = new Map<string, OpenConverge>();
  for (const [firstRunId, its] of grouped(open, 'firstRunId')) {
    const [{ stream, planDigest }] = its as [OpenConverge];
    const planned = (await registry.frozenPlan(planDigest))?.sites ?? {};
    const all = [...new Set(its.map(({ site }) => site))];
    const addressees = await readAddressees(deps, all);
    const ids = all.filter((id) => inForce || addressees.get(id)?.hindered);
    const sites = ids.map((id) => ({ id, link: planned[id]?.link.name ?? '' }));
    // Who asks again, and when, is the shard's.
    const input = { firstRunId, release: { stream }, settleWithin: 0, links: {} };
    const hindered = await hinderedSites(deps, input, sites, { planned, addressees });
    for (const command of its) {
      const why = hindered.get(command.site)?.deferred;
      // A rollout that undoes its own sites commands nobody any more.
      if (!why || why.code === 'OWED_REVERT') continue;
      found.set([command.carrier, command.commandId, command.switchBy, why.code, why.detail].join(' '), command);
    }
  }
  return found;
}

/** Asked by the shard that carries them. Looked at before anything is cancelled: it is not disturbed if it has begun. */
export async function judgeWithdrawal(deps: ControlDeps, input: ShardInput, sites: OutlineSite[]): Promise<Withdrawal> {
  const planned = (await deps.registry.frozenPlan(input.planDigest))?.sites;
  if (!planned) throw new TypeError(`the registry does not hold plan ${input.planDigest}`);
  const addressees = await readAddressees(
    deps,
    sites.map(({ id }) => id),
  );
  const hindered = [...(await hinderedSites(deps, input, sites, { planned, addressees })).values()];
  if (hindered.length === 0) return { hindered, begun: [], unclear: false };
  return { hindered, ...(await attemptsOf(deps)) };
}

/** An agent that has taken a command up says so with the first heartbeat, under the id of the command. */
async function attemptsOf({ client }: ControlDeps): Promise<Pick<Withdrawal, 'begun' | 'unclear'>> {
  const shard = Context.current().info.workflowExecution?.workflowId ?? '';
  const pending = (await describeRunning(client, shard))?.raw.pendingActivities ?? [];
  const converges = pending.filter(({ activityType }) => activityType?.name === 'converge');
  const said = converges.map(({ heartbeatDetails, attempt, lastStartedTime }) => ({
    ids: idsIn(heartbeatDetails?.payloads ?? []),
    tried: (attempt ?? 1) > 1 || lastStartedTime != null,
  }));
  return {
    begun: said.flatMap(({ ids }) => ids),
    unclear: said.some(({ ids, tried }) => tried && ids.length === 0),
  };
}

function idsIn([first]: Payload[]): string[] {
  if (!first) return [];
  const details: unknown = defaultPayloadConverter.fromPayload(first);
  return typeof details === 'object' && details !== null ? Object.keys(details) : [];
}
