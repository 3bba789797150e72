/** What becomes of a rollout just after its start: it gets its label, or it is refused before it has one. */
import type { RolloutStatus } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import type { Context } from './context.js';
import { pause } from './io.js';
import { queryStatus } from './rollouts.js';

export type Beginning =
  | { kind: 'begun'; rollout: RolloutStatus }
  | { kind: 'refused'; code: string; detail: string }
  /** Not planned while this waited; Temporal keeps it. `because`: what the control worker said, if one has taken it. */
  | { kind: 'not begun'; because?: string };

const PATIENCE = 10_000;
const EVERY = 250;

/** Waits until the plan is frozen and preflight is over, the rollout ends, or `patience` (ms) runs out. */
export async function awaitBeginning(context: Context, workflowId: string, patience = PATIENCE): Promise<Beginning> {
  const until = context.io.now() + patience;
  let seen: RolloutStatus | undefined;
  for (;;) {
    seen = (await look(context, workflowId)) ?? seen;
    if (seen && seen.state !== 'planning' && seen.state !== 'preflight') return asBegun(seen);
    const refused = seen ? undefined : await refusal(context, workflowId);
    if (refused) return refused;
    if (context.io.now() >= until || context.io.interrupted.aborted) break;
    await pause(EVERY, context.io.interrupted);
  }
  if (seen) return { kind: 'begun', rollout: seen };
  const because = await obstacle(context, workflowId);
  return { kind: 'not begun', ...(because === undefined ? {} : { because }) };
}

/** Refused before its plan was frozen, it never began: there is nothing of it but the reason. */
function asBegun(rollout: RolloutStatus): Beginning {
  const { outcome, reason, stages } = rollout;
  if (outcome === 'refused' && reason && stages.length === 0) return { kind: 'refused', ...reason };
  return { kind: 'begun', rollout };
}

async function look(context: Context, workflowId: string): Promise<RolloutStatus | undefined> {
  const registry = await context.registryIfHere();
  if (registry) return registry.findRollout(workflowId);
  const status = await queryStatus(await context.temporal(), workflowId, 2_000).catch(() => undefined);
  return status === 'unknown workflow' ? undefined : status;
}

/** A rollout that was refused before its plan was frozen is not in the registry: only the workflow knows why. */
async function refusal(context: Context, workflowId: string): Promise<Beginning | undefined> {
  const { client } = await context.temporal();
  const handle = client.workflow.getHandle(workflowId);
  const { status } = await handle.describe();
  if (status.name === 'RUNNING') return undefined;
  const { ApplicationFailure } = await import('@temporalio/common');
  try {
    await handle.result();
    return undefined;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const reason =
      cause instanceof ApplicationFailure ? (cause.details?.[0] as Partial<Reason> | undefined) : undefined;
    const detail = reason?.detail ?? (cause instanceof Error ? cause.message : String(error));
    return { kind: 'refused', code: reason?.code ?? status.name, detail };
  }
}

/** The last failure of an activity that the rollout waits for: it is tried again, and a person may mend its cause. */
async function obstacle(context: Context, workflowId: string): Promise<string | undefined> {
  const { client } = await context.temporal();
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const failing = raw.pendingActivities?.find((activity) => activity.lastFailure);
  const failure = failing?.lastFailure;
  if (!failure) return undefined;
  const code = failure.applicationFailureInfo?.type ?? '';
  return `${code} (${failure.message ?? 'no message'}), tried ${failing.attempt ?? 1} times`;
}
