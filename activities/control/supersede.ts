/** Taking over from the rollout that holds the stream's lock (design §4; `start --supersede`). */
import { type Client, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { MistakeError } from '../../policies/model/failure.js';
import type { FrozenPlan } from '../../policies/model/plan.js';
import { REASON_CODES } from '../../policies/model/reasons.js';
import type { RolloutRequest, VerbAnswer, VerbPayload } from '../../policies/model/rollout.js';
import { SEALED } from '../../policies/rollout/verbs.js';
import { wordsOfBlock } from '../../policies/preflight/blocked.js';
import { cannotBeAsked, wordsOfHeld } from '../../policies/rollout/held-by.js';
import type { LockHolder, RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { resolvePlan } from './freeze-plan.js';
import { refuseBehindElsewhere } from './rival.js';
import { judgeFrozen } from './run-preflight.js';

/**
 * The rollout that is asked decides: it knows which sites it has commanded, and commands none from that moment on. It is
 * told which sites of its plan the new plan leaves out. Throws MistakeError with its reason if it does not give way, and
 * before anybody is asked if the one that takes over could not begin: none would be left running.
 */
export async function supersede(
  deps: ControlDeps,
  request: RolloutRequest,
  holder: LockHolder,
  run: RunIdentity,
): Promise<void> {
  const after = await resolvePlan(deps, request);
  await refuseBehindElsewhere(deps, after.plan.release.stream, run);
  const { blocked, counts, first } = await judgeFrozen(deps, after, run);
  if (blocked) {
    const words = `${wordsOfBlock(counts.block, first)}; ${holder.label ?? holder.workflowId} was not asked to give way`;
    throw new MistakeError('PREFLIGHT_BLOCKED', words);
  }
  await askToGiveWay(deps.client, request, holder, run, await leftOut(deps, holder, after));
}

export async function askToGiveWay(
  client: Client,
  request: RolloutRequest,
  holder: LockHolder,
  run: RunIdentity,
  leftOut: string[],
): Promise<void> {
  if (cannotBeAsked(holder)) {
    const [stream = ''] = request.release.split('@');
    throw new MistakeError('STREAM_LOCKED', wordsOfHeld(stream, holder));
  }
  const payload: VerbPayload = {
    by: request.by ?? 'foothold',
    reason: request.reason ?? `${request.release} takes over`,
    rollout: run.workflowId,
    leftOut,
  };
  try {
    // The id makes a retry of this activity ask once.
    await client.workflow.getHandle(holder.workflowId).executeUpdate<VerbAnswer, [VerbPayload]>('supersede', {
      args: [payload],
      updateId: `supersede/${run.firstRunId}`,
    });
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return;
    if (!(error instanceof WorkflowUpdateFailedError) || !(error.cause instanceof ApplicationFailure)) throw error;
    const { type, message } = error.cause;
    if (type === SEALED) return;
    const code = REASON_CODES.find((known) => known === type) ?? 'STREAM_LOCKED';
    throw new MistakeError(code, `${holder.label ?? holder.workflowId} does not give way: ${message}`);
  }
}

/** What the reconciler was to bring up to date it goes on owing: its batches may be cut short anywhere. */
async function leftOut(deps: ControlDeps, holder: LockHolder, after: FrozenPlan): Promise<string[]> {
  if (holder.catchUp) return [];
  const running = await deps.registry.findRollout(holder.firstRunId);
  const before = running && (await deps.registry.frozenPlan(running.planDigest));
  if (!before) return [];
  return Object.keys(before.sites)
    .filter((site) => after.sites[site] === undefined)
    .sort();
}
