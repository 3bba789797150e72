/**
 * What happens beside a change that is accepted or staged and not switched: what is live was confirmed, and is watched on
 * (design §5 rule 7). A depot or an uplink that is away keeps a change waiting for days, and nobody may go unwatched for it.
 */
import type { Reason } from '../policies/model/verdict.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { pauseFor } from './pause.js';
import type { HeldRow } from './store/rows.js';
import { watchConfirmed } from './watching.js';

const AGAIN_AFTER_MS = 1_000;

/** `beforeSwitch` is called in the same turn as the durable switch: from then on the new release's own watch counts. */
export type PendingWork = (signal: AbortSignal, beforeSwitch: () => void) => Promise<void>;

/**
 * Carries out `work` and watches `held` meanwhile. Returns why `held` is to be undone: then `work` was ended, with nothing
 * switched. Undefined: `work` came to its own end. Throws what `work` throws.
 */
export async function watchBeside(
  context: SiteContext,
  held: HeldRow,
  signal: AbortSignal,
  work: PendingWork,
): Promise<Reason | undefined> {
  const over = new AbortController();
  const sick = new AbortController();
  const found: { reason?: Reason } = {};
  const watched = watchPatiently(context, held, AbortSignal.any([signal, over.signal])).then((reason) => {
    if (!reason || signal.aborted || over.signal.aborted) return;
    found.reason = reason;
    sick.abort();
  });
  try {
    await work(AbortSignal.any([signal, sick.signal]), () => over.abort());
  } catch (error) {
    if (found.reason === undefined) throw error;
  } finally {
    over.abort();
    await watched;
  }
  return found.reason;
}

/** A watch that breaks begins anew: the change beside it must not end for that, nor go on unwatched. */
async function watchPatiently(context: SiteContext, held: HeldRow, signal: AbortSignal): Promise<Reason | undefined> {
  while (!signal.aborted) {
    try {
      return await watchConfirmed(context, held, signal);
    } catch (error) {
      context.storage.note(error, `stream ${held.stream}, its watch`);
      context.log.error({ stream: held.stream, error: messageOf(error) }, 'a watch failed; beginning it anew');
      await pauseFor(AGAIN_AFTER_MS, signal);
    }
  }
  return undefined;
}
