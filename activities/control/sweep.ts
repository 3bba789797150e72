/**
 * The sweeper: seals what Temporal has ended and nobody recorded, and wakes the reconciler where there is work (design §4
 * "Terminated"). Every step may be repeated: `putStatus` comes last, and until then the rollout is found again.
 */
import { CATCH_UP } from '../../policies/model/debt.js';
import { nextCatchUp } from '../../policies/catch-up/next.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { UnsealedRollout } from '../../records/registry/registry.js';
import type { SweepSummary } from '../contract.js';
import { catchUpFacts } from './catch-up-facts.js';
import type { ControlDeps } from './deps.js';
import { findEnd, type RolloutEnding } from './rollout-ending.js';
import { wakeCatchUp } from './wake-catch-up.js';

export async function sweep(deps: ControlDeps): Promise<SweepSummary> {
  const summary: SweepSummary = { terminated: [], woken: [] };
  for (const rollout of await deps.registry.unsealedRollouts()) {
    const ending = await findEnd(deps.client, rollout);
    if (ending && (await sealEnded(deps, rollout, ending))) summary.terminated.push(rollout.label);
  }
  for (const stream of await streamsWithWork(deps)) {
    if (!(await hasWork(deps, stream))) continue;
    await wakeCatchUp(deps.client, stream);
    summary.woken.push(stream);
  }
  return summary;
}

/** Read again after Temporal was asked: what a rollout had recorded before it ended is what counts. */
async function sealEnded(deps: ControlDeps, rollout: UnsealedRollout, ending: RolloutEnding): Promise<boolean> {
  const { registry, now } = deps;
  const { firstRunId } = rollout;
  const told = await registry.findRollout(firstRunId);
  if (told?.state === 'sealed' && told.outcome) {
    // Ended between its seal and the hand-over that follows it.
    await registry.handOver(firstRunId, told.outcome, now());
    return false;
  }
  const { outcome, reason } = ending;
  const draft = { kind: 'sealed', data: { outcome, reason, by: 'sweeper', lastSaid: told?.state ?? null } };
  await registry.appendEvidence({ firstRunId, runId: 'sweep', activityId: 'sealed' }, [draft], now());
  await registry.handOver(firstRunId, outcome, now());
  await registry.putStatus(sealedStatus(rollout, told, ending, now()));
  return true;
}

function sealedStatus(
  rollout: UnsealedRollout,
  told: RolloutStatus | undefined,
  { outcome, reason }: RolloutEnding,
  now: number,
): RolloutStatus {
  const { wait: _, ...known } = told ?? untold(rollout);
  const stages = known.stages.map((stage) =>
    stage.state === 'running' || stage.state === 'gating' || stage.state === 'waiting'
      ? { ...stage, state: 'stopped' as const }
      : stage,
  );
  return { ...known, stages, state: 'sealed', outcome, reason, updatedAt: Math.max(now, known.updatedAt) };
}

/** Ended between freezing its plan and its first word. */
function untold(rollout: UnsealedRollout): RolloutStatus {
  const { label, workflowId, firstRunId, stream, release, planDigest, generation, startedAt } = rollout;
  const named = { label, workflowId, firstRunId, stream, release, planDigest, generation, startedAt };
  return { ...named, strategy: '', state: 'planning', stages: [], updatedAt: startedAt, owedReverts: [] };
}

async function streamsWithWork({ registry }: ControlDeps): Promise<string[]> {
  const owing = (await registry.debtTotals()).filter(({ owner }) => owner === CATCH_UP).map(({ stream }) => stream);
  return [...new Set([...(await registry.desiredStreams()), ...owing])].sort();
}

async function hasWork(deps: ControlDeps, stream: string): Promise<boolean> {
  const facts = await catchUpFacts(deps, stream);
  const { kind } = nextCatchUp(facts, { refused: {}, asked: [] }, deps.now(), 0);
  return kind === 'deliver' || kind === 'batch';
}
