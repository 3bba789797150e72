import { describe, expect, it } from 'vitest';
import {
  alarmsOf,
  beginTally,
  healthOf,
  judgeConfirmed,
  judgeWatch,
  nextTally,
  type CheckTally,
  type UplinkTally,
} from '../../../policies/site/decide-watch.js';
import { ECHO_GOOD_FOR_MS, isEchoFresh } from '../../../policies/site/decide-uplink.js';

type Word = 'pass' | 'fail' | 'doubt';
const check = { name: 'ok', need: 'required', failures: 3 } as const;
const STEP = 100;

/** One sample every 100 ms, the first at the switch at 0. */
function samples(words: readonly Word[], of: Parameters<typeof beginTally>[0] = check): CheckTally {
  return words.reduce(
    (tally, word, i) =>
      nextTally(tally, { begunAt: i * STEP, passed: word === 'pass', inconclusive: word === 'doubt', detail: word }, 0),
    beginTally(of),
  );
}
const watch = (checks: CheckTally[], uplink?: UplinkTally) => ({
  switchedAt: 0,
  within: 5_000,
  healthyFor: 200,
  checks,
  ...(uplink ? { uplink } : {}),
});
const P = 'pass';
const F = 'fail';
const D = 'doubt';

describe('what a check says', () => {
  it('is bounded: it goes with every report and result', () => {
    for (const passed of [true, false]) {
      const sample = { begunAt: 0, passed, inconclusive: false, detail: '😀'.repeat(1_000_000) };
      expect(nextTally(beginTally(check), sample, 0).detail).toBe('😀'.repeat(1_000));
      expect(nextTally(beginTally(check), { ...sample, inconclusive: true }, 0).detail).toHaveLength(2_000);
    }
  });
});

describe('what could not be judged', () => {
  it('[A32] confirms nothing, undoes only at the deadline, and breaks the row of passes', () => {
    const never = samples([D, D, D, D, D, D]);
    expect(judgeWatch(watch([never]), 4_999)).toEqual({ kind: 'wait' });
    expect(judgeWatch(watch([never]), 5_000)).toMatchObject({ kind: 'undo', code: 'DEADLINE_PASSED' });
    expect(judgeWatch(watch([samples([P, P, D])]), 250)).toEqual({ kind: 'wait' });
    expect(judgeWatch(watch([samples([P, P, D, P, P])]), 450)).toEqual({ kind: 'wait' });
    expect(judgeWatch(watch([samples([P, P, D, P, P, P])]), 550)).toEqual({ kind: 'confirm' });
  });

  it('neither heals failures nor adds to them', () => {
    expect(judgeWatch(watch([samples([F, D, F, D])]), 400)).toEqual({ kind: 'wait' });
    expect(judgeWatch(watch([samples([F, D, F, D, F])]), 500)).toMatchObject({ code: 'CHECK_FAILED' });
    expect(judgeWatch(watch([samples([F, D, F, P, F])]), 500)).toEqual({ kind: 'wait' });
  });

  it('[A32] only alarms once confirmed, whatever time has passed; a measured failure undoes then too', () => {
    const doubtful = watch([samples([P, D, D, D])]);
    expect(judgeConfirmed(doubtful.checks, 1e9, 2e9)).toEqual({ kind: 'wait' });
    expect(alarmsOf(doubtful.checks).map(({ name }) => name)).toEqual(['ok']);
    expect(alarmsOf([samples([P, D, D])])).toEqual([]);
    expect(alarmsOf([{ ...samples([D, D, D]), need: 'wanted' }])).toEqual([]);
    expect(judgeConfirmed([samples([P, F, F, F])], 1e9, 2e9)).toMatchObject({ code: 'CHECK_FAILED' });
    expect(judgeConfirmed([samples([P, P, P])], 300, 2e9)).toEqual({ kind: 'wait' });
  });
});

describe('a disk that has failed', () => {
  const healthy = { ...watch([samples([P, P, P, P])]), fault: 'EIO' };
  it('[A32] confirms nothing, and its fault is named if only that was in the way', () => {
    expect(judgeWatch(healthy, 400)).toEqual({ kind: 'wait' });
    const detail = (over: typeof healthy) => (judgeWatch(over, 5_000) as { detail: string }).detail;
    expect(detail(healthy)).toMatch(/EIO/);
    expect(detail({ ...healthy, checks: [samples([P, F])] })).toMatch(/not healthy for 200 ms/);
    expect(judgeWatch({ ...healthy, checks: [samples([F, F, F])] }, 400)).toMatchObject({ code: 'CHECK_FAILED' });
  });
});

