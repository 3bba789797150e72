/** What the last samples of checks say of what is live: for reports, status and metrics. */
import type { CheckTally } from '../policies/site/decide-watch.js';
import type { SiteContext } from './context.js';
import type { HeldRow, StreamRow } from './store/rows.js';
import { guardedRelease } from './watching.js';

/** `sampledAt`, epoch ms: when it was sampled last, where it is sampled no longer. */
export interface ShownCheck {
  tally: CheckTally;
  sampledAt?: number;
}

/** Of `live` alone: what was said of a release that was undone, or replaced, says nothing of what serves now. */
export function lastSamples(context: SiteContext, row: StreamRow, live: HeldRow | undefined): ShownCheck[] {
  const last = context.tallies.get(row.stream);
  if (last === undefined || last.releaseId !== live?.id) return [];
  if (isWatched(context, row)) return last.tallies.map((tally) => ({ tally }));
  return last.tallies.flatMap((tally, index) => {
    const sampledAt = last.sampledAt[index];
    return sampledAt === undefined ? [] : [{ tally, sampledAt }];
  });
}

/** On trial, or confirmed less than `watchFor` ago; beside what an undo left stranded nothing is watched. */
function isWatched(context: SiteContext, row: StreamRow): boolean {
  if (row.state === 'watching') return true;
  return row.trial === undefined && !context.observing && guardedRelease(context, row.stream) !== undefined;
}
