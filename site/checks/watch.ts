/** Samples a release's checks, each at its own pace, until a verdict or the signal. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Check, Release } from '../../policies/model/release.js';
import {
  beginTally,
  confirmableAt,
  judgeConfirmed,
  judgeWatch,
  nextTally,
  type CheckTally,
  type ConfirmedVerdict,
  type Watch,
  type WatchVerdict,
} from '../../policies/site/decide-watch.js';
import { probeCheck } from './probe.js';

export interface SampleTask {
  release: Release;
  /** Where programs of checks run. */
  cwd: string;
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
}
export interface ConfirmedTask extends SampleTask {
  /** By the elapsed clock of this boot. */
  confirmedElapsed: number;
}

type Stopped = { kind: 'stopped' };
export type WatchEnd = Exclude<WatchVerdict, { kind: 'wait' }> | Stopped;
export type ConfirmedEnd = Exclude<ConfirmedVerdict, { kind: 'wait' }> | Stopped;

/** setTimeout overflows beyond this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** From the switch to a confirmation, or to the reason for an undo. */
export async function watchChecks(task: WatchTask): Promise<WatchEnd> {
  const { switchedElapsed: switchedAt, within, healthyFrom } = task;
  const { healthyFor } = task.release.confirm;
  const noneDecides = task.release.checks.every((check) => check.need === 'wanted');
  return sampleUntil<Exclude<WatchVerdict, { kind: 'wait' }>>(task, {
    judge: (checks, elapsed) => judgeWatch({ switchedAt, within, healthyFor, checks } satisfies Watch, elapsed),
    judgeAt: [switchedAt + within, ...(noneDecides ? [switchedAt + healthyFor] : [])],
    sampleAt: (tally) => confirmableAt(tally, { switchedAt: healthyFrom, healthyFor }),
  });
}

/** For `watchFor` from the confirmation (design §5 rule 7). */
export async function watchConfirmedChecks(task: ConfirmedTask): Promise<ConfirmedEnd> {
  const { confirmedElapsed, release } = task;
  return sampleUntil<Exclude<ConfirmedVerdict, { kind: 'wait' }>>(task, {
    judge: (checks, elapsed) => judgeConfirmed(checks, elapsed - confirmedElapsed, release.watchFor),
    judgeAt: [confirmedElapsed + release.watchFor],
  });
}

interface Rules<Verdict> {
  judge: (checks: CheckTally[], elapsed: number) => Verdict | { kind: 'wait' };
  /** Readings of the elapsed clock at which it is judged whatever the samples. */
  judgeAt: number[];
  /** When a sample is worth more than at its own pace. */
  sampleAt?: (tally: CheckTally) => number;
}

/** The first verdict. Samples under way are cut off then, and none is waited for: an undo begins at once. */
async function sampleUntil<Verdict>(task: SampleTask, rules: Rules<Verdict>): Promise<Verdict | Stopped> {
  const checks = task.release.checks.map(beginTally);
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
      const verdict = rules.judge(checks, task.elapsed());
      if (!isWait(verdict)) end(verdict);
    };
    const take = (index: number, tally: CheckTally) => {
      checks[index] = tally;
      task.onTallies(checks);
      judge();
    };
    task.signal.addEventListener('abort', stop, { once: true });
    const loops = task.release.checks.map((check, index) =>
      sampleCheck({ check, index, checks, task, take, sampleAt: rules.sampleAt }, over.signal),
    );
    const timers = rules.judgeAt.map((at) => waitUntil(task, at, judge, over.signal));
    Promise.all([...loops, ...timers]).catch((error: unknown) => {
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
  checks: CheckTally[];
  task: SampleTask;
  take: (index: number, tally: CheckTally) => void;
  sampleAt: ((tally: CheckTally) => number) | undefined;
}

/** Samples are spaced from begin to begin on the monotonic clock; one may be brought forward. */
async function sampleCheck({ check, index, checks, task, take, sampleAt }: Sampling, over: AbortSignal): Promise<void> {
  for (let beat = performance.now(); !over.aborted;) {
    const begunAt = task.elapsed();
    const begun = performance.now();
    const sample = await probeCheck(check, task.cwd, over);
    if (over.aborted) return;
    const tally = checks[index];
    if (!tally) return;
    const next = nextTally(tally, { begunAt, ...sample }, task.healthyFrom);
    take(index, next);
    // A sample brought forward, or late because the one before hung, does not shift the beat.
    while (beat <= begun) beat += check.every;
    const early = begun + ((sampleAt?.(next) ?? Infinity) - begunAt);
    const wake = early > performance.now() ? Math.min(beat, early) : beat;
    await pause(Math.max(0, wake - performance.now()), over);
  }
}

async function waitUntil(task: SampleTask, elapsed: number, then: () => void, over: AbortSignal): Promise<void> {
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
 * in a row at its own pace: the same patience as after the switch, so one lost packet blames nobody. Undefined: healthy.
 */
export async function probeBeforeSwitch(
  release: Release,
  cwd: string,
  signal: AbortSignal,
): Promise<{ name: string; detail: string } | undefined> {
  const required = release.checks.filter((check) => check.need === 'required');
  const found = await Promise.all(
    required.map(async (check) => {
      for (let failures = 0; ;) {
        const begun = performance.now();
        const sample = await probeCheck(check, cwd, signal);
        if (sample.passed || signal.aborted) return undefined;
        if (++failures >= check.failures) return { name: check.name, detail: sample.detail };
        await pause(Math.max(0, check.every - (performance.now() - begun)), signal);
      }
    }),
  );
  return found.find((sick) => sick !== undefined);
}
