/** Asks the depot for newer control keys now and then, so that a site without a rollout takes part in a rotation. */
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { offerKeyset } from './trust.js';

export const KEYSET_EVERY_MS = 60 * 60_000;
/** Sites that start together must not ask together. */
const FIRST_WITHIN_MS = 60_000;
const PATIENCE_MS = 60_000;

/** Returns how to stop. Never throws: a depot that is away is asked again. */
export function pollKeyset(context: SiteContext, everyMs = KEYSET_EVERY_MS): () => void {
  const stopped = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const later = (ms: number) => {
    timer = setTimeout(() => void ask(), ms);
    timer.unref();
  };
  const ask = async () => {
    await askOnce(context, AbortSignal.any([stopped.signal, AbortSignal.timeout(PATIENCE_MS)]));
    if (!stopped.signal.aborted) later(everyMs * (0.75 + Math.random() / 2));
  };
  later(Math.random() * Math.min(FIRST_WITHIN_MS, everyMs));
  return () => {
    stopped.abort();
    clearTimeout(timer);
  };
}

async function askOnce(context: SiteContext, signal: AbortSignal): Promise<void> {
  try {
    const found = await context.depot.keyset(signal);
    if (found !== undefined && !signal.aborted) offerKeyset(context, JSON.parse(found.toString('utf8')));
  } catch (error) {
    context.log.debug({ error: messageOf(error) }, 'the depot was not asked for control keys');
  }
}
