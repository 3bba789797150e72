/** Who else rolls out a stream: the registry names who is not sealed, Temporal says whether it lives. */
import type { LockHolder, RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { findRun } from './rollout-ending.js';

/** The oldest, or null. One that was terminated and not yet swept does not live; one that has sealed commands nobody. */
export async function rivalOf(
  { client, registry }: ControlDeps,
  stream: string,
  run: RunIdentity,
): Promise<LockHolder | null> {
  for (const rollout of await registry.unsealedRollouts()) {
    const { workflowId, firstRunId, label, catchUpOf, status } = rollout;
    if (rollout.stream !== stream || firstRunId === run.firstRunId || status?.state === 'sealed') continue;
    if ((await findRun(client, rollout)).is !== 'open') continue;
    return { workflowId, firstRunId, label, ...(catchUpOf !== undefined && { catchUp: true as const }) };
  }
  return null;
}
