/**
 * The sweeper: seals what Temporal has ended and nobody recorded, and wakes the reconciler where there is work (design §4
 * "Terminated"). Every step may be repeated; a rollout is sealed whole or not at all, and until then it is found again.
 */
import { CATCH_UP } from '../../policies/model/debt.js';
import { nextCatchUp } from '../../policies/catch-up/next.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { EndedRollout } from '../../records/registry/known-rollouts.js';
import type { Namespace, Registry, UnsealedRollout } from '../../records/registry/registry.js';
import type { GiveUp, SweepSummary } from '../contract.js';
import { catchUpFacts } from './catch-up-facts.js';
import type { ControlDeps } from './deps.js';
import { endOrphanedLocks } from './orphaned-locks.js';
import { giveUpRetired } from './retired.js';
import { findRun, unknownEnding, type RolloutEnding } from './rollout-ending.js';
import { askSilentRuns } from './silent-runs.js';
import { describeNamespace } from './temporal-facts.js';
import { wakeCatchUp } from './wake-catch-up.js';
import { withdrawHindered } from './withdraw.js';

export async function sweep(deps: ControlDeps, word?: GiveUp): Promise<SweepSummary> {
  const summary: SweepSummary = { terminated: [], woken: [], elsewhere: [], failed: [] };
  // First: an agent that comes back at this moment would begin them.
  await attempt(summary, 'commands of hindered sites', async () => void (await withdrawHindered(deps)));
  const here = await describeNamespace(deps.client);
  for (const rollout of await deps.registry.unsealedRollouts()) {
    const { label } = rollout;
    await attempt(summary, label, async () => {
      const told = await deps.registry.findRollout(rollout.firstRunId);
      const ending = await judgeEnd(deps, here, rollout, word);
      if (ending === 'elsewhere') summary.elsewhere.push(label);
      else if (ending && (await sealEnded(deps, rollout, told, ending))) summary.terminated.push(label);
    });
  }
  for (const debt of await deps.registry.retiredReverts()) {
    await attempt(summary, `${debt.site} of ${debt.label}`, () => giveUpRetired(deps, debt));
  }
  const each = (workflowId: string, work: () => Promise<void>) => attempt(summary, workflowId, work);
  await attempt(summary, 'runs that have told nothing', () => askSilentRuns(deps, each));
  await attempt(summary, 'locks of rollouts that have ended', () => endOrphanedLocks(deps, each));
  for (const stream of await streamsWithWork(deps)) {
    await attempt(summary, stream, async () => {
      if (!(await hasWork(deps, stream))) return;
      await wakeCatchUp(deps.client, stream);
      summary.woken.push(stream);
    });
  }
  return summary;
}

/** What fails at one must not keep the sweep from those behind it. */
async function attempt(summary: SweepSummary, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    summary.failed.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * That a workflow is not here says something only in the namespace that it ran in: a worker that was pointed elsewhere,
 * or a Temporal made anew, finds none, and the rollouts may be alive. Those only a person gives up.
 */
async function judgeEnd(
  { client, registry }: ControlDeps,
  here: Namespace,
  rollout: UnsealedRollout,
  word: GiveUp | undefined,
): Promise<RolloutEnding | 'elsewhere' | undefined> {
  const { firstRunId, namespace, label } = rollout;
  // A run id is never given twice: where its first run is found, there it runs.
  const found = await findRun(client, rollout);
  if (found.is !== 'gone') {
    if (!namespace) await registry.placeRollout(firstRunId, here);
    return found.is === 'ended' ? found.ending : undefined;
  }
  if (word?.giveUp.includes(label)) return unknownEnding(rollout, word);
  return namespace?.id === here.id ? unknownEnding(rollout) : 'elsewhere';
}

/** `told`: read before Temporal was asked. One that has told more since then is alive again, or found by the next sweep. */
async function sealEnded(
  { registry, now }: ControlDeps,
  rollout: UnsealedRollout,
  told: RolloutStatus | undefined,
  ending: RolloutEnding,
): Promise<boolean> {
  const { firstRunId } = rollout;
  if (told?.state === 'sealed' && told.outcome) {
    // Ended between its seal and the hand-over that follows it.
    await registry.handOver(firstRunId, told.outcome, now());
    return false;
  }
  const { outcome, reason, by = 'sweeper', runId = 'gone' } = ending;
  const sealed = sealedStatus(rollout, told, ending, now());
  const unheard = await unheardSites(registry, firstRunId);
  const evidence = { kind: 'sealed', data: { outcome, reason, by, lastSaid: told?.state ?? null } };
  return registry.sealEnded({ sealed, ...(told && { seenAt: told.updatedAt }), runId, unheard, evidence }, now());
}

/** Nobody is left to say of a site that was commanded and has not answered that it owes the answer. */
async function unheardSites(registry: Registry, firstRunId: string): Promise<EndedRollout['unheard']> {
  const silent = (await registry.commanded(firstRunId)).filter(({ outcome }) => outcome === undefined);
  return silent.map(({ site, stage, wave, commandId, state }) => {
    const never = state === null;
    const reason: Reason = never
      ? { code: 'UNREACHED', detail: 'the rollout ended before the site had received its command' }
      : { code: 'NO_RESULT', detail: `the rollout ended first; last known was ${state ?? 'nothing'}` };
    const known = state === undefined ? {} : { state };
    return { site, commandId, outcome: { site, outcome: 'owed' as const, stage, wave, reason, ...known } };
  });
}

/**
 * Told when Temporal ended it: stamped by the clock of a worker that is ahead, what a run that was reset tells would be
 * old news for as long.
 */
function sealedStatus(
  rollout: UnsealedRollout,
  told: RolloutStatus | undefined,
  { outcome, reason, endedAt }: RolloutEnding,
  now: number,
): RolloutStatus {
  const { wait: _, ...known } = told ?? untold(rollout);
  const stages = known.stages.map((stage) =>
    stage.state === 'running' || stage.state === 'gating' || stage.state === 'waiting'
      ? { ...stage, state: 'stopped' as const }
      : stage,
  );
  return { ...known, stages, state: 'sealed', outcome, reason, updatedAt: Math.max(endedAt ?? now, known.updatedAt) };
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
