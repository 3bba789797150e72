/** Releases that are whole on disk: what of one is damaged is made anew beside it, as a whole, and put on the books. */
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { isDirectoryPoint, type UndoPoint } from './drivers/driver.js';
import { holdsTree, type TreeEntry } from './files/tree.js';
import type { HeldRow } from './store/rows.js';
import { forgetVerified, noteVerified, taskFor, verifiedKey } from './task.js';

/** A root that holds every tree of the release: its own if it does, else one made anew. Undefined: nobody knows its files. */
export async function stageWhole({ holdings, store }: SiteContext, held: HeldRow): Promise<string | undefined> {
  const trees = new Map<string, TreeEntry[]>();
  for (const [component, digest] of Object.entries(held.trees)) {
    const entries = store.tree(digest);
    if (entries === undefined) return undefined;
    trees.set(component, entries);
  }
  return holdings.stageTrees(held.root, trees);
}

/**
 * `lkg` with a root that is whole as far as an undo of `held` goes back to it; it may be on no books yet. One root has to name all
 * of a release: so all of it is made anew. `lkg` as it is if that cannot be; never throws: each component may still go back alone.
 */
export async function wholeBefore(context: SiteContext, held: HeldRow, lkg: HeldRow): Promise<HeldRow> {
  try {
    if (await isWholeBefore(context, held, lkg)) return lkg;
    // A sweep that is under way does not know of it, and would take it away again.
    const root = await context.holdings.staging(() => stageWhole(context, lkg));
    if (root === undefined) return lkg;
    const whole = { ...lkg, root };
    noteVerified(context, whole);
    return whole;
  } catch (error) {
    context.storage.note(error, `making ${lkg.stream} ${lkg.version} anew`);
    context.log.warn({ stream: lkg.stream, version: lkg.version, error: messageOf(error) }, 'not made anew as a whole');
    return lkg;
  }
}

/** Directories alone are gone back to; of programs it is their saved state that is. */
async function isWholeBefore(context: SiteContext, held: HeldRow, lkg: HeldRow): Promise<boolean> {
  for (const component of held.release.components) {
    const { before, directory } = taskFor(context, held, component, lkg);
    if (!before || component.driver.type !== 'directory') continue;
    const key = verifiedKey(before.directory, before.tree);
    // Of the very same files, it is what is live, and whatever has become of it since it was read would be gone back to.
    if (before.directory === directory) forgetVerified(context, directory);
    if (context.verified.has(key)) continue;
    if (!(await holdsTree(before.directory, before.tree))) return false;
    context.verified.add(key);
  }
  return true;
}

/**
 * On every row that names the root `from`, as its own or in what it goes back to, `to` takes its place; nothing needs `from` then, and
 * a sweep removes it. Within the transaction that tells why. `stays`: rows that go on naming their own root as it is.
 */
export function bookRoot(
  { holdings, store }: SiteContext,
  { from, to }: { from: string; to: string },
  stays: (held: HeldRow) => boolean = () => false,
): void {
  if (from === to) return;
  const old = `${holdings.directory(from)}/`;
  const moved = (point: UndoPoint): UndoPoint => {
    if (!isDirectoryPoint(point) || !point.to.startsWith(old)) return point;
    return { ...point, to: holdings.directory(to, point.to.slice(old.length)) };
  };
  for (const held of store.allHeld()) {
    const undo = Object.fromEntries(Object.entries(held.undo).map(([name, point]) => [name, moved(point)]));
    const root = held.root === from && !stays(held) ? to : held.root;
    const isChanged = root !== held.root || Object.keys(undo).some((name) => undo[name] !== held.undo[name]);
    if (isChanged) store.putHeld({ ...held, root, undo });
  }
}
