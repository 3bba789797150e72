/** What several undos of one rollout come to together. Pure. */
import type { UndoScope } from '../model/rollout.js';

/** Whether a stage's confirmed sites stay as they are: only if every undo that goes to it leaves them. Undefined: none goes to it. */
export function keepsConfirmed(undos: UndoScope[], stage: string): boolean | undefined {
  const its = undos.filter(({ stages }) => stages.includes(stage));
  return its.length === 0 ? undefined : its.every(({ keepConfirmed }) => keepConfirmed);
}
