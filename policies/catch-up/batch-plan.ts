/**
 * The plan of a batch: returning sites in the stages that they had in the plan of the promoted rollout, under its gates and
 * what is left of its budgets (design §4.7).
 */
import { sitesOf } from '../cohort/share.js';
import { inOrder, planWaves } from '../cohort/waves.js';
import { plannedSite, type UnsealedPlan } from '../cohort/plan.js';
import { MistakeError } from '../model/failure.js';
import type { Site } from '../model/fleet.js';
import type { Plan, PlannedSite, PlanStage } from '../model/plan.js';
import { tallyOf } from '../rollout/budget.js';
import type { Commanded } from './owed-site.js';

export interface CatchUpPlanInput {
  /** Of the promoted rollout. */
  plan: Plan;
  /** Ids asked for; those that the fleet no longer lets in are `excluded`. */
  sites: readonly string[];
  /** The fleet as it is now. */
  fleet: readonly Site[];
  /** By stage: sites that failed there in the promoted rollout and in batches since. See `countFailed`. */
  failed: ReadonlyMap<string, number>;
  /** ms: the most that a site gets from the scheduling of its command. */
  settleWithin: number;
  digestOf: (value: unknown) => string;
}

/** Throws MistakeError SELECTOR_EMPTY if none of the sites is active and lists the stream any more. */
export function planCatchUp(input: CatchUpPlanInput): { plan: UnsealedPlan; sites: Record<string, PlannedSite> } {
  const { plan } = input;
  const { chosen, excluded } = scopeOf(input);
  if (chosen.length === 0) {
    const lines = excluded.map(({ site, reason }) => `${site}: ${reason}`);
    throw new MistakeError('SELECTOR_EMPTY', `expected a site that can be brought to ${plan.release.version}`, lines);
  }
  const { digest: _, ...rest } = plan;
  return {
    plan: { ...rest, stages: planCatchUpStages(input, chosen), excluded },
    sites: Object.fromEntries(chosen.map((site) => [site.id, plannedSite(site)])),
  };
}

function scopeOf({ plan, sites, fleet }: CatchUpPlanInput): { chosen: Site[]; excluded: Plan['excluded'] } {
  const known = new Map(fleet.map((site) => [site.id, site]));
  const [chosen, excluded]: [Site[], Plan['excluded']] = [[], []];
  for (const id of new Set(sites)) {
    const site = known.get(id);
    if (!site) excluded.push({ site: id, reason: 'not in the fleet' });
    else if (site.state !== 'active') excluded.push({ site: id, reason: `state is ${site.state}` });
    else if (!site.streams.includes(plan.release.stream)) {
      excluded.push({ site: id, reason: `does not list stream ${plan.release.stream}` });
    } else chosen.push(site);
  }
  return { chosen, excluded: excluded.sort((a, b) => (a.site < b.site ? -1 : 1)) };
}

/** Only stages that get a site, in the order of the plan. A redundancy group is still split into successive waves. */
function planCatchUpStages({ plan, failed, settleWithin, digestOf }: CatchUpPlanInput, chosen: Site[]): PlanStage[] {
  const stageOf = new Map(plan.stages.flatMap((stage) => sitesIn(stage).map((site) => [site, stage.name])));
  // A site that the plan does not name joins the last stage: what is changed last is guarded best.
  const last = plan.stages.at(-1)?.name;
  return plan.stages.flatMap((stage) => {
    const members = inOrder(chosen.filter((site) => (stageOf.get(site.id) ?? last) === stage.name));
    if (members.length === 0) return [];
    const limit = sitesOf(stage.budget.failed, sitesIn(stage).length);
    return {
      ...stage,
      waves: planWaves(members, ['100%']).map((wave) => ({
        sites: wave.sites.map((site) => ({ id: site.id, varsDigest: digestOf(site.vars) })),
      })),
      settleWithin: Math.min(settleWithin, patienceOf(stage, members)),
      // Whoever is away again stays owed; that is no verdict on the release.
      budget: { failed: Math.max(0, limit - (failed.get(stage.name) ?? 0)), owed: '100%' },
    };
  });
}

function patienceOf({ settleWithin }: PlanStage, members: Site[]): number {
  return settleWithin === 'link' ? Math.max(...members.map(({ link }) => link.settleWithin)) : settleWithin;
}

function sitesIn(stage: PlanStage): string[] {
  return stage.waves.flatMap((wave) => wave.sites.map(({ id }) => id));
}

/**
 * How many sites of each stage have failed since `generation`: each once, by what its latest converge to the version
 * ended with. A site that got there in the end has not failed.
 */
export function countFailed(
  commanded: readonly Commanded[],
  of: { version: string; generation: number },
): Map<string, number> {
  const latest = new Map<string, Commanded>();
  for (const command of commanded) {
    const counts = command.verb === 'converge' && command.version === of.version && command.generation >= of.generation;
    if (!counts || !command.outcome || tallyOf(command.outcome) === 'owed') continue;
    const known = latest.get(command.site);
    if (!known || known.scheduledAt <= command.scheduledAt) latest.set(command.site, command);
  }
  const failed = new Map<string, number>();
  for (const { outcome } of latest.values()) {
    if (outcome && tallyOf(outcome) === 'failed') failed.set(outcome.stage, (failed.get(outcome.stage) ?? 0) + 1);
  }
  return failed;
}
