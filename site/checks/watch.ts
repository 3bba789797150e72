/** Samples a release's checks from its switch on, each at its own pace, until a verdict or the signal. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EchoEnd } from './echo.js';
import type { Check, Release } from '../../policies/model/release.js';
import {
  alarmsOf,
  beginTally,
  confirmableAt,
  healthOf,
  judgeWatch,
  nextTally,
  type CheckTally,
  type Watch,
  type WatchPhase,
  type WatchVerdict,
} from '../../policies/site/decide-watch.js';
import { openProbe, type Surroundings } from './probe.js';

export interface WatchTask {
  release: Release;
  around: Surroundings;
  switchedElapsed: number;
  /** Nothing that was healthy before this counts: the switch, or the restart of the agent. */
  healthyFrom: number;
  within: number;
  elapsed: () => number;
  onTallies: (tallies: CheckTally[]) => void;
  /** Default `trial`. `confirmed`: no deadline and no confirmation; ends only in an undo or by the signal. */
  phase?: WatchPhase;
  /** Asks the declared endpoints; only for a release on trial with `uplink: required`. */
  echo?: (signal: AbortSignal) => Promise<EchoEnd>;
  /** The required checks that cannot be judged any more, whenever they change. */
  onAlarms?: (alarms: CheckTally[]) => void;
  signal: AbortSignal;
}

export type WatchEnd = Exclude<WatchVerdict, { kind: 'wait' }> | { kind: 'stopped' };

/** setTimeout overflows beyond this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** How often the uplink is asked for an echo. */
export const ECHO_EVERY_MS = 5_000;
const MIN_PAUSE_MS = 50;

