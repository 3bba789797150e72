/** Samples a release's checks from its switch on, each at its own pace, until a verdict or the signal. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Check, Release } from '../../policies/model/release.js';
import {
  beginTally,
  confirmableAt,
  judgeWatch,
  nextTally,
  type CheckTally,
  type Watch,
  type WatchVerdict,
} from '../../policies/site/decide-watch.js';
import { probeCheck } from './probe.js';

export interface WatchTask {
  release: Release;
  /** Where programs of checks run. */
  cwd: string;
  switchedElapsed: number;
  /** Nothing that was healthy before this counts: the switch, or the restart of the agent. */
  healthyFrom: number;
  within: number;
  elapsed: () => number;
  onTallies: (tallies: CheckTally[]) => void;
  signal: AbortSignal;
}

export type WatchEnd = Exclude<WatchVerdict, { kind: 'wait' }> | { kind: 'stopped' };

/** setTimeout overflows beyond this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The first verdict. Samples under way are cut off then, and none is waited for: an undo begins at once. */
export async function watchChecks(task: WatchTask): Promise<WatchEnd> {
  const watch: Watch = {
    switchedAt: task.switchedElapsed,
    within: task.within,
    healthyFor: task.release.confirm.healthyFor,
    checks: task.release.checks.map(beginTally),
  };
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
      const verdict = judgeWatch(watch, task.elapsed());
      if (verdict.kind !== 'wait') end(verdict);
    };
    const take = (index: number, tally: CheckTally) => {
      watch.checks[index] = tally;
      task.onTallies(watch.checks);
      judge();
    };
    task.signal.addEventListener('abort', stop, { once: true });
    const loops = task.release.checks.map((check, index) =>
      sampleCheck({ check, index, watch, task, take }, over.signal),
    );
    const timers = [waitUntil(task, watch.switchedAt + watch.within, judge, over.signal)];
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
  for (let beat = performance.now(); !over.aborted;) {
    const begunAt = task.elapsed();
    const begun = performance.now();
    const sample = await probeCheck(check, task.cwd, over);
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
