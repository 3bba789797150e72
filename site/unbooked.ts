/**
 * An undo that a disk did not let be written down is made all the same. If the process dies before it can be, the books go on
 * naming a release that is no longer live. Found at the next start, by what only that undo leaves behind.
 */
import type { SiteContext } from './context.js';
import type { UndoPoint } from './drivers/driver.js';
import type { HeldRow } from './store/rows.js';
import { driverOf, taskFor } from './task.js';
import { releaseBefore } from './trial.js';

/**
 * True if some component of `held` is not live, and what was live before it is: whoever drifted would have left neither. That has to
 * be something. Where nothing was before, a target that is missing now proves nothing: a mount that is late, a directory that does not
 * outlive the machine, or somebody's hand leave the same. Links tell at once; programs may take their time limits, so
 * that they are asked only with a reason (`programs`). Whoever does not wait for the answer leaves nothing in the way of an undo.
 */
export async function isUndoneUnbooked(
  context: SiteContext,
  held: HeldRow,
  programs = context.storage.fault !== undefined,
): Promise<boolean> {
  const lkg = releaseBefore(context.store, held);
  if (!lkg) return false;
  for (const component of held.release.components) {
    const point = held.undo[component.name];
    if (!point || !namesSomething(point) || (component.driver.type === 'exec' && !programs)) continue;
    const driver = driverOf(context, component);
    const is = (probe: Promise<boolean>) => probe.catch(() => undefined);
    const isDenied = async () => (await is(driver.probeLive(taskFor(context, held, component)))) === false;
    if (!(await isDenied())) continue;
    const task = taskFor(context, held, component, lkg);
    if (!(await is(driver.probeReverted({ ...task, saved: `${task.saved}.asked` }, point)))) continue;
    // A program that was still starting when it denied this release would affirm any release now.
    if (component.driver.type === 'directory' || (await isDenied())) return true;
  }
  return false;
}

function namesSomething(point: UndoPoint): boolean {
  return point.kind === 'saved' || point.to !== undefined;
}
