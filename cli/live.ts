/**
 * What the registry knows beyond the last status of a rollout: results are recorded as they come, while the rollout itself
 * is told of those that confirmed only when their shard ends.
 */
import type { Plan } from '../policies/model/plan.js';
import type { RolloutStatus, SiteOutcome, StageStatus } from '../policies/model/rollout.js';
import type { Registry, SiteTotal } from '../records/registry/registry.js';

export interface Live {
  /** With what is confirmed by now, and only the undos that are still owed. */
  rollout: RolloutStatus;
  /** Those that a person should look at first, the worst first; `of` in all. */
  problems: { first: SiteOutcome[]; of: number };
  waves: WaveProgress[];
}

/** A wave of the stage that something happens in. */
export interface WaveProgress {
  stage: string;
  /** Counted from 1. */
  wave: number;
  sites: number;
  /** Sites of it that have an outcome. */
  settled: number;
  hold: boolean;
}

const SHOWN = 10;
const PROBLEMS: readonly SiteTotal['outcome'][] = ['safe-mode', 'reverted', 'rejected', 'owed', 'deferred'];

/** `plan` where waves are to be shown. */
export async function liveOf(registry: Registry, rollout: RolloutStatus, plan?: Plan): Promise<Live> {
  const totals = await registry.siteTotals(rollout.firstRunId);
  const first = await registry.problemSites(rollout.firstRunId, SHOWN);
  const now = { ...rollout, stages: rollout.stages.map((stage) => withConfirmed(stage, totals)) };
  const owedReverts = await stillOwed(registry, rollout);
  return {
    rollout: { ...now, owedReverts },
    problems: { first, of: sum(totals.filter(({ outcome }) => PROBLEMS.includes(outcome))) },
    waves: plan ? wavesOf(now, plan, totals) : [],
  };
}

/** After sealing the status is never written again, and sites go on answering. */
export async function stillOwed(registry: Registry, rollout: RolloutStatus): Promise<string[]> {
  if (rollout.state !== 'sealed' || rollout.owedReverts.length === 0) return rollout.owedReverts;
  const debts = await registry.debts({ firstRunId: rollout.firstRunId, verb: 'revert' });
  return debts.map(({ site }) => site).sort();
}

/** A site that confirmed may revert later: only a stage that is being changed is behind its results. */
function withConfirmed(stage: StageStatus, totals: SiteTotal[]): StageStatus {
  if (stage.state !== 'running') return stage;
  const confirmed = sum(totals.filter((one) => one.stage === stage.name && one.outcome === 'confirmed'));
  return { ...stage, confirmed: Math.max(stage.confirmed, confirmed) };
}

/** Waves follow each other, so that what has settled in a stage fills them in their order. */
function wavesOf(rollout: RolloutStatus, plan: Plan, totals: SiteTotal[]): WaveProgress[] {
  const stage = rollout.stages.find(({ state }) => ['running', 'gating', 'waiting'].includes(state));
  const planned = plan.stages.find(({ name }) => name === stage?.name);
  if (!stage || !planned) return [];
  const settled = totals.filter((one) => one.stage === stage.name && one.outcome !== 'unsettled');
  let left = sum(settled.filter(({ outcome }) => outcome !== 'untouched'));
  return planned.waves.map(({ sites, hold }, index) => {
    const own = Math.min(left, sites.length);
    left -= own;
    return { stage: stage.name, wave: index + 1, sites: sites.length, settled: own, hold: hold === true };
  });
}

function sum(totals: { count: number }[]): number {
  return totals.reduce((count, one) => count + one.count, 0);
}
