/** What the programs of an undo run in. They may be all that stands between the site and what it was. */
import type { SiteContext } from './context.js';
import type { DriverTask, UndoPoint } from './drivers/driver.js';
import { forgetVerified, verifiedDirectory } from './task.js';

/**
 * The task with whole directories, made anew from their blobs where they are not. One that cannot be is used as it is: no
 * look at what is there may make an undo impossible. `tree`: of the component that is undone. `again`: it failed before,
 * so nothing is believed that was read back earlier.
 */
export async function wholeTask(
  context: SiteContext,
  { task, tree, point }: { task: DriverTask; tree: string | undefined; point: UndoPoint },
  again: boolean,
): Promise<DriverTask> {
  const whole = async (directory: string, of: string) => {
    if (again) forgetVerified(context, directory);
    return (await verifiedDirectory(context, directory, of).catch(() => undefined)) ?? directory;
  };
  const made = { ...task };
  const { before } = task;
  if (before) {
    // What is gone back to was looked at already, and is where its `reload` runs.
    const to = point.kind === 'link' && point.tree === before.tree ? point.to : undefined;
    made.before = { ...before, directory: to ?? (await whole(before.directory, before.tree)) };
  }
  // A link goes back without the release that is undone: it is not read while the bad one is live, unless all else failed.
  const runsInOwn = point.kind !== 'link' || !before || again;
  if (runsInOwn && tree !== undefined) made.directory = await whole(task.directory, tree);
  return made;
}
