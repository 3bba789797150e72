/** Waits that a signal ends early, and quietly: whoever waits looks at the signal afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';

/** setTimeout overflows beyond this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(ms, LONGEST_TIMER_MS), undefined, { signal }).catch(() => undefined);
}
