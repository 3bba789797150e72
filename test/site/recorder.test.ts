import { beforeEach, describe, expect, it } from 'vitest';
import type { CheckTally } from '../../policies/site/decide-watch.js';
import type { SiteContext } from '../../site/context.js';
import { Recorder } from '../../site/outbox/recorder.js';

const MINUTE = 60_000;
let now: number;
let told: { at: number; healthy: unknown }[];
let recorder: Recorder;

/** What the recorder asks of an agent. */
const context = {
  clock: { now: () => now },
  outbox: { windowMs: () => MINUTE, append: () => undefined },
  store: {
    transact: (work: () => void) => work(),
    append: ({ detail }: { detail: Record<string, unknown> }) => told.push({ at: now, healthy: detail['healthy'] }),
  },
  storage: { note: () => undefined },
} as unknown as SiteContext;

const tally = (passed: boolean): CheckTally => ({
  ...{ name: 'queue', need: 'wanted', limit: 1, detail: passed ? 'short' : 'long', consecutiveInconclusive: 0 },
  ...{ consecutiveFailures: passed ? 0 : 1, consecutivePasses: passed ? 1 : 0, passesNeeded: 1, recovering: false },
  ...(passed ? { lastPassAt: now } : {}),
});
function sample(passed: boolean): void {
  recorder.sampled(context, 'edge-proxy', [], [tally(passed)], 'confirmed');
}

beforeEach(() => {
  [now, told] = [1_000_000, []];
  recorder = new Recorder();
  sample(true);
});

describe('the health of a wanted check, in the journal', () => {
  it('[A41] is told ever less often while it flaps, once an hour in the end', () => {
    const day = 24 * 60 * MINUTE;
    const began = now;
    for (let passed = false; now < began + 10 * day; passed = !passed, now += 10_000) sample(passed);
    const hours = told.filter(({ at }) => at > began + day);
    expect(told.length - hours.length).toBeLessThanOrEqual(24 + 7);
    expect(hours.length).toBeGreaterThan(9 * 12);
    expect(hours.length).toBeLessThanOrEqual(9 * 24);
  });

  it('is told at once where it has been quiet for a while', () => {
    for (let i = 0; i < 60; i++, now += MINUTE) sample(i % 2 === 0);
    now += 4 * 60 * MINUTE;
    const before = told.length;
    const healthy = told.at(-1)?.healthy === true;
    sample(!healthy);
    expect(told.slice(before)).toEqual([{ at: now, healthy: !healthy }]);
    now += MINUTE;
    sample(healthy);
    expect(told).toHaveLength(before + 2);
  });

  it('is no news as long as it is healthy from the first', () => {
    now += MINUTE;
    sample(true);
    expect(told).toEqual([]);
  });
});
