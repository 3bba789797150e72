/** Puts the confirmed release back where it has drifted: a new verified directory, switched to in one step. */
import { realpath } from 'node:fs/promises';
import { WorldError } from '../policies/model/failure.js';
import { policyOf, repairedTree } from '../policies/site/decide-drift.js';
import type { SiteContext } from './context.js';
import { plainAt } from './files/durable.js';
import { captureTree, treeDigest } from './files/tree.js';
import type { HeldRow } from './store/rows.js';
import { driverOf, taskFor } from './task.js';

/** By component: the whole directory that it is switched to; absent for a component without one (`exec`). */
export type StagedRepair = Map<string, string | undefined>;

/**
 * Nothing of the site is changed. Within `Holdings.staging`: the books do not know of it. Throws WorldError
 * NOTHING_VERIFIED, STAGE_FAILED.
 */
export async function stageRepair(context: SiteContext, held: HeldRow, names: string[]): Promise<StagedRepair> {
  const staged: StagedRepair = new Map();
  for (const component of held.release.components) {
    if (!names.includes(component.name)) continue;
    const { driver, name } = component;
    const target = driver.type === 'directory' ? driver.target : undefined;
    staged.set(name, target === undefined ? undefined : await stageDirectory(context, held, name, target));
  }
  return staged;
}

async function stageDirectory(context: SiteContext, held: HeldRow, component: string, target: string): Promise<string> {
  const { holdings, storage, store } = context;
  if (plainAt(target)) {
    const detail = `component ${component}: what is at ${target} is no symlink; a repair does not move it aside`;
    throw new WorldError('SWITCH_FAILED', detail);
  }
  const wanted = store.tree(held.trees[component] ?? '');
  if (!wanted) throw new WorldError('NOTHING_VERIFIED', `component ${component}: the list of its files is gone`);
  const live = await realpath(target).catch(() => undefined);
  const found =
    live === undefined
      ? []
      : await captureTree(live, holdings.blobs).catch((error: unknown) => {
          storage.note(error, 'what is live, to be put back');
          return [];
        });
  const tree = repairedTree(wanted, found, (path) => policyOf(held.release.drift, component, path));
  // Of the root itself only the mode can be kept, and a target that is no directory has none.
  const entries = tree.some(({ path }) => path === '.') ? tree : wanted;
  if (treeDigest(entries) === held.trees[component]) {
    const whole = await holdings.wholeDirectory(holdings.directory(held.root, component), treeDigest(wanted));
    if (whole !== undefined) return whole;
    throw new WorldError(
      'NOTHING_VERIFIED',
      `component ${component}: its files are damaged, and no copy of them is whole`,
    );
  }
  const root = await holdings.stageTrees(held.root, new Map([[component, entries]]));
  return holdings.directory(root, component);
}

/** With the stream to itself, and in the order in which the release was switched. */
export async function repairComponents(context: SiteContext, held: HeldRow, staged: StagedRepair): Promise<void> {
  for (const component of held.release.components) {
    if (!staged.has(component.name)) continue;
    const directory = staged.get(component.name);
    const task = taskFor(context, held, component);
    await driverOf(context, component).activate(directory === undefined ? task : { ...task, directory });
    context.untidy = true;
  }
}
