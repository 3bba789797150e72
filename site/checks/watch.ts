/** Samples a release's checks, each at its own pace, until a verdict or the signal. */
import { performance } from 'node:perf_hooks';
import type { EchoEnd } from './echo.js';
import type { Check, Release } from '../../policies/model/release.js';
import {
  beginTally,
  confirmableAt,
  healthOf,
  judgeConfirmed,
  judgeWatch,
  nextTally,
  type CheckTally,
  type ConfirmedVerdict,
  type UplinkTally,
  type WatchVerdict,
} from '../../policies/site/decide-watch.js';
import { pauseFor } from '../pause.js';
import { KeptConnection } from './kept.js';
import { openProbe, type Surroundings } from './probe.js';

export interface SampleTask {
  release: Release;
  around: Surroundings;
  /** Nothing that was healthy before this counts: the switch, or the restart of the agent. */
  healthyFrom: number;
  elapsed: () => number;
  onTallies: (tallies: CheckTally[]) => void;
  signal: AbortSignal;
}
export interface WatchTask extends SampleTask {
  /** By the elapsed clock of this boot. */
  switchedElapsed: number;
  within: number;
  /** Asks the declared endpoints; only for a release with `uplink: required`. */
  echo?: (signal: AbortSignal) => Promise<EchoEnd>;
  /** What keeps everything from being confirmed, and who hears of its end. */
  fault?: () => string | undefined;
  onMended?: (then: () => void) => () => void;
}
export interface ConfirmedTask extends SampleTask {
  /** By the elapsed clock of this boot. */
  confirmedElapsed: number;
  /** An undo went back to it, and it has not been seen healthy since. */
  doubted?: boolean;
}

type Stopped = { kind: 'stopped' };
export type WatchEnd = Exclude<WatchVerdict, { kind: 'wait' }> | Stopped;
export type ConfirmedEnd = Exclude<ConfirmedVerdict, { kind: 'wait' }> | Stopped;

/** How often the uplink is asked for an echo. */
export const ECHO_EVERY_MS = 5_000;
const MIN_PAUSE_MS = 50;

/** From the switch to a confirmation, or to the reason for an undo. */
export async function watchChecks(task: WatchTask): Promise<WatchEnd> {
  const { switchedElapsed: switchedAt, within, healthyFrom, echo, onMended } = task;
  const { checks, confirm } = task.release;
  const { healthyFor } = confirm;
  const noneDecides = checks.every((check) => check.need === 'wanted');
  let uplink: UplinkTally | undefined = echo && { detail: 'not asked yet' };
  return sampleUntil<Exclude<WatchVerdict, { kind: 'wait' }>>(task, {
    checks,
    judge: (checks, elapsed) => {
      const fault = task.fault?.();
      const watch = { switchedAt, within, healthyFor, checks, ...(uplink && { uplink }) };
      return judgeWatch(fault === undefined ? watch : { ...watch, fault }, elapsed);
    },
    judgeAt: [switchedAt + within, ...(noneDecides ? [switchedAt + healthyFor] : [])],
    sampleAt: (tally) => confirmableAt(tally, { switchedAt: healthyFrom, healthyFor }),
    beside: async (judge, over) => {
      // The next sample may be long in coming, and the deadline with it.
      const deaf = onMended?.(judge);
      over.addEventListener('abort', () => deaf?.(), { once: true });
      const take = (next: UplinkTally) => (uplink = { ...uplink, ...next });
      if (echo) await keepEchoing(echo, task, { take, judge, over });
    },
  });
}

/** For `watchFor` from the confirmation (design §5 rule 7). A person was asked about the trial, and has gone home since. */
export async function watchConfirmedChecks(task: ConfirmedTask): Promise<ConfirmedEnd> {
  const { confirmedElapsed, doubted, release } = task;
  const { watchFor } = release;
  return sampleUntil<Exclude<ConfirmedVerdict, { kind: 'wait' }>>(task, {
    checks: release.checks.filter((check) => !('person' in check)),
    judge: (checks, elapsed) => judgeConfirmed(checks, elapsed - confirmedElapsed, watchFor, doubted),
    judgeAt: [confirmedElapsed + watchFor],
  });
}

