/** Reads all that is kept back now and then, slowly, while nothing is being changed. */
import { scrubDueIn, SCRUB_EVERY_MS } from '../../policies/site/decide-scrub.js';
import { messageOf } from '../advance.js';
import type { SiteContext } from '../context.js';
import { readRound, scrub } from './scrub.js';

/** Looks whether a scrub is due; a stream that is being changed puts it off by as much. */
const LOOK_EVERY_MS = 60_000;
const LONGEST_MS = 2 ** 31 - 1;

/** Returns how to stop; it waits for the round under way. Never throws. */
export function scheduleScrub(
  context: SiteContext,
  quiet: () => boolean,
  everyMs = SCRUB_EVERY_MS,
): () => Promise<void> {
  let running: Promise<unknown> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const later = (ms: number) => {
    if (context.closing.aborted) return;
    timer = setTimeout(() => void (running = round()), Math.min(ms, LONGEST_MS));
    timer.unref();
  };
  const round = async () => {
    try {
      if (quiet()) await scrub(context, { goOn: () => quiet() && !context.closing.aborted });
    } catch (error) {
      context.storage.note(error, 'the scrub');
      context.log.warn({ error: messageOf(error) }, 'what is kept could not be read back');
    }
    later(dueIn(context, everyMs));
  };
  later(dueIn(context, everyMs));
  return async () => {
    clearTimeout(timer);
    await running;
  };
}

function dueIn({ clock, log, storage, store }: SiteContext, everyMs: number): number {
  const soonest = Math.min(LOOK_EVERY_MS, everyMs);
  try {
    return Math.max(scrubDueIn(clock.now(), readRound(store)?.at, everyMs), soonest);
  } catch (error) {
    storage.note(error, 'when the next scrub is due');
    log.warn({ error: messageOf(error) }, 'when the next scrub is due could not be read');
    return soonest;
  }
}
