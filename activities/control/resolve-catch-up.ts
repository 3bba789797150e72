/** The plan of a catch-up batch: resolved from the plan of the promoted rollout and the fleet as it is now. */
import { countFailed, planCatchUp } from '../../policies/catch-up/batch-plan.js';
import { CATCH_UP_PACE } from '../../policies/catch-up/pace.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { FrozenPlan } from '../../policies/model/plan.js';
import type { RolloutRequest } from '../../policies/model/rollout.js';
import { digestOf } from '../../policies/signing/jcs.js';
import { sealPlan } from '../../policies/signing/plan-digest.js';
import type { ControlDeps } from './deps.js';
import { readFleet } from './sources.js';

/** Throws MistakeError BAD_INPUT if `of` is no rollout whose plan is known, or not of the release that is asked for. */
export async function resolveCatchUp(
  deps: ControlDeps,
  request: RolloutRequest,
  { of, sites }: NonNullable<RolloutRequest['catchUp']>,
): Promise<FrozenPlan> {
  const promoted = await deps.registry.findRollout(of);
  const frozen = promoted && (await deps.registry.frozenPlan(promoted.planDigest));
  if (!frozen) throw new MistakeError('PLAN_LOST', `expected the plan of the rollout ${of}, got none: start a rollout`);
  const { stream, version } = frozen.plan.release;
  if (request.release !== `${stream}@${version}`) {
    throw new MistakeError('BAD_INPUT', `expected ${stream}@${version} of ${promoted.label}, got ${request.release}`);
  }
  const commanded = await deps.registry.commandsOf(stream, { version });
  const planned = planCatchUp({
    plan: frozen.plan,
    sites,
    fleet: (await readFleet(deps)).sites,
    failed: countFailed(commanded, { version, generation: promoted.generation }),
    settleWithin: deps.catchUpPace?.settleWithin ?? CATCH_UP_PACE.settleWithin,
    digestOf,
  });
  return { plan: sealPlan(planned.plan), sites: planned.sites };
}
