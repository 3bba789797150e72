/** Who keeps a rollout from beginning on a stream, in the words of `STREAM_LOCKED`. */
import { isLockId } from '../model/rollout.js';

export interface HeldBy {
  workflowId: string;
  /** Once its plan is frozen. */
  label?: string;
  /** Where it runs, when that is not where it was asked for: it may live, and cannot be asked. */
  elsewhere?: Elsewhere;
}

/** `unrecorded`: nobody wrote down where it began. */
export type Elsewhere = { name: string; id: string } | 'unrecorded';

/** A workflow under the lock's own id that names no rollout: somebody started it by hand. */
export function isBareLock({ workflowId }: HeldBy): boolean {
  return isLockId(workflowId);
}

/** Whether there is nobody who could give way. */
export function cannotBeAsked(held: HeldBy): boolean {
  return held.elsewhere !== undefined || isBareLock(held);
}

export function wordsOfHeld(stream: string, held: HeldBy): string {
  const { workflowId, label = workflowId, elsewhere } = held;
  if (isBareLock(held))
    return `the lock of stream ${stream} is held by ${workflowId}, which no rollout started; terminate that workflow in Temporal`;
  if (elsewhere === undefined)
    return `stream ${stream} is being rolled out by ${label} (${workflowId}); wait for it, abort it, or start with --supersede`;
  const where =
    elsewhere === 'unrecorded' ? 'nobody knows where' : `in the namespace ${elsewhere.name} (${elsewhere.id})`;
  return `stream ${stream} may be being rolled out by ${label} (${workflowId}) ${where}, and it is not here to be asked; go on where it runs, or, if it is lost for good: foothold abort ${label} --lost --reason …`;
}
