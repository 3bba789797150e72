/** What a site's report says against what it should run (design §4.7; promise 4). */
import type { SiteState } from '../model/command.js';
import { isAtRest } from '../site/transitions.js';

/**
 * `same`: it runs what it should. `owed`: it does not. `pending`: it is carrying something out, and will tell. `unknown`:
 * it never reported. `ahead`: it obeyed a command that the registry does not know, so the registry was restored to an
 * earlier point: what is live there is taken over, never the reverse (O3).
 */
export type Drift = 'same' | 'owed' | 'ahead' | 'pending' | 'unknown';

/** What decides it, of what a site reports and of what it should run. A state that is not known is no rest. */
export interface JudgedReport {
  state: string;
  live?: { digest: string };
  generation: number;
}
export interface JudgedDesired {
  generation: number;
  release: { digest: string };
}

/**
 * `reported`: the stream as the site last told of it; null if it told of others only, undefined if it never reported.
 * `commanded`: the highest generation of a rollout that the registry knows to have commanded this site, 0 without any.
 * The stream's own highest will not do: rollouts begun since a restore would hide that a site obeyed a forgotten one.
 */
export function judgeDrift(
  reported: JudgedReport | null | undefined,
  desired: JudgedDesired,
  commanded: number,
): Drift {
  if (reported === undefined) return 'unknown';
  if (reported === null) return 'owed';
  const { state, live, generation } = reported;
  if (!isAtRest(state as SiteState)) return 'pending';
  if (live?.digest === desired.release.digest) return state === 'safe-mode' ? 'owed' : 'same';
  // One above is the undo of the same rollout: it is issued with the registry down as well, so it may not be recorded.
  const known = Math.max(commanded, desired.generation) + 1;
  return live !== undefined && generation > known ? 'ahead' : 'owed';
}
