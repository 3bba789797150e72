/** Planning: strategy × fleet × release → which site in which wave of which stage (design §2, §4.2). */
import { MistakeError } from '../model/failure.js';
import type { ResolvedFleet, Site } from '../model/fleet.js';
import { didYouMean } from '../model/nearest.js';
import type { Plan, PlannedSite, PlanStage } from '../model/plan.js';
import type { ReleaseRef } from '../model/release.js';
import { stageSettings, type Selector, type Stage, type Strategy } from '../model/strategy.js';
import { planCohorts, type Cohort } from './cohorts.js';
import { planScope } from './scope.js';
import { isZero } from './share.js';
import { planWaves } from './waves.js';

export interface PlanInput {
  release: ReleaseRef;
  fleet: ResolvedFleet;
  strategy: Strategy;
  /** Of the strategy as it was imported. */
  strategyDigest: string;
  only?: Selector | undefined;
  /** `digestOf` of policies/signing: digests need node's crypto, and workflows bundle this room. */
  digestOf: (value: unknown) => string;
}

/** A plan but for its own digest: `sealPlan` of policies/signing adds it. */
export type UnsealedPlan = Omit<Plan, 'digest'>;

/**
 * The same inputs give the same plan, whatever the order of the fleet's sites and whatever the time.
 * Throws MistakeError: SITE_NOT_FOUND, SELECTOR_EMPTY, SITE_IN_NO_STAGE, STRATEGY_INVALID.
 */
export function planRollout(input: PlanInput): { plan: UnsealedPlan; sites: Record<string, PlannedSite> } {
  const { release, strategy, digestOf } = input;
  const fleet = [...input.fleet.sites].sort((a, b) => (a.id < b.id ? -1 : 1));
  const scope = planScope({ ...input.fleet, sites: fleet }, release.stream, input.only);
  const cohorts = planCohorts(scope, fleet, strategy);
  const plan: UnsealedPlan = {
    version: 1,
    release: { stream: release.stream, version: release.version, digest: release.digest },
    strategy: {
      name: strategy.name,
      digest: input.strategyDigest,
      ...(strategy.owner === undefined ? {} : { owner: strategy.owner }),
      onFailure: strategy.onFailure,
      onInconclusive: { within: strategy.onInconclusive.within, then: strategy.onInconclusive.then },
      ...(strategy.prefetch === undefined ? {} : { prefetch: strategy.prefetch }),
    },
    stages: cohorts.map((cohort) => planStage(cohort, strategy, digestOf)),
    excluded: scope.excluded,
  };
  return { plan, sites: Object.fromEntries(scope.chosen.map((site) => [site.id, plannedSite(site)])) };
}

function planStage({ name, stage, sites }: Cohort, strategy: Strategy, digestOf: PlanInput['digestOf']): PlanStage {
  refuseShrinking(stage);
  const settings = stageSettings(strategy, stage);
  return {
    name,
    waves: planWaves(sites, stage.waves).map((wave) => ({
      sites: wave.sites.map((site) => ({ id: site.id, varsDigest: digestOf(site.vars) })),
      ...(wave.hold ? { hold: true as const } : {}),
    })),
    gate: planGate(stage, strategy, settings),
    soak: settings.soak,
    concurrency: settings.concurrency,
    settleWithin: settings.settleWithin,
    budget: settings.budget,
  };
}

/** A gate is mandatory: leaving it out is a mistake, and leaving it out on purpose has to say why. */
function planGate(
  stage: Stage,
  strategy: Strategy,
  { gate: name, because }: { gate?: string | undefined; because?: string | undefined },
): PlanStage['gate'] {
  const known = Object.keys(strategy.gates);
  if (name === undefined) {
    throw invalid(
      stage,
      `has no gate: name one of ${known.join(', ') || '(none defined)'}, or write gate: none, because:`,
    );
  }
  if (name === 'none') {
    if (because === undefined) throw invalid(stage, 'says gate: none without because:');
    return { name: 'none', because };
  }
  const gate = Object.hasOwn(strategy.gates, name) ? strategy.gates[name] : undefined;
  if (!gate) throw invalid(stage, `names the gate ${name}, which is not under gates:.${didYouMean(name, known)}`);
  return { name, metrics: gate.metrics };
}

/** Waves are cumulative: a smaller entry after a larger one of the same kind cannot mean what was written. */
function refuseShrinking(stage: Stage): void {
  for (const kind of ['number', 'string'] as const) {
    const entries = stage.waves.filter((entry) => typeof entry === kind && !isZero(entry));
    const sizes = entries.map((entry) => Number.parseFloat(String(entry)));
    if (sizes.some((size, i) => i > 0 && size < (sizes[i - 1] ?? 0))) {
      throw invalid(stage, `has cumulative waves that shrink: ${stage.waves.join(', ')}`);
    }
  }
}

export function plannedSite(site: Site): PlannedSite {
  const { id, queue, vars, risk, link, region, cluster, assetType, redundancyGroup } = site;
  return {
    id,
    queue,
    vars,
    risk,
    link,
    ...(region === undefined ? {} : { region }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(assetType === undefined ? {} : { assetType }),
    ...(redundancyGroup === undefined ? {} : { redundancyGroup }),
  };
}

function invalid(stage: Stage, what: string): MistakeError {
  return new MistakeError('STRATEGY_INVALID', `stage ${stage.name} ${what}`);
}