interface Rules<Verdict> {
  checks: Check[];
  judge: (tallies: CheckTally[], elapsed: number) => Verdict | { kind: 'wait' };
  /** Readings of the elapsed clock at which it is judged whatever the samples. */
  judgeAt: number[];
  /** When a sample is worth more than at its own pace. */
  sampleAt?: (tally: CheckTally) => number;
  /** What else tells something to judge by. */
  beside?: (judge: () => void, over: AbortSignal) => Promise<void>;
}

/** The first verdict. Samples under way are cut off then, and none is waited for: an undo begins at once. */
async function sampleUntil<Verdict>(task: SampleTask, rules: Rules<Verdict>): Promise<Verdict | Stopped> {
  const tallies = rules.checks.map(beginTally);
  if (task.signal.aborted) return { kind: 'stopped' };
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const end = (verdict: Verdict | Stopped) => {
      if (over.signal.aborted) return;
      task.signal.removeEventListener('abort', stop);
      over.abort();
      resolve(verdict);
    };
    const stop = () => end({ kind: 'stopped' });
    const judge = () => {
      const verdict = rules.judge(tallies, task.elapsed());
      if (!isWait(verdict)) end(verdict);
    };
    const take = (index: number, tally: CheckTally) => {
      tallies[index] = tally;
      // First: nothing that is told of a sample may stand before what it decides.
      judge();
      task.onTallies(tallies);
    };
    task.signal.addEventListener('abort', stop, { once: true });
    const loops = rules.checks.map((check, index) =>
      sampleCheck({ check, index, tallies, task, take, sampleAt: rules.sampleAt }, over.signal),
    );
    const timers = rules.judgeAt.map((at) => waitUntil(task, at, judge, over.signal));
    Promise.all([...loops, ...timers, rules.beside?.(judge, over.signal)]).catch((error: unknown) => {
      if (over.signal.aborted) return;
      over.abort();
      reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
}

function isWait<Verdict>(verdict: Verdict | { kind: 'wait' }): verdict is { kind: 'wait' } {
  return (verdict as { kind: string }).kind === 'wait';
}

interface Sampling {
  check: Check;
  index: number;
  tallies: CheckTally[];
  task: SampleTask;
  take: (index: number, tally: CheckTally) => void;
  sampleAt: ((tally: CheckTally) => number) | undefined;
}

/** Samples are spaced from begin to begin on the monotonic clock; one may be brought forward. */
async function sampleCheck(
  { check, index, tallies, task, take, sampleAt }: Sampling,
  over: AbortSignal,
): Promise<void> {
  const kept = 'tcp' in check && check.keepOpen ? new KeptConnection(check.every) : undefined;
  const probe = openProbe(check, task.around, kept);
  over.addEventListener('abort', () => kept?.drop(), { once: true });
  for (let beat = performance.now(); !over.aborted;) {
    const begunAt = task.elapsed();
    const begun = performance.now();
    const sample = await probe(over);
    if (over.aborted) return kept?.drop();
    const tally = tallies[index];
    if (!tally) return;
    const next = nextTally(tally, { begunAt, ...sample }, task.healthyFrom);
    take(index, next);
    // A sample brought forward, or late because the one before hung, does not shift the beat.
    while (beat <= begun) beat += check.every;
    const early = begun + ((sampleAt?.(next) ?? Infinity) - begunAt);
    const wake = early > performance.now() ? Math.min(beat, early) : beat;
    // While it fails nothing is news: a sample that was due beside an end, or after it, has told of it already.
    const telling = sample.passed ? kept : undefined;
    const isNews = await pauseOrNews(Math.max(0, wake - performance.now()), over, telling);
    if (isNews) beat = performance.now();
    // A timer may end a moment before its time: left as it is, the beat would be sampled twice, and count two failures as one period.
    else if (wake === beat) beat += check.every;
  }
}

/**
 * True: a kept connection has ended, and the next sample is due now. The beat begins anew with it: `failures` in a row have to
 * last as long as they do at the check's own pace.
 */
async function pauseOrNews(ms: number, over: AbortSignal, kept?: KeptConnection): Promise<boolean> {
  if (!kept) {
    await pauseFor(ms, over);
    return false;
  }
  let isNews = false;
  const cut = new AbortController();
  const stop = () => cut.abort();
  over.addEventListener('abort', stop, { once: true });
  kept.onEnd(() => {
    isNews = true;
    stop();
  });
  await pauseFor(ms, cut.signal);
  kept.onEnd(undefined);
  over.removeEventListener('abort', stop);
  return isNews;
}

interface Echoing {
  take: (tally: UplinkTally) => void;
  judge: () => void;
  over: AbortSignal;
}

/** One echo is brought forward to the end of `healthyFor`: those before it do not confirm. */
async function keepEchoing(
  echo: NonNullable<WatchTask['echo']>,
  task: WatchTask,
  { take, judge, over }: Echoing,
): Promise<void> {
  while (!over.aborted) {
    const begunAt = task.elapsed();
    const { echoed, detail } = await echo(over);
    if (over.aborted) return;
    take({ detail, ...(echoed ? { lastEchoAt: begunAt } : {}) });
    judge();
    const healthy = task.switchedElapsed + task.release.confirm.healthyFor - task.elapsed();
    const spent = task.elapsed() - begunAt;
    const pauseMs = healthy > 0 ? Math.min(ECHO_EVERY_MS - spent, healthy) : ECHO_EVERY_MS - spent;
    await pauseFor(Math.max(MIN_PAUSE_MS, pauseMs), over);
  }
}

async function waitUntil(task: SampleTask, elapsed: number, then: () => void, over: AbortSignal): Promise<void> {
  for (;;) {
    const left = elapsed - task.elapsed();
    if (left <= 0) break;
    await pauseFor(left + 1, over);
    if (over.aborted) return;
  }
  then();
}

/**
 * The first round of the required checks, before the switch (design §5 rule 9). A check is sick after `failures` failures
 * in a row at its own pace: the same patience as after the switch, so one lost packet blames nobody. One that cannot be
 * judged as often is sick as well, unless it is only too early; nobody is asked in person. `open`: one that alternates is neither,
 * and goes on until `signal` ends it. Undefined: healthy.
 */
export async function probeBeforeSwitch(
  release: Release,
  around: Surroundings,
  signal: AbortSignal,
): Promise<JudgedBefore | undefined> {
  const required = release.checks.filter((check) => check.need === 'required' && !('person' in check));
  const found = await Promise.all(required.map((check) => probeUntilJudged(check, around, signal)));
  return found.find((one) => one && !one.open) ?? found.find((one) => one !== undefined);
}

interface JudgedBefore {
  name: string;
  detail: string;
  open?: true;
}

async function probeUntilJudged(
  check: Check,
  around: Surroundings,
  signal: AbortSignal,
): Promise<JudgedBefore | undefined> {
  const open = (detail: string): JudgedBefore => ({ name: check.name, detail, open: true });
  const probe = openProbe(check, around);
  for (let tally = beginTally(check); ;) {
    const begun = performance.now();
    const begunAt = around.elapsed();
    const sample = await probe(signal);
    if (signal.aborted) return open(tally.detail);
    if (!sample.notYet) tally = nextTally(tally, { begunAt, ...sample }, begunAt);
    if (healthOf(tally) === 'healthy') return undefined;
    if (tally.consecutiveFailures + tally.consecutiveInconclusive >= check.failures) {
      return { name: check.name, detail: sample.detail };
    }
    await pauseFor(Math.max(0, check.every - (performance.now() - begun)), signal);
    if (signal.aborted) return open(sample.detail);
  }
}
