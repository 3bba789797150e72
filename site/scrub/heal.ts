/** Makes a damaged release anew beside the damaged one: from its blobs, or from the depot. */
import { digestOf } from '../../policies/signing/jcs.js';
import { messageOf } from '../advance.js';
import type { SiteContext } from '../context.js';
import { stageRelease } from '../fetch/fetch-release.js';
import { stageHeld } from '../stage.js';
import type { HeldRow } from '../store/rows.js';
import { stageWhole } from '../whole.js';

/** A scrub waits no longer for a depot that is away: the next one tries again. */
const PATIENCE_MS = 60_000;

/** The root that now holds every tree of the release; undefined if it could not be made. */
export async function remake(context: SiteContext, held: HeldRow): Promise<string | undefined> {
  return attempt(context, held, () => stageWhole(context, held));
}

/** Fetched and rendered as it was at first; believed only if it comes to the very same trees. */
export async function refetch(context: SiteContext, held: HeldRow): Promise<string | undefined> {
  const { clock, depot, holdings, log, store } = context;
  const vars = store.latestConverge(held.stream, held.digest)?.command.vars;
  if (vars === undefined || digestOf(vars) !== held.varsDigest) return undefined;
  const until = clock.elapsed() + PATIENCE_MS;
  return attempt(context, held, async () => {
    const fetched = await stageRelease(held.digest, {
      depot,
      blobs: holdings.blobs,
      incoming: holdings.incoming,
      signal: AbortSignal.any([context.closing, AbortSignal.timeout(PATIENCE_MS)]),
      timeLeft: () => until - clock.elapsed(),
      log: (message, detail) => log.debug({ stream: held.stream, ...detail }, message),
    });
    const made = await stageHeld(context, fetched, { ...held, vars });
    return digestOf(made.trees) === digestOf(held.trees) ? made.root : undefined;
  });
}

async function attempt(
  context: SiteContext,
  held: HeldRow,
  make: () => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    return await make();
  } catch (error) {
    context.storage.note(error, `healing ${held.stream} ${held.version}`);
    context.log.warn({ stream: held.stream, version: held.version, error: messageOf(error) }, 'not healed');
    return undefined;
  }
}
