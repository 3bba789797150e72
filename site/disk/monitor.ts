/** Looks at the disk every few seconds: a read-only remount is noticed, and the reserve is made anew once there is room. */
import { accessSync, constants } from 'node:fs';
import { messageOf } from '../advance.js';
import type { SiteContext } from '../context.js';
import { syncDirectory } from '../files/durable.js';
import { undoBytes } from './measure.js';

/** Fault H7 allows ten. */
export const LOOK_EVERY_MS = 5_000;

/** `quiet`: true while nothing is being switched or undone. Returns how to stop. */
export function watchDisk(context: SiteContext, quiet: () => boolean, everyMs = LOOK_EVERY_MS): () => void {
  const timer = setInterval(() => lookAtDisk(context, quiet()), everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** What was fetched ahead is the first to give way. */
export function makeReserveWhole(context: SiteContext): void {
  const { reserve } = context.storage;
  if (!reserve.ensure(undoBytes(context)) && context.prefetched.giveWay()) reserve.ensure(undoBytes(context));
}

export function lookAtDisk(context: SiteContext, quiet: boolean): void {
  const { dataDirectory, log, storage } = context;
  try {
    // Without writing, because flash wears. After an error of its device ext4 refuses fsync while access still says yes.
    accessSync(dataDirectory, constants.W_OK);
    syncDirectory(dataDirectory);
    storage.keep();
    if (quiet && !storage.fault && !storage.reserve.whole) makeReserveWhole(context);
  } catch (error) {
    if (storage.note(error, 'looking at the disk') === undefined)
      log.warn({ error: messageOf(error) }, 'the disk was not looked at');
  }
}
