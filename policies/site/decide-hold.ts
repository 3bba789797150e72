/**
 * How long a hold at a site lasts (design §2 `holdUntil`, §5 rules 5 and 12). What counts is the time that has elapsed: a
 * wall clock that is set forward must not end a person's hold while that person is at work on the site.
 */
import type { SiteHold } from '../model/report.js';
import type { Reason } from '../model/verdict.js';
import { elapsedSince, marked, type Mark, type Moment, type Plausible } from './elapsed.js';

/** As the site keeps it. Times in epoch ms unless they say elapsed. */
export interface StoredHold {
  /** Empty: every stream of the site. */
  stream: string;
  by: string;
  reason: string;
  at: number;
  /** As the person wrote it, for people; it is `lasts` that ends the hold. */
  until?: number;
  /** Ms from `at`; absent: until a person lifts it. */
  lasts?: number;
  /** Ms of `lasts` that had passed at the mark. */
  served: number;
  /** The mark: moved on now and then, so that a reboot costs the hold little of what it has served. */
  markedAt: number;
  markedElapsed: number;
  bootId: string;
}

export interface HoldMoment extends Moment {
  /** No earlier time can be true. */
  timeFloor: number;
}

/**
 * A site that was off for longer than this has to be unheld by a person: its clock is believed no further. Less than of a deadline,
 * and not behind the time floor: in doubt a hold lasts, because a person can lift it, where a deadline has come.
 */
export const LONGEST_OFF = 31 * 24 * 3_600_000;

/**
 * Ms that the hold has lasted. Too little where a reboot leaves doubt; too much only if the wall clock comes back from a reboot
 * ahead by no more than `LONGEST_OFF`, which nothing at the site can tell from having been off.
 */
export function servedOf(hold: StoredHold, moment: HoldMoment): number {
  return elapsedSince(markOf(hold), moment, plausibleAt(moment));
}

function markOf({ served, markedAt, markedElapsed, bootId }: StoredHold): Mark {
  return { served, now: markedAt, elapsed: markedElapsed, bootId };
}

function plausibleAt({ timeFloor }: HoldMoment): Plausible {
  return { longestOff: LONGEST_OFF, timeFloor };
}

/** Ms until it ends by itself; undefined: only a person ends it. */
export function timeLeftOf(hold: StoredHold, moment: HoldMoment): number | undefined {
  return hold.lasts === undefined ? undefined : Math.max(0, hold.lasts - servedOf(hold, moment));
}

/** The same hold with its mark at this moment. */
export function markHold(hold: StoredHold, moment: HoldMoment): StoredHold {
  const { served, now, elapsed, bootId } = marked(markOf(hold), moment, plausibleAt(moment));
  return { ...hold, served, markedAt: now, markedElapsed: elapsed, bootId };
}

/** Of the holds on a stream the one that lasts longest. */
export function decideHeld(stream: string, holds: readonly StoredHold[], moment: HoldMoment): StoredHold | undefined {
  const left = (hold: StoredHold) => timeLeftOf(hold, moment) ?? Infinity;
  return holds
    .filter((hold) => (hold.stream === '' || hold.stream === stream) && left(hold) > 0)
    .sort((a, b) => left(b) - left(a))[0];
}

export function heldReason(hold: StoredHold, moment: HoldMoment): Reason {
  const left = timeLeftOf(hold, moment);
  const end = left === undefined ? 'until it is lifted' : `for another ${Math.ceil(left / 1000)} s`;
  return { code: 'HELD', detail: `held at the site by ${hold.by} ${end}: ${hold.reason}` };
}

/** How the site tells of it. */
export function siteHold(hold: StoredHold, moment: HoldMoment): SiteHold {
  const { stream, by, reason, at, until } = hold;
  const endsIn = timeLeftOf(hold, moment);
  return {
    ...(stream === '' ? {} : { stream }),
    by,
    reason,
    at,
    ...(until === undefined ? {} : { until }),
    ...(endsIn === undefined ? {} : { endsIn }),
  };
}
