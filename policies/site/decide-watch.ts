/** How a release is judged from its switch to its confirmation, and for a while after it (design §2 confirm, §5 rules 1, 5, 7). */

/** One check's samples since the switch. Times in ms of the elapsed clock; a sample counts from when it was begun. */
export interface CheckTally {
  name: string;
  need: 'required' | 'wanted';
  /** Failures in a row that make the check failed. */
  limit: number;
  consecutiveFailures: number;
  /** Begin of the unbroken row of passes; the switch itself while nothing has failed. */
  passingSince?: number;
  lastPassAt?: number;
  detail: string;
}

export interface Watch {
  switchedAt: number;
  /** `confirm.within`, counted from the switch that was made durable. */
  within: number;
  healthyFor: number;
  checks: CheckTally[];
}

export type WatchVerdict =
  { kind: 'wait' } | { kind: 'confirm' } | { kind: 'undo'; code: 'CHECK_FAILED' | 'DEADLINE_PASSED'; detail: string };

export function beginTally(check: Pick<CheckTally, 'name' | 'need'> & { failures: number }): CheckTally {
  return {
    name: check.name,
    need: check.need,
    limit: check.failures,
    consecutiveFailures: 0,
    detail: 'not sampled yet',
  };
}

/** The tally after one sample. One failure breaks the row of passes, so a flapping release is never confirmed. */
export function nextTally(
  tally: CheckTally,
  sample: { begunAt: number; passed: boolean; detail: string },
  switchedAt: number,
): CheckTally {
  const { passingSince, lastPassAt, ...rest } = tally;
  if (!sample.passed) return { ...rest, consecutiveFailures: tally.consecutiveFailures + 1, detail: sample.detail };
  const neverSampled = lastPassAt === undefined && tally.consecutiveFailures === 0;
  return {
    ...rest,
    consecutiveFailures: 0,
    passingSince: passingSince ?? (neverSampled ? switchedAt : sample.begunAt),
    lastPassAt: sample.begunAt,
    detail: sample.detail,
  };
}

/**
 * Judges the watch at `elapsed`. The deadline wins over a confirmation in the same instant. A confirmation rests on
 * samples begun at or after the end of `healthyFor`, never on the mere passing of time.
 */
export function judgeWatch(watch: Watch, elapsed: number): WatchVerdict {
  const required = watch.checks.filter((check) => check.need === 'required');
  const failed = failedCheck(watch.checks);
  if (failed) return { kind: 'undo', code: 'CHECK_FAILED', detail: failed };
  if (elapsed - watch.switchedAt >= watch.within) {
    return { kind: 'undo', code: 'DEADLINE_PASSED', detail: whyNotConfirmed(watch, required) };
  }
  const proven =
    required.length === 0
      ? elapsed - watch.switchedAt >= watch.healthyFor
      : required.every((check) => (check.lastPassAt ?? -Infinity) >= confirmableAt(check, watch));
  return proven ? { kind: 'confirm' } : { kind: 'wait' };
}

export type ConfirmedVerdict =
  { kind: 'wait' } | { kind: 'over' } | { kind: 'undo'; code: 'CHECK_FAILED'; detail: string };

/** Judges a confirmed release (design §5 rule 7): required checks may still undo it, for `watchFor` from its confirmation. */
export function judgeConfirmed(
  checks: CheckTally[],
  elapsedSinceConfirmed: number,
  watchFor: number,
): ConfirmedVerdict {
  const failed = failedCheck(checks);
  if (failed) return { kind: 'undo', code: 'CHECK_FAILED', detail: `after it was confirmed, ${failed}` };
  return elapsedSinceConfirmed >= watchFor ? { kind: 'over' } : { kind: 'wait' };
}

function failedCheck(checks: CheckTally[]): string | undefined {
  const failed = checks.find(
    ({ need, consecutiveFailures, limit }) => need === 'required' && consecutiveFailures >= limit,
  );
  if (!failed) return undefined;
  const times = failed.consecutiveFailures === 1 ? 'once' : `${failed.consecutiveFailures} times in a row`;
  return `check ${failed.name} failed ${times}: ${failed.detail}`;
}

/** From when on a pass of this check counts for the confirmation; Infinity while it does not pass. */
export function confirmableAt(check: CheckTally, watch: Pick<Watch, 'switchedAt' | 'healthyFor'>): number {
  if (check.consecutiveFailures > 0) return Infinity;
  return Math.max(check.passingSince ?? watch.switchedAt, watch.switchedAt) + watch.healthyFor;
}

function whyNotConfirmed(watch: Watch, required: CheckTally[]): string {
  const open = required.find((check) => (check.lastPassAt ?? -Infinity) < confirmableAt(check, watch));
  const which = open ? `; check ${open.name}: ${open.detail}` : '';
  return `not healthy for ${watch.healthyFor} ms within ${watch.within} ms of the switch${which}`;
}
