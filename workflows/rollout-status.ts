/** The rollout as people see it: what the `status` query answers and the registry keeps. */
import type { OutlineStage } from '../policies/model/outline.js';
import type { RolloutStatus, StageStatus } from '../policies/model/rollout.js';
import { countStage } from '../policies/rollout/budget.js';
import { outcomesOf, sizeOf, type RolloutRun } from './rollout-run.js';

export function statusOf(run: RolloutRun, now: number): RolloutStatus | null {
  const { outline } = run;
  if (!outline || run.reading) return null;
  const status: RolloutStatus = {
    label: outline.label,
    workflowId: run.identity.workflowId,
    firstRunId: run.identity.firstRunId,
    stream: outline.release.stream,
    release: { version: outline.release.version, digest: outline.release.digest },
    strategy: outline.strategy.name,
    planDigest: outline.planDigest,
    generation: outline.generation,
    state: run.paused && run.state !== 'sealed' && run.state !== 'reverting' ? 'paused' : run.state,
    stages: outline.stages.map((stage) => stageStatus(run, stage)),
    startedAt: run.startedAt,
    updatedAt: now,
    owedReverts: [...run.reverting].filter((site) => !run.answers.has(site)).sort(),
  };
  if (run.outcome) status.outcome = run.outcome;
  if (run.reason) status.reason = run.reason;
  if (run.wait) status.wait = run.wait;
  if (run.prefetch) status.prefetch = run.prefetch;
  return status;
}

function stageStatus(run: RolloutRun, stage: OutlineStage): StageStatus {
  const progress = run.stages[stage.name];
  const count = countStage(outcomesOf(run, stage.name));
  const status: StageStatus = {
    name: stage.name,
    sites: sizeOf(stage),
    wave: progress?.wave ?? 0,
    waves: stage.waves.length,
    confirmed: count.confirmed.length,
    failed: count.failed.length,
    owed: count.owed.length,
    state: progress?.state ?? 'untouched',
  };
  if (progress?.gate) status.gate = progress.gate;
  if (progress?.state === 'gating' && progress.soakUntil !== undefined) status.soakUntil = progress.soakUntil;
  return status;
}
