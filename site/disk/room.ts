/** Refuses a change for which there is no room, before anything is switched: an undo must always fit. */
import { judgeRoom, roomToStage } from '../../policies/site/judge-disk.js';
import type { ManifestFile } from '../../policies/model/release.js';
import { WorldError } from '../../policies/model/failure.js';
import type { SiteContext } from '../context.js';
import { undoBytes } from './measure.js';

interface RoomFor {
  /** Bytes of the undo of a release that is about to be switched to. */
  ofThis?: number;
  /** The release whose files may have been fetched ahead: they are not thrown away to make room for it. */
  keeping?: string;
}

/**
 * Throws WorldError DISK_FULL, STORAGE_FAULT. Makes the reserve large enough for the undo of every stream, and for `ofThis`
 * one; what was fetched ahead gives way to it.
 */
export function demandRoom(context: SiteContext, needed: number, { ofThis = 0, keeping }: RoomFor = {}): void {
  demandDisk(context);
  const { reserve } = context.storage;
  const judge = () => {
    const reserveWhole = reserve.ensure(undoBytes(context) + ofThis);
    return judgeRoom({ free: reserve.free(), needed, reserveWhole });
  };
  let objection = judge();
  if (objection !== undefined && context.prefetched.giveWay(keeping)) objection = judge();
  if (objection !== undefined) throw new WorldError('DISK_FULL', objection);
}

export async function demandRoomFor(
  context: SiteContext,
  files: readonly ManifestFile[],
  keeping: string,
): Promise<void> {
  demandRoom(context, await roomFor(context, files), { keeping });
}

/** Bytes that staging these files takes beside what is here of them, fetched ahead or in releases. */
export async function roomFor({ holdings, prefetched }: SiteContext, files: readonly ManifestFile[]): Promise<number> {
  const missing = async (digest: string) => !(await holdings.blobs.has(digest)) && !prefetched.has(digest);
  const each = files.map(async ({ size, digest }) => ({ size, missing: await missing(digest) }));
  return roomToStage(await Promise.all(each));
}

/** Throws WorldError STORAGE_FAULT. */
export function demandDisk({ storage }: SiteContext): void {
  if (storage.fault) throw new WorldError('STORAGE_FAULT', storage.fault.detail);
}
