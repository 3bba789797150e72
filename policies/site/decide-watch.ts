/**
 * How a release is judged by its checks, from its switch to its confirmation and for a while after it (design §2 confirm, §5
 * rules 1, 3, 5 and 7). What could not be judged is inconclusive: on trial it confirms nothing and waits, as everything that
 * cannot be judged does, until the deadline undoes; confirmed, it only alarms.
 */
import { beginningOf } from './cut-text.js';
import type { Measured } from './judge-metric.js';

/** One check's samples since the switch. Times in ms of the elapsed clock; a sample counts from when it was begun. */
export interface CheckTally {
  name: string;
  need: 'required' | 'wanted';
  /** Failures in a row that make the check failed. */
  limit: number;
  /** Failures since the last pass: what could not be judged between them neither adds to them nor heals. */
  consecutiveFailures: number;
  /** Passes in a row after which a check that has failed is healthy again. */
  passesNeeded: number;
  consecutivePasses: number;
  /** It has failed, and has not passed as often as it must since. */
  recovering: boolean;
  /** Samples in a row that could not be judged. */
  consecutiveInconclusive: number;
  /** Begin of the unbroken row of passes; the switch itself while nothing has failed. */
  passingSince?: number;
  lastPassAt?: number;
  detail: string;
  /** By the last sample. */
  measured?: Measured;
}

export interface Watch {
  switchedAt: number;
  /** `confirm.within`, counted from the switch that was made durable. */
  within: number;
  healthyFor: number;
  checks: CheckTally[];
  /** Only for a release with `uplink: required`. */
  uplink?: UplinkTally;
  /** What the disk said, while nobody has said that it was mended: nothing is confirmed on books that may not hold. */
  fault?: string;
}

/** Echoes over connections opened since the switch. `lastEchoAt`: when the last one that came back was begun. */
export interface UplinkTally {
  lastEchoAt?: number;
  detail: string;
}

export type WatchVerdict =
  | { kind: 'wait' }
  | { kind: 'confirm' }
  | { kind: 'undo'; code: 'CHECK_FAILED' | 'DEADLINE_PASSED' | 'UPLINK_LOST'; detail: string };

export interface WatchSample {
  begunAt: number;
  passed: boolean;
  /** It could not be judged: the check itself hung, crashed, or had nothing to judge by. */
  inconclusive?: boolean;
  detail: string;
  measured?: Measured;
}

type CheckWords = Pick<CheckTally, 'name' | 'need'> & { failures: number; passes?: number | undefined };

export function beginTally(check: CheckWords): CheckTally {
  return {
    name: check.name,
    need: check.need,
    limit: check.failures,
    consecutiveFailures: 0,
    passesNeeded: check.passes ?? 1,
    consecutivePasses: 0,
    recovering: false,
    consecutiveInconclusive: 0,
    detail: 'not sampled yet',
  };
}

/** It goes into reports, events and results, whatever a program or an exporter says. */
const LONGEST_DETAIL = 2_000;

/**
 * The tally after one sample. One failure breaks the row of passes, and so does one sample that could not be judged, so
 * a flapping release is never confirmed.
 */
export function nextTally(tally: CheckTally, sample: WatchSample, switchedAt: number): CheckTally {
  const { passingSince, lastPassAt: _, measured: __, ...rest } = tally;
  const { begunAt } = sample;
  const detail = beginningOf(sample.detail, LONGEST_DETAIL);
  const measured = sample.measured && { measured: sample.measured };
  if (sample.inconclusive) {
    const consecutiveInconclusive = tally.consecutiveInconclusive + 1;
    return { ...rest, consecutivePasses: 0, consecutiveInconclusive, detail };
  }
  const judged = { ...rest, consecutiveInconclusive: 0, detail, ...measured };
  if (!sample.passed) {
    const consecutiveFailures = tally.consecutiveFailures + 1;
    return { ...judged, consecutiveFailures, consecutivePasses: 0, recovering: true };
  }
  const consecutivePasses = tally.consecutivePasses + 1;
  const passed = { ...judged, consecutiveFailures: 0, consecutivePasses, lastPassAt: begunAt };
  if (tally.recovering && consecutivePasses < tally.passesNeeded) return passed;
  const since = passingSince ?? (wasSampled(tally) ? begunAt : switchedAt);
  return { ...passed, recovering: false, passingSince: since };
}

function wasSampled(tally: CheckTally): boolean {
  return tally.lastPassAt !== undefined || tally.recovering || tally.consecutiveInconclusive > 0;
}

export type Health = 'healthy' | 'failing' | 'inconclusive' | 'not sampled';

/** As its last sample left it: for reports, metrics and status. */
export function healthOf(tally: CheckTally): Health {
  if (tally.consecutiveInconclusive > 0) return 'inconclusive';
  if (tally.consecutiveFailures > 0 || tally.recovering) return 'failing';
  return tally.lastPassAt === undefined ? 'not sampled' : 'healthy';
}

