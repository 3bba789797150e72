/** What an undo may have to write: the directories that it goes back to, made anew, and the live state that `save` writes again. */
import { lstatSync, readdirSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bytesOnDisk } from '../../policies/site/judge-disk.js';
import type { SiteContext } from '../context.js';
import type { HeldRow } from '../store/rows.js';

/** The largest undo of any stream. Streams are undone one after another at a boot, and what one has made anew stays. */
export function undoBytes(context: SiteContext): number {
  const { store } = context;
  const each = store.streams().map((row) => {
    const held = [...store.confirmed(row.stream).slice(0, 2), row.trial && store.held(row.trial.releaseId)];
    return held.reduce((most, one) => Math.max(most, one ? bytesOf(context, one) : 0), 0);
  });
  return each.reduce((sum, bytes) => sum + bytes, 0);
}

export function bytesOf({ holdings }: SiteContext, held: HeldRow): number {
  const made = bytesBelow(holdings.directory(held.root));
  const points = Object.entries(held.undo).map(([name, point]) => {
    if (point.kind === 'link') return point.to === undefined ? 0 : bytesBelow(point.to);
    return bytesBelow(dirname(holdings.saved(held, name)));
  });
  return points.reduce((sum, bytes) => sum + bytes, made);
}

function bytesBelow(path: string): number {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 0;
  if (!found.isDirectory()) return bytesOnDisk(found.size);
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), bytesOnDisk(0));
}

/** Sizes of the files below a directory. */
export async function filesBelow(directory: string): Promise<number[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile());
  return Promise.all(files.map(async (one) => (await lstat(join(one.parentPath, one.name))).size));
}
