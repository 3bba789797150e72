/** What has to hold before a disk that failed is believed again. */
import { writeSync, openSync, closeSync, fsyncSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MistakeError } from '../../policies/model/failure.js';
import { messageOf } from '../advance.js';
import type { SiteContext } from '../context.js';
import { syncDirectory } from '../files/durable.js';
import { scrub, type ScrubRound } from './scrub.js';

/** Throws MistakeError STORAGE_FAULT with what is still wrong. */
export async function readBackWhole(context: SiteContext, goOn: () => boolean): Promise<ScrubRound> {
  try {
    probeWrite(context.dataDirectory);
    context.store.demandIntact();
    const round = await scrub(context, { goOn, hurry: true });
    if (round === undefined) throw new Error('it was not read to its end');
    // No disk brings back what a program had saved; the next release saves anew, and would wait for ever.
    const first = round.damaged.find(({ undo }) => undo === undefined);
    if (first) throw new Error(`${first.stream} ${first.version} is damaged and could not be made anew`);
    return round;
  } catch (error) {
    throw new MistakeError('STORAGE_FAULT', `the disk is not mended: ${messageOf(error)}`);
  }
}

/** What was read back before the disk failed once more says nothing of it. Throws MistakeError STORAGE_FAULT. */
export function demandNoneSince({ storage }: SiteContext, before: number): void {
  const { count, last } = storage.broken;
  if (count === before) return;
  const message = 'the disk is not mended: it failed once more while everything was read back';
  throw new MistakeError('STORAGE_FAULT', `${message}: ${last}`);
}

function probeWrite(directory: string): void {
  const path = join(directory, '.probe');
  const fd = openSync(path, 'w', 0o600);
  try {
    writeSync(fd, 'durable?');
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  rmSync(path);
  syncDirectory(directory);
}
