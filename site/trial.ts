/** The trial that an undo works on. */
import { isAtRest } from '../policies/site/transitions.js';
import type { Stranded } from '../policies/site/decide-undo-again.js';
import type { SiteContext } from './context.js';
import type { HeldRow, StreamRow, Trial } from './store/rows.js';
import type { Store } from './store/store.js';

/** The trial under way, or one made of a confirmed release that is to be undone. */
export function trialOf({ clock, store }: SiteContext, live: HeldRow): Trial {
  const { trial } = store.stream(live.stream);
  if (trial?.releaseId === live.id) return { ...trial, undoAttempts: 0 };
  const lkg = releaseBefore(store, live);
  const brought = live.adopted ? undefined : store.latestConverge(live.stream, live.digest);
  return {
    releaseId: live.id,
    ...(lkg ? { lkgId: lkg.id } : {}),
    ...(brought ? { commandId: brought.command.id } : {}),
    bootId: clock.bootId(),
    switchedAt: live.confirmedAt ?? clock.now(),
    switchedElapsed: clock.elapsed(),
    within: 0,
    restarts: 0,
    undoAttempts: 0,
  };
}

/** What an undo of `live` goes back to: the release confirmed last before it. */
export function releaseBefore(store: Store, live: HeldRow): HeldRow | undefined {
  const confirmed = store.confirmed(live.stream);
  return confirmed[confirmed.findIndex((one) => one.id === live.id) + 1];
}

/** What an undo left that did not succeed: it may be live still, whatever was confirmed before it. */
export function strandedRelease({ store }: SiteContext, { safeMode, trial }: StreamRow): HeldRow | undefined {
  return safeMode && trial ? store.held(trial.releaseId) : undefined;
}

/**
 * A person who let the stream out of safe mode has seen what is live, and left it. A command that was answered in safe mode, with
 * nothing switched, changes nothing of it, whatever the state says then.
 */
export function strandedOf({ safeMode, state, trial }: StreamRow): Stranded | undefined {
  return safeMode && isAtRest(state) ? trial?.stranded : undefined;
}
