/** Refuses a change for which there is no room, before anything is switched: an undo must always fit. */
import { judgeRoom, roomToStage } from '../../policies/site/judge-disk.js';
import type { ManifestFile } from '../../policies/model/release.js';
import { WorldError } from '../../policies/model/failure.js';
import type { SiteContext } from '../context.js';
import { undoBytes } from './measure.js';

/** Throws WorldError DISK_FULL, STORAGE_FAULT. Makes the reserve large enough for the undo of every stream, and for `ofThis` one. */
export function demandRoom(context: SiteContext, needed: number, ofThis = 0): void {
  demandDisk(context);
  const { reserve } = context.storage;
  const reserveWhole = reserve.ensure(undoBytes(context) + ofThis);
  const objection = judgeRoom({ free: reserve.free(), needed, reserveWhole });
  if (objection !== undefined) throw new WorldError('DISK_FULL', objection);
}

export async function demandRoomFor(context: SiteContext, files: readonly ManifestFile[]): Promise<void> {
  const { blobs } = context.holdings;
  const each = files.map(async ({ size, digest }) => ({ size, missing: !(await blobs.has(digest)) }));
  demandRoom(context, roomToStage(await Promise.all(each)));
}

/** Throws WorldError STORAGE_FAULT. */
export function demandDisk({ storage }: SiteContext): void {
  if (storage.fault) throw new WorldError('STORAGE_FAULT', storage.fault.detail);
}
