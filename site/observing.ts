/** What an agent does that was started with `--observe`, and how often any agent looks at what is live. */
import { MistakeError } from '../policies/model/failure.js';
import { isAtRest } from '../policies/site/transitions.js';
import type { SiteContext } from './context.js';
import type { DriftWatch } from './drift.js';

const LOOK_EVERY_MS = 600_000;

/**
 * The guard is not run, because it changes the site. So a site on which something was left half done must not be only
 * observed: nobody would undo it. Throws MistakeError AGENT_BUSY.
 */
export async function beginObserving({ store, clock }: SiteContext): Promise<void> {
  const unfinished = store.streams().filter((row) => !isAtRest(row.state) || row.queuedId !== undefined);
  const converting = store.conversions().filter(({ converted }) => !converted);
  const open = [...unfinished.map(({ stream, state }) => `${stream} is ${state}`), ...converting.map(half)];
  if (open.length > 0) {
    const message = `expected a site with nothing under way, got: ${open.join('; ')}`;
    throw new MistakeError('AGENT_BUSY', `${message}; run the agent without --observe until it has ended`);
  }
  store.transact(() => store.append({ kind: 'started', detail: { bootId: clock.bootId(), observing: true } }));
}

function half({ target }: { target: string }): string {
  return `${target} is being made a symlink`;
}

/** Throws MistakeError OBSERVING. */
export function refuseObserving({ observing }: SiteContext): void {
  if (!observing) return;
  throw new MistakeError('OBSERVING', 'this agent was started with --observe: it changes nothing at the site');
}

/** Returns how to stop, once a look under way has ended. */
export function lookForDrift(drifts: DriftWatch, everyMs = LOOK_EVERY_MS): () => Promise<void> {
  let looking: Promise<void> | undefined;
  const timer = setInterval(() => {
    // A disk that is read slower than it is looked at is not looked at twice at once.
    looking ??= drifts.look().finally(() => (looking = undefined));
  }, everyMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await looking;
  };
}