/** Required checks that could not be judged as often in a row as would make them failed: all they do once confirmed. */
export function alarmsOf(checks: readonly CheckTally[]): CheckTally[] {
  return checks.filter((check) => check.need === 'required' && check.consecutiveInconclusive >= check.limit);
}

/**
 * Judges the watch at `elapsed`. The deadline wins over a confirmation in the same instant. A confirmation rests on
 * samples begun at or after the end of `healthyFor`, never on the mere passing of time.
 */
export function judgeWatch(watch: Watch, elapsed: number): WatchVerdict {
  const required = watch.checks.filter((check) => check.need === 'required');
  const failed = failedCheck(watch.checks);
  if (failed) return { kind: 'undo', code: 'CHECK_FAILED', detail: failed };
  const proven =
    required.length === 0
      ? elapsed - watch.switchedAt >= watch.healthyFor
      : required.every((check) => (check.lastPassAt ?? -Infinity) >= confirmableAt(check, watch));
  const echoed = isEchoed(watch);
  if (elapsed - watch.switchedAt >= watch.within) {
    // Only what has nothing else against it is undone for its link: anything else is the release's own doing.
    if (!proven || echoed) return { kind: 'undo', code: 'DEADLINE_PASSED', detail: whyNotConfirmed(watch, required) };
    const detail = `no echo since the switch within ${watch.within} ms of it; ${watch.uplink?.detail ?? ''}`;
    return { kind: 'undo', code: 'UPLINK_LOST', detail };
  }
  return proven && echoed && watch.fault === undefined ? { kind: 'confirm' } : { kind: 'wait' };
}

/** As a check: an echo right after the switch may have gone the old way still, so one of the end of `healthyFor` counts. */
function isEchoed({ uplink, healthyFor, switchedAt }: Watch): boolean {
  return uplink === undefined || (uplink.lastEchoAt ?? -Infinity) >= switchedAt + healthyFor;
}

/** `well`: what an undo went back to has been seen healthy, and its failures count from now on. */
export type ConfirmedVerdict =
  { kind: 'wait' } | { kind: 'over' } | { kind: 'well' } | { kind: 'undo'; code: 'CHECK_FAILED'; detail: string };

/**
 * Judges a confirmed release (design §5 rule 7): required checks may still undo it, for `watchFor` from its confirmation.
 * `doubted`: an undo went back to it, and its required checks have not all been healthy at once since. Then what fails it may have
 * failed the one before: one outage would else take a site back through all that it has.
 */
export function judgeConfirmed(
  checks: CheckTally[],
  elapsedSinceConfirmed: number,
  watchFor: number,
  doubted = false,
): ConfirmedVerdict {
  if (doubted && isWell(checks)) return { kind: 'well' };
  const failed = doubted ? undefined : failedCheck(checks);
  if (failed) return { kind: 'undo', code: 'CHECK_FAILED', detail: `after it was confirmed, ${failed}` };
  return elapsedSinceConfirmed >= watchFor ? { kind: 'over' } : { kind: 'wait' };
}

function isWell(checks: readonly CheckTally[]): boolean {
  return checks.every((check) => check.need === 'wanted' || healthOf(check) === 'healthy');
}

/** Required checks that have failed: of what is doubted they undo nothing, and are told. */
export function failedChecks(checks: readonly CheckTally[]): CheckTally[] {
  return checks.filter(({ need, consecutiveFailures, limit }) => need === 'required' && consecutiveFailures >= limit);
}

function failedCheck(checks: CheckTally[]): string | undefined {
  const [failed] = failedChecks(checks);
  if (!failed) return undefined;
  const times = failed.consecutiveFailures === 1 ? 'once' : `${failed.consecutiveFailures} times in a row`;
  return `check ${failed.name} failed ${times}: ${failed.detail}`;
}

/** From when on a pass of this check counts for the confirmation; Infinity while it is not healthy. */
export function confirmableAt(check: CheckTally, watch: Pick<Watch, 'switchedAt' | 'healthyFor'>): number {
  if (check.consecutiveFailures > 0 || check.recovering || check.consecutiveInconclusive > 0) return Infinity;
  return Math.max(check.passingSince ?? watch.switchedAt, watch.switchedAt) + watch.healthyFor;
}

function whyNotConfirmed(watch: Watch, required: CheckTally[]): string {
  const open = required.find((check) => (check.lastPassAt ?? -Infinity) < confirmableAt(check, watch));
  if (!open && watch.fault !== undefined) {
    return `nobody said within ${watch.within} ms of the switch that the disk was mended, and nothing is confirmed on it: ${watch.fault}`;
  }
  const which = open ? `; check ${open.name}: ${open.detail}` : '';
  return `not healthy for ${watch.healthyFor} ms within ${watch.within} ms of the switch${which}`;
}