describe('what an undo went back to', () => {
  const wanted = { ...samples([F, F, F]), need: 'wanted' as const };
  it.each<[string, CheckTally[], string]>([
    ['fails as before', [samples([F, F, F])], 'wait'],
    ['is not sampled yet', [samples([])], 'wait'],
    ['cannot be judged', [samples([P, D])], 'wait'],
    ['is healthy in one of two', [samples([P]), samples([F, F, F])], 'wait'],
    ['was healthy, and has failed since', [samples([P]), samples([P, F])], 'wait'],
    ['is healthy but for a wanted check', [samples([P]), wanted], 'well'],
  ])('[A32] is not undone again where it %s', (_what, checks, kind) => {
    expect(judgeConfirmed(checks, 300, 2e9, true).kind).toBe(kind);
    expect(judgeConfirmed(checks, 2e9, 2e9, true).kind).toBe(kind === 'wait' ? 'over' : kind);
  });
});

describe('hysteresis', () => {
  it('[A32] a check that has failed is healthy again only after `passes` passes in a row', () => {
    const slow = { ...check, passes: 3 };
    expect(healthOf(samples([F, P, P], slow))).toBe('failing');
    expect(healthOf(samples([F, P, P, P], slow))).toBe('healthy');
    expect(healthOf(samples([F, P, P, D, P], slow))).toBe('failing');
    expect(healthOf(samples([F, P], check))).toBe('healthy');
    expect(healthOf(samples([P], slow))).toBe('healthy');
    // healthy since the third pass at 300: confirmed by one begun at 500 or later
    expect(judgeWatch(watch([samples([F, P, P, P, P], slow)]), 450)).toEqual({ kind: 'wait' });
    expect(judgeWatch(watch([samples([F, P, P, P, P, P], slow)]), 550)).toEqual({ kind: 'confirm' });
    expect(judgeWatch(watch([samples([F, P, P, P])]), 350)).toEqual({ kind: 'confirm' });
  });

  it('for every row of seven samples: what ends in doubt or failure never confirms, and `passes: 1` is the default', () => {
    const words: Word[] = [P, F, D];
    let rows: Word[][] = [[]];
    for (let i = 0; i < 7; i++) rows = rows.flatMap((row) => words.map((word) => [...row, word]));
    expect(rows).toHaveLength(2_187);
    for (const row of rows) {
      const verdicts = [1, 2, 3].map((passes) => judgeWatch(watch([samples(row, { ...check, passes })]), 700).kind);
      expect(judgeWatch(watch([samples(row)]), 700).kind).toBe(verdicts[0]);
      const [one, two, three] = verdicts;
      const last = row.slice(-3);
      if (one === 'confirm') expect(last, row.join()).toEqual([P, P, P]);
      if (two === 'confirm') expect(one, row.join()).toBe('confirm');
      if (three === 'confirm') expect(two, row.join()).toBe('confirm');
      const undone = one === 'undo';
      expect(judgeConfirmed([samples(row)], 700, 2e9).kind, row.join()).toBe(undone ? 'undo' : 'wait');
    }
  });
});

describe('[A32] a release that needs its uplink', () => {
  const good = samples([P, P, P, P]);
  it.each<[string, UplinkTally, number, string]>([
    ['without an echo waits', { detail: '' }, 400, 'wait'],
    ['with one before the end of healthyFor waits', { detail: '', lastEchoAt: 199 }, 400, 'wait'],
    ['with one after it is confirmed', { detail: '', lastEchoAt: 200 }, 400, 'confirm'],
    ['without an echo by the deadline is undone for it', { detail: '' }, 5_000, 'UPLINK_LOST'],
    [
      'echoed in time and judged late is undone for the deadline',
      { detail: '', lastEchoAt: 200 },
      5_000,
      'DEADLINE_PASSED',
    ],
  ])('%s', (_, uplink, elapsed, expected) => {
    const verdict = judgeWatch(watch([good], uplink), elapsed);
    expect('code' in verdict ? verdict.code : verdict.kind).toBe(expected);
  });

  it('is undone for its checks where they have something against it as well', () => {
    expect(judgeWatch(watch([samples([P, F])], { detail: '' }), 5_000)).toMatchObject({ code: 'DEADLINE_PASSED' });
    expect(judgeWatch(watch([samples([F, F, F])], { detail: '' }), 5_000)).toMatchObject({ code: 'CHECK_FAILED' });
  });

  it.each([
    [undefined, false],
    [{ bootId: 'a', elapsed: 1_000 }, true],
    [{ bootId: 'a', elapsed: 50_000 - ECHO_GOOD_FOR_MS }, true],
    [{ bootId: 'a', elapsed: 49_999 - ECHO_GOOD_FOR_MS }, false],
    [{ bootId: 'b', elapsed: 49_000 }, false],
    [{ bootId: 'a', elapsed: 50_001 }, false],
  ])('an echo of %o is fresh: %s', (last, fresh) => {
    const elapsed = last?.elapsed === 1_000 ? 31_000 : 50_000;
    expect(isEchoFresh(last, { bootId: 'a', elapsed })).toBe(fresh);
  });
});