/** The first verdict. Samples under way are cut off then, and none is waited for: an undo begins at once. */
export async function watchChecks(task: WatchTask): Promise<WatchEnd> {
  // A person was asked about the trial, and has gone home since.
  const { phase } = task;
  const checks = task.release.checks.filter((check) => phase !== 'confirmed' || !('person' in check));
  const watch: Watch = {
    switchedAt: task.switchedElapsed,
    within: task.within,
    healthyFor: task.release.confirm.healthyFor,
    checks: checks.map(beginTally),
    ...(task.echo ? { uplink: { detail: 'not asked yet' } } : {}),
  };
  let alarms = '';
  if (task.signal.aborted) return { kind: 'stopped' };
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const end = (verdict: WatchEnd) => {
      if (over.signal.aborted) return;
      task.signal.removeEventListener('abort', stop);
      over.abort();
      resolve(verdict);
    };
    const stop = () => end({ kind: 'stopped' });
    const judge = () => {
      const verdict = judgeWatch(watch, task.elapsed(), phase);
      if (verdict.kind !== 'wait') end(verdict);
    };
    const take = (index: number, tally: CheckTally) => {
      watch.checks[index] = tally;
      task.onTallies(watch.checks);
      const raised = alarmsOf(watch.checks);
      const names = raised.map(({ name }) => name).join();
      if (names !== alarms) task.onAlarms?.(raised);
      alarms = names;
      judge();
    };
    task.signal.addEventListener('abort', stop, { once: true });
    const loops = checks.map((check, index) => sampleCheck({ check, index, watch, task, take }, over.signal));
    if (task.echo) loops.push(keepEchoing({ echo: task.echo, watch, task, judge }, over.signal));
    const timers: Promise<void>[] = [];
    if (phase !== 'confirmed') {
      timers.push(waitUntil(task, watch.switchedAt + watch.within, judge, over.signal));
    }
    if (watch.checks.length === 0 || watch.checks.every((check) => check.need === 'wanted')) {
      timers.push(waitUntil(task, watch.switchedAt + watch.healthyFor, judge, over.signal));
    }
    Promise.all([...loops, ...timers]).catch((error: unknown) => {
      if (over.signal.aborted) return;
      over.abort();
      reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
}

interface Sampling {
  check: Check;
  index: number;
  watch: Watch;
  task: WatchTask;
  take: (index: number, tally: CheckTally) => void;
}

/** Samples are spaced from begin to begin on the monotonic clock; one is brought forward to the end of `healthyFor`. */
async function sampleCheck({ check, index, watch, task, take }: Sampling, over: AbortSignal): Promise<void> {
  const probe = openProbe(check, task.around);
  for (let beat = performance.now(); !over.aborted;) {
    const begunAt = task.elapsed();
    const begun = performance.now();
    const sample = await probe(over);
    if (over.aborted) return;
    const tally = watch.checks[index];
    if (!tally) return;
    const next = nextTally(tally, { begunAt, ...sample }, task.healthyFrom);
    take(index, next);
    // A sample brought forward, or late because the one before hung, does not shift the beat.
    while (beat <= begun) beat += check.every;
    const confirmable = begun + (confirmableAt(next, { ...watch, switchedAt: task.healthyFrom }) - begunAt);
    const wake = confirmable > performance.now() ? Math.min(beat, confirmable) : beat;
    await pause(Math.max(0, wake - performance.now()), over);
  }
}

interface Echoing extends Pick<Sampling, 'watch' | 'task'> {
  echo: NonNullable<WatchTask['echo']>;
  judge: () => void;
}

/** One echo is brought forward to the end of `healthyFor`: those before it do not confirm. */
async function keepEchoing({ echo, watch, task, judge }: Echoing, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const begunAt = task.elapsed();
    const { echoed, detail } = await echo(over);
    if (over.aborted) return;
    const known = watch.uplink?.lastEchoAt;
    const lastEchoAt = echoed ? begunAt : known;
    watch.uplink = { detail, ...(lastEchoAt === undefined ? {} : { lastEchoAt }) };
    judge();
    const healthy = watch.switchedAt + watch.healthyFor - task.elapsed();
    const spent = task.elapsed() - begunAt;
    const pauseMs = healthy > 0 ? Math.min(ECHO_EVERY_MS - spent, healthy) : ECHO_EVERY_MS - spent;
    await pause(Math.max(MIN_PAUSE_MS, pauseMs), over);
  }
}

async function waitUntil(task: WatchTask, elapsed: number, then: () => void, over: AbortSignal): Promise<void> {
  for (;;) {
    const left = elapsed - task.elapsed();
    if (left <= 0) break;
    await pause(Math.min(left + 1, LONGEST_TIMER_MS), over);
    if (over.aborted) return;
  }
  then();
}

async function pause(ms: number, over: AbortSignal): Promise<void> {
  await sleep(Math.min(ms, LONGEST_TIMER_MS), undefined, { signal: over }).catch(() => undefined);
}

/**
 * The first round of the required checks, before the switch (design §5 rule 9). A check is sick after `failures` failures
 * in a row at its own pace: the same patience as after the switch, so one lost packet blames nobody. One that cannot be
 * judged as often is sick as well, unless it is only too early; nobody is asked in person. Undefined: healthy.
 */
export async function probeBeforeSwitch(
  release: Release,
  around: Surroundings,
  signal: AbortSignal,
): Promise<{ name: string; detail: string } | undefined> {
  const required = release.checks.filter((check) => check.need === 'required' && !('person' in check));
  const found = await Promise.all(required.map((check) => probeUntilJudged(check, around, signal)));
  return found.find((sick) => sick !== undefined);
}

async function probeUntilJudged(check: Check, around: Surroundings, signal: AbortSignal) {
  const probe = openProbe(check, around);
  for (let tally = beginTally(check); ;) {
    const begun = performance.now();
    const begunAt = around.elapsed();
    const sample = await probe(signal);
    if (signal.aborted) return undefined;
    if (!sample.notYet) tally = nextTally(tally, { begunAt, ...sample }, begunAt);
    if (healthOf(tally) === 'healthy') return undefined;
    if (tally.consecutiveFailures + tally.consecutiveInconclusive >= check.failures) {
      return { name: check.name, detail: sample.detail };
    }
    await pause(Math.max(0, check.every - (performance.now() - begun)), signal);
  }
}
