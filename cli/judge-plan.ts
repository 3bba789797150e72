/** Planning and preflight at the door: the same policies that the rollout uses, over the same facts. */
import { parseSelector } from '../policies/cohort/selector.js';
import { planRollout } from '../policies/cohort/plan.js';
import type { ResolvedFleet, Site } from '../policies/model/fleet.js';
import type { Finding, FrozenPlan } from '../policies/model/plan.js';
import type { Selector } from '../policies/model/strategy.js';
import { declaredReport, isAllowed, type ReleaseFacts, type SiteFacts } from '../policies/preflight/facts.js';
import { judgePreflight } from '../policies/preflight/judge.js';
import { judgeHeld } from '../policies/rollout/judge-held.js';
import { digestOf } from '../policies/signing/jcs.js';
import { sealPlan } from '../policies/signing/plan-digest.js';
import type { Registry } from '../records/registry/registry.js';
import type { Context } from './context.js';
import { meantFleet, meantRelease, meantStrategy, type MeantRelease, type MeantStrategy } from './inputs.js';

export interface JudgedPlan {
  release: MeantRelease;
  strategy: MeantStrategy;
  only?: Selector;
  frozen: FrozenPlan;
  findings: Finding[];
  blocked: boolean;
  /** Whether sites were judged by what they reported, or count as reporting what the fleet file declares. */
  judgedBy: 'reports' | 'declarations';
}

/** Throws MistakeError for every input that does not fit; findings are data. */
export async function judgePlan(
  context: Context,
  release: string,
  strategy: string,
  only: string[],
): Promise<JudgedPlan> {
  const meant = { release: await meantRelease(context, release), strategy: await meantStrategy(context, strategy) };
  const fleet = await meantFleet(context);
  const selector = only.length === 0 ? undefined : parseSelector(only);
  const { plan, sites } = planRollout({
    release: meant.release.ref,
    fleet,
    strategy: meant.strategy.strategy,
    strategyDigest: meant.strategy.digest,
    only: selector,
    digestOf,
  });
  const frozen = { plan: sealPlan(plan), sites };
  const registry = await context.registryIfHere();
  const facts = await releaseFacts(meant.release, fleet, registry);
  const verdict = judgePreflight(facts, await siteFacts(frozen, fleet, meant.release, registry, context.io.now()));
  return {
    ...meant,
    ...(selector === undefined ? {} : { only: selector }),
    frozen,
    ...verdict,
    judgedBy: registry ? 'reports' : 'declarations',
  };
}

async function releaseFacts(
  { ref, manifest, templates }: MeantRelease,
  fleet: ResolvedFleet,
  registry: Registry | undefined,
): Promise<ReleaseFacts> {
  const blocks = (await registry?.blocks(ref.stream)) ?? [];
  return {
    ref,
    written: manifest.release,
    templates,
    blocked: blocks.find((block) => block.digest === ref.digest),
    fleetStreams: new Set(fleet.sites.flatMap((site) => site.streams)),
  };
}

async function siteFacts(
  { plan, sites }: FrozenPlan,
  fleet: ResolvedFleet,
  { ref }: MeantRelease,
  registry: Registry | undefined,
  now: number,
): Promise<SiteFacts[]> {
  const planned = plan.stages.flatMap((stage) => stage.waves.flatMap((wave) => wave.sites.map((site) => site.id)));
  const reports = await registry?.reports(planned);
  const allowances = (await registry?.allowances(ref.stream, ref.digest)) ?? [];
  const holds = (await registry?.holds(now)) ?? [];
  const byId = new Map<string, Site>(fleet.sites.map((site) => [site.id, site]));
  return planned.flatMap((id) => {
    const site = byId.get(id);
    if (!site) return [];
    const report = reports ? reports.get(id)?.report : declaredReport(site);
    const vars = sites[id]?.vars ?? site.vars;
    return [
      {
        id,
        vars,
        queue: site.queue,
        streams: site.streams,
        declaredVersions: site.versions,
        report,
        allowed: isAllowed(report, ref, allowances),
        held: judgeHeld(id, ref.stream, reports?.get(id), holds, now),
      },
    ];
  });
}
