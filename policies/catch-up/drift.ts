/** What a site's report says against what it should run (design §4.7; promise 4). */
import type { Desired } from '../model/debt.js';
import type { StreamReport } from '../model/report.js';
import { isAtRest } from '../site/transitions.js';

/**
 * `same`: it runs what it should. `owed`: it does not. `pending`: it is carrying something out, and will tell. `unknown`:
 * it never reported. `ahead`: it obeyed a command that the registry does not know, so the registry was restored to an
 * earlier point: what is live there is taken over, never the reverse (O3).
 */
export type Drift = 'same' | 'owed' | 'ahead' | 'pending' | 'unknown';

/**
 * `reported`: the stream as the site last told of it; null if it told of others only, undefined if it never reported.
 * `commanded`: the highest generation of a rollout that the registry knows to have commanded this site, 0 without any.
 * The stream's own highest will not do: rollouts begun since a restore would hide that a site obeyed a forgotten one.
 */
export function judgeDrift(
  reported: StreamReport | null | undefined,
  desired: Pick<Desired, 'release' | 'generation'>,
  commanded: number,
): Drift {
  if (reported === undefined) return 'unknown';
  if (reported === null) return 'owed';
  const { state, live, generation } = reported;
  if (!isAtRest(state)) return 'pending';
  if (live?.digest === desired.release.digest) return state === 'safe-mode' ? 'owed' : 'same';
  // One above is the undo of the same rollout: it is issued with the registry down as well, so it may not be recorded.
  const known = Math.max(commanded, desired.generation) + 1;
  return live !== undefined && generation > known ? 'ahead' : 'owed';
}
