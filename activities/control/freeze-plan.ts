/** Resolving and freezing the plan (design §4.2). Idempotent by the rollout's first run id. */
import { planRollout } from '../../policies/cohort/plan.js';
import { readSelector } from '../../policies/cohort/selector.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { LinkClass } from '../../policies/model/fleet.js';
import type { OutlineSite, PlanOutline } from '../../policies/model/outline.js';
import type { FrozenPlan, PlannedSite } from '../../policies/model/plan.js';
import type { RolloutRequest } from '../../policies/model/rollout.js';
import { digestOf } from '../../policies/signing/jcs.js';
import { sealPlan } from '../../policies/signing/plan-digest.js';
import type { FrozenRef, RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { evidenceKey } from './evidence-key.js';
import { resolveCatchUp } from './resolve-catch-up.js';
import { readFleet, readStrategy } from './sources.js';
import { describeNamespace } from './temporal-facts.js';

export async function freezePlan(deps: ControlDeps, request: RolloutRequest, run: RunIdentity): Promise<PlanOutline> {
  // The first run of a rollout is known from here on: another one is found out before it changes anything.
  await deps.registry.recordRun(run.firstRunId, run.continuation, run.runId);
  const frozen = await resolvePlan(deps, request);
  const belongs = { ...(request.only && { only: request.only }), ...(request.catchUp && { of: request.catchUp.of }) };
  const named = { ...run, ...belongs, namespace: await describeNamespace(deps.client) };
  const { label, generation, planDigest } = await deps.registry.freeze(frozen, named, deps.now());
  // A retry that resolved its files anew goes on with the plan that was frozen first.
  const kept = planDigest === frozen.plan.digest ? frozen : await deps.registry.frozenPlan(planDigest);
  if (!kept) throw new TypeError(`the registry has frozen plan ${planDigest} and does not hold it`);
  await deps.registry.appendEvidence(
    evidenceKey(run),
    [{ kind: 'plan', data: { request, label, generation, plan: kept.plan } }],
    deps.now(),
  );
  return outlineOf(kept, label, generation);
}

/** Retried for as long as the registry does not hold the plan: it may be restored to a later point. */
export async function readOutline(
  { registry }: ControlDeps,
  { planDigest, label, generation }: FrozenRef,
): Promise<PlanOutline> {
  const frozen = await registry.frozenPlan(planDigest);
  if (!frozen) throw new Error(`expected plan ${planDigest} of ${label} in the registry, which does not hold it`);
  return outlineOf(frozen, label, generation);
}

export async function resolvePlan(deps: ControlDeps, request: RolloutRequest): Promise<FrozenPlan> {
  if (request.catchUp) return resolveCatchUp(deps, request, request.catchUp);
  const [stream = '', version = ''] = request.release.split('@');
  const only = request.only === undefined ? undefined : readSelector(request.only);
  const { ref } = await deps.depot.release(stream, version);
  const { strategy, digest: strategyDigest } = await readStrategy(deps, request.strategy);
  const fleet = await readFleet(deps);
  const planned = planRollout({ release: ref, fleet, strategy, strategyDigest, only, digestOf });
  const plan = sealPlan(planned.plan);
  if (request.planDigest !== undefined && request.planDigest !== plan.digest) {
    throw new MistakeError(
      'PLAN_CHANGED',
      `freezing gives plan ${plan.digest}, asked for was ${request.planDigest}: release, strategy, fleet or variables have changed since`,
    );
  }
  return { plan, sites: planned.sites };
}

/** The plan without variables and digests of sites: what the workflow carries. */
export function outlineOf({ plan, sites }: FrozenPlan, label: string, generation: number): PlanOutline {
  const links: Record<string, LinkClass> = {};
  for (const site of Object.values(sites)) links[site.link.name] = site.link;
  return {
    planDigest: plan.digest,
    label,
    generation,
    release: plan.release,
    strategy: {
      name: plan.strategy.name,
      owner: plan.strategy.owner ?? 'nobody named',
      onFailure: plan.strategy.onFailure,
      onInconclusive: plan.strategy.onInconclusive,
      ...(plan.strategy.prefetch === undefined ? {} : { prefetch: plan.strategy.prefetch }),
    },
    links,
    stages: plan.stages.map((stage) => ({
      ...stage,
      waves: stage.waves.map((wave) => ({
        sites: wave.sites.map((site) => outlineSite(sites[site.id], site.id)),
        ...(wave.hold ? { hold: true as const } : {}),
      })),
    })),
  };
}

function outlineSite(site: PlannedSite | undefined, id: string): OutlineSite {
  if (!site) throw new TypeError(`the plan names site ${id} and does not hold it`);
  return {
    id,
    link: site.link.name,
    ...(site.queue === `site-${id}` ? {} : { queue: site.queue }),
    ...(site.redundancyGroup === undefined ? {} : { group: site.redundancyGroup }),
  };
}
