/** Holds at the site (design §5 rule 12): durable, journaled, and asked about before anything new is switched. */
import type { SiteHold } from '../policies/model/report.js';
import type { Reason } from '../policies/model/verdict.js';
import {
  decideHeld,
  heldReason,
  markHold,
  siteHold,
  timeLeftOf,
  type HoldMoment,
  type StoredHold,
} from '../policies/site/decide-hold.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';

export interface HoldRequest {
  /** Absent: every stream. */
  stream?: string | undefined;
  by: string;
  reason: string;
  /** Ms; absent: until it is lifted. */
  lasts?: number | undefined;
}
export interface UnholdRequest {
  stream?: string | undefined;
  by: string;
  reason: string;
}
/** What a person's word ended. */
export interface Unheld {
  lifted: SiteHold[];
  /** Streams that have left safe mode. */
  safeModeLeft: string[];
}

/** How often a hold's mark is moved on. */
const MARK_EVERY_MS = 60_000;
const LOOK_EVERY_MS = 1_000;

export function holdMoment({ clock, store }: SiteContext): HoldMoment {
  const timeFloor = store.number('timeFloor');
  return { now: clock.now(), elapsed: clock.elapsed(), bootId: clock.bootId(), timeFloor };
}

/** A second hold of the same streams takes the place of the first. */
export function placeHold(context: SiteContext, { stream = '', by, reason, lasts }: HoldRequest): void {
  const { now, elapsed, bootId } = holdMoment(context);
  const hold: StoredHold = {
    ...{ stream, by, reason, at: now, served: 0, markedAt: now, markedElapsed: elapsed, bootId },
    ...(lasts === undefined ? {} : { lasts, until: now + lasts }),
  };
  context.store.transact(() => {
    context.store.putHold(hold);
    const until = hold.until === undefined ? {} : { until: hold.until };
    context.store.append({ kind: 'held', ...ofStream(stream), detail: { by, reason, ...until } });
  });
}

/** Lifts the hold of these streams, and lets a stream that is named out of safe mode. */
export function liftHold(context: SiteContext, { stream = '', by, reason }: UnholdRequest): Unheld {
  const { store } = context;
  return store.transact(() => {
    const moment = holdMoment(context);
    const holds = store.holds().filter((hold) => hold.stream === stream);
    for (const hold of holds) {
      store.dropHold(hold.stream);
      store.append({ kind: 'unheld', ...ofStream(stream), detail: { cause: 'person', by, reason } });
    }
    const isSafe = stream !== '' && store.stream(stream).safeMode !== undefined;
    if (isSafe) leaveSafeMode(context, stream, { by, reason });
    return { lifted: holds.map((hold) => siteHold(hold, moment)), safeModeLeft: isSafe ? [stream] : [] };
  });
}

/** The state stays what it is: the next command finds it, with what it still has to go back to. */
function leaveSafeMode({ store }: SiteContext, stream: string, { by, reason }: UnholdRequest): void {
  const { safeMode: left, ...row } = store.stream(stream);
  store.putStream(row);
  store.append({ kind: 'safe-mode-left', stream, detail: { by, reason, was: left?.reason } });
}

/** Why nothing new may be switched, or undefined. */
export function judgeHeldHere(context: SiteContext, stream: string): Reason | undefined {
  const moment = holdMoment(context);
  const hold = decideHeld(stream, context.store.holds(), moment);
  if (hold) return heldReason(hold, moment);
  const { safeMode } = context.store.stream(stream);
  if (!safeMode) return undefined;
  const since = new Date(safeMode.at).toISOString();
  const detail = `in safe mode since ${since} (${safeMode.reason.code}); a person at the site: foothold agent revert ${stream}, or unhold ${stream}`;
  return { code: 'SAFE_MODE', detail };
}

export function holdsReport(context: SiteContext): SiteHold[] {
  const moment = holdMoment(context);
  const left = (hold: StoredHold) => timeLeftOf(hold, moment) ?? Infinity;
  return context.store
    .holds()
    .filter((hold) => left(hold) > 0)
    .map((hold) => siteHold(hold, moment));
}

/** Journals the end of each hold whose time is over, and moves the marks of the others on. Returns how to stop. */
export function tendHolds(context: SiteContext): () => void {
  // Marked at once: what was certain of the boot before is not asked of the wall clock a second time.
  tend(context, 0);
  const timer = setInterval(() => tend(context, MARK_EVERY_MS), LOOK_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function tend(context: SiteContext, markAfter: number): void {
  const { store, log } = context;
  try {
    const holds = store.holds();
    // Each second for years, and mostly there is none: no clock is read for that.
    if (holds.length === 0) return;
    const moment = holdMoment(context);
    for (const hold of holds) {
      const isOver = timeLeftOf(hold, moment) === 0;
      const isMarkDue = hold.bootId !== moment.bootId || moment.elapsed - hold.markedElapsed >= markAfter;
      if (isOver) endHold(context, hold);
      else if (isMarkDue) store.transact(() => store.putHold(markHold(hold, moment)));
    }
  } catch (error) {
    // A disk that cannot be written keeps the hold: it is looked at again a second later.
    log.warn({ error: messageOf(error) }, 'holds could not be tended');
  }
}

function endHold({ store }: SiteContext, { stream, by, reason }: StoredHold): void {
  store.transact(() => {
    store.dropHold(stream);
    store.append({ kind: 'unheld', ...ofStream(stream), detail: { cause: 'time', by, reason } });
  });
}

function ofStream(stream: string): { stream?: string } {
  return stream === '' ? {} : { stream };
}
