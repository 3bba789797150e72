/** What undos go back to: state that a program saved, and directories of releases that may be kept no longer themselves. */
import type { StorageReport } from '../../policies/model/report.js';
import type { SiteContext } from '../context.js';
import { isDirectoryPoint, type UndoPoint } from '../drivers/driver.js';
import { savedDigest } from '../drivers/exec.js';
import type { HeldRow } from '../store/rows.js';
import { forgetVerified } from '../task.js';

export interface DamagedPoint {
  /** The release whose undo it is. */
  held: HeldRow;
  component: string;
  point: UndoPoint;
}

/** `readTree`, `readSaved`: true if it is whole. */
export interface PointReader {
  tree(directory: string, digest: string): Promise<boolean>;
  saved(path: string, digest: string): Promise<boolean>;
}

export async function damagedPoints(context: SiteContext, held: HeldRow, reader: PointReader): Promise<DamagedPoint[]> {
  const damaged: DamagedPoint[] = [];
  for (const [component, point] of Object.entries(held.undo)) {
    if (await isWhole(point, reader)) continue;
    if (isDirectoryPoint(point)) forgetVerified(context, point.to);
    damaged.push({ held, component, point });
  }
  return damaged;
}

async function isWhole(point: UndoPoint, reader: PointReader): Promise<boolean> {
  if (point.kind === 'saved') return reader.saved(point.path, point.digest);
  return !isDirectoryPoint(point) || reader.tree(point.to, point.tree);
}

export async function holdsSaved(path: string, digest: string): Promise<boolean> {
  return (await savedDigest(path).catch(() => undefined)) === digest;
}

/**
 * A directory is made anew beside the damaged one, and the undo goes there. Of what a program saved there is no second copy:
 * it is told, until another release is switched to, whose undo saves anew. `told`: its directory is that of a release whose
 * own damage was told.
 */
export async function healPoint(
  context: SiteContext,
  { held, component, point }: DamagedPoint,
  name: Damage,
  told: boolean,
): Promise<boolean> {
  const { holdings, log, store } = context;
  const detail = { ...name, undo: component };
  if (!told) store.transact(() => store.append({ kind: 'damage-found', stream: held.stream, detail }));
  const to = isDirectoryPoint(point) ? await holdings.wholeDirectory(point.to, point.tree) : undefined;
  if (!isDirectoryPoint(point) || to === undefined) {
    log.error(detail, 'what an undo would go back to is damaged and could not be made anew');
    return false;
  }
  store.transact(() => {
    const now = store.held(held.id);
    if (now) store.putHeld({ ...now, undo: { ...now.undo, [component]: { ...point, to } } });
    if (!told) store.append({ kind: 'damage-healed', stream: held.stream, detail: { ...detail, from: 'remake' } });
  });
  context.untidy = true;
  return true;
}

type Damage = StorageReport['damaged'][number];
