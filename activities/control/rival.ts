/** Who else rolls out a stream: the registry names who is not sealed, Temporal says whether it lives. */
import { cannotBeAsked, wordsOfHeld } from '../../policies/rollout/held-by.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { Namespace, UnsealedRollout } from '../../records/registry/registry.js';
import type { LockHolder, RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { findRun } from './rollout-ending.js';
import { describeNamespace } from './temporal-facts.js';

/**
 * One that cannot be asked to give way before one that can, then the oldest, or null. One that was terminated and not yet
 * swept does not live; one that has sealed commands nobody.
 */
export async function rivalOf(deps: ControlDeps, stream: string, run: RunIdentity): Promise<LockHolder | null> {
  const here = await describeNamespace(deps.client);
  let open: LockHolder | null = null;
  for (const rollout of await deps.registry.unsealedRollouts()) {
    if (rollout.stream !== stream || rollout.firstRunId === run.firstRunId) continue;
    if (rollout.status?.state === 'sealed') continue;
    const rival = await asRival(deps, here, rollout);
    if (rival?.elsewhere) return rival;
    open ??= rival;
  }
  return open;
}

/** Nobody is asked to give way to a rollout that another one would keep from beginning all the same. */
export async function refuseBehindElsewhere(deps: ControlDeps, stream: string, run: RunIdentity): Promise<void> {
  const rival = await rivalOf(deps, stream, run);
  if (rival && cannotBeAsked(rival)) throw new MistakeError('STREAM_LOCKED', wordsOfHeld(stream, rival));
}

/** That it is gone says something only in the namespace that it ran in, as for the sweeper. */
async function asRival({ client }: ControlDeps, here: Namespace, rollout: UnsealedRollout): Promise<LockHolder | null> {
  const { workflowId, firstRunId, label, catchUpOf, namespace } = rollout;
  const { is } = await findRun(client, rollout);
  if (is === 'ended' || (is === 'gone' && namespace?.id === here.id)) return null;
  return {
    workflowId,
    firstRunId,
    label,
    ...(catchUpOf !== undefined && { catchUp: true as const }),
    ...(is === 'gone' && { elsewhere: namespace ?? ('unrecorded' as const) }),
  };
}
