import { describe, expect, it } from 'vitest';
import { SITE_STATES } from '../../../policies/model/command.js';
import { decideAtBoot, type StoredTrial } from '../../../policies/site/decide-boot.js';
import {
  decideAdmission,
  isPastSwitchBy,
  judgeCommand,
  timeLeftToSwitch,
} from '../../../policies/site/decide-command.js';
import { beginTally, judgeWatch, nextTally, type CheckTally } from '../../../policies/site/decide-watch.js';
import { decideWork } from '../../../policies/site/decide-work.js';

describe('ordering of commands', () => {
  it.each([
    [{ generation: 6, try: 1 }, 'fresh'],
    [{ generation: 5, try: 3 }, 'fresh'],
    [{ generation: 5, try: 2 }, 'stale'],
    [{ generation: 5, try: 1 }, 'stale'],
    [{ generation: 4, try: 9 }, 'stale'],
  ] as const)('%o against (5, 2) is %s', (order, judged) => {
    expect(judgeCommand(order, { generation: 5, try: 2 }, false)).toBe(judged);
    expect(judgeCommand(order, { generation: 5, try: 2 }, true)).toBe('same');
  });

  it('a command queues behind a switch or an undo, interrupts what can be interrupted, and begins at rest', () => {
    const converge = { verb: 'converge', digest: 'a' } as const;
    const admitted = SITE_STATES.map((state) => [state, decideAdmission(converge, { state }, false)]);
    expect(Object.fromEntries(admitted)).toEqual({
      ...{ idle: 'begin', confirmed: 'begin', rejected: 'begin', reverted: 'begin', 'safe-mode': 'begin' },
      ...{ accepted: 'interrupt', staged: 'interrupt', watching: 'interrupt', switching: 'queue', reverting: 'queue' },
    });
    expect(decideAdmission({ verb: 'revert', digest: 'b' }, { state: 'watching', live: 'a' }, false)).toBe('answer');
    expect(decideAdmission({ verb: 'revert', digest: 'a' }, { state: 'watching', live: 'a' }, false)).toBe('interrupt');
    expect(decideAdmission(converge, { state: 'confirmed' }, true)).toBe('queue');
  });
});

describe('switchBy', () => {
  const command = { issuedAt: 1_000, switchBy: 2_000 };
  const at = { now: 1_500, timeFloor: 0, elapsedSinceAccepted: 0 };
  it.each([
    [at, false],
    [{ ...at, now: 2_001 }, true],
    [{ ...at, now: 0, timeFloor: 2_001 }, true],
    [{ ...at, now: 0, elapsedSinceAccepted: 1_001 }, true],
    [{ ...at, now: 2_000, elapsedSinceAccepted: 1_000 }, false],
  ])('%o is past it: %s', (moment, past) => {
    expect(isPastSwitchBy(command, moment)).toBe(past);
    expect(timeLeftToSwitch(command, moment) === 0).toBe(past || moment.now === 2_000);
    expect(isPastSwitchBy({ issuedAt: 0 }, moment)).toBe(false);
  });
});

describe('watching', () => {
  const check = { name: 'ok', need: 'required', failures: 3 } as const;
  const samples = (rows: [at: number, passed: boolean][], from: CheckTally = beginTally(check)) =>
    rows.reduce((tally, [begunAt, passed]) => nextTally(tally, { begunAt, passed, detail: 'x' }, 100), from);
  const watch = (checks: CheckTally[], healthyFor = 1_000) => ({ switchedAt: 100, within: 5_000, healthyFor, checks });

  it('[A32] fails at the third failure in a row, not before, and not for a wanted check', () => {
    const two = samples([
      [100, false],
      [200, false],
    ]);
    expect(judgeWatch(watch([two]), 300).kind).toBe('wait');
    const three = samples([[300, false]], two);
    expect(judgeWatch(watch([three]), 300)).toMatchObject({ kind: 'undo', code: 'CHECK_FAILED' });
    expect(judgeWatch(watch([{ ...three, need: 'wanted' }], 10_000), 300).kind).toBe('wait');
    const broken = samples(
      [
        [300, true],
        [400, false],
      ],
      two,
    );
    expect(judgeWatch(watch([broken]), 400).kind).toBe('wait');
  });

  it('confirms on a pass begun at or after healthyFor, counted from the switch while nothing failed', () => {
    expect(
      judgeWatch(
        watch([
          samples([
            [110, true],
            [1_099, true],
          ]),
        ]),
        4_000,
      ).kind,
    ).toBe('wait');
    expect(
      judgeWatch(
        watch([
          samples([
            [110, true],
            [1_100, true],
          ]),
        ]),
        1_150,
      ).kind,
    ).toBe('confirm');
    expect(judgeWatch(watch([samples([[110, true]])], 0), 120).kind).toBe('confirm');
  });

  it('a flapping check is never confirmed: each failure begins healthyFor anew', () => {
    const flapping = samples([
      [100, true],
      [600, false],
      [700, true],
      [1_650, true],
    ]);
    expect(judgeWatch(watch([flapping]), 1_650).kind).toBe('wait');
    expect(judgeWatch(watch([samples([[1_700, true]], flapping)]), 1_700).kind).toBe('confirm');
  });

  it('never confirms on silence, and the deadline wins over a confirmation in the same instant', () => {
    expect(judgeWatch(watch([beginTally(check)], 0), 4_000).kind).toBe('wait');
    const healthy = samples([
      [100, true],
      [5_100, true],
    ]);
    expect(judgeWatch(watch([healthy]), 5_100)).toMatchObject({ kind: 'undo', code: 'DEADLINE_PASSED' });
    expect(judgeWatch(watch([]), 1_099).kind).toBe('wait');
    expect(judgeWatch(watch([]), 1_100).kind).toBe('confirm');
  });
});

describe('the guard', () => {
  const trial: StoredTrial = {
    ...{ bootId: 'a', switchedAt: 500_000, switchedElapsed: 1_000 },
    ...{ within: 60_000, restarts: 0, undoAttempts: 1 },
  };
  const boot = { bootId: 'a', elapsed: 2_000, now: 501_000 };
  const reboot = (now: number, elapsed = 10) => ({ bootId: 'b', elapsed, now });
  it.each([
    ['switching', trial, boot, { kind: 'undo', cause: 'boot', reason: { code: 'CRASH_IN_SWITCH' } }],
    ['watching', trial, boot, { kind: 'resume-watch' }],
    ['watching', { ...trial, restarts: 1 }, boot, { kind: 'resume-watch' }],
    ['watching', { ...trial, restarts: 2 }, boot, { kind: 'undo', cause: 'boot', reason: { code: 'RESTARTS' } }],
    ['watching', trial, { ...boot, elapsed: 61_000 }, { kind: 'undo', cause: 'deadline' }],
    // The wall clock of the same boot is never asked.
    ['watching', trial, { ...boot, now: 900_000_000 }, { kind: 'resume-watch' }],
    // A reboot counts as a restart, and the wall tells how long it took, if that is plausible.
    ['watching', trial, reboot(559_000), { kind: 'resume-watch' }],
    ['watching', trial, reboot(560_000), { kind: 'undo', cause: 'deadline' }],
    ['watching', { ...trial, restarts: 2 }, reboot(510_000), { kind: 'undo', reason: { code: 'RESTARTS' } }],
    ['watching', trial, reboot(0), { kind: 'resume-watch' }],
    ['watching', trial, reboot(0, 60_000), { kind: 'undo', cause: 'deadline' }],
    ['watching', trial, reboot(500_000 + 401 * 86_400_000), { kind: 'resume-watch' }],
    ['reverting', trial, boot, { kind: 'finish-undo' }],
    ['reverting', { ...trial, undoAttempts: 3 }, boot, { kind: 'give-up', reason: { code: 'REVERT_FAILED' } }],
    ['staged', undefined, boot, { kind: 'carry-on' }],
    ['confirmed', undefined, boot, { kind: 'carry-on' }],
  ] as const)('[A23] [A32] found %s with %o at %o', (state, stored, at, decision) => {
    expect(decideAtBoot(state, stored, at)).toMatchObject(decision);
  });
});

describe('what comes next', () => {
  const rest = { queued: false, person: false };
  it.each([
    [{ ...rest, state: 'accepted', verb: 'converge' }, 'stage'],
    [{ ...rest, state: 'accepted', verb: 'revert' }, 'carry-out-revert'],
    [{ ...rest, state: 'staged', verb: 'converge', queued: true }, 'supersede'],
    [{ ...rest, state: 'watching', queued: true }, 'undo-superseded'],
    [{ ...rest, state: 'watching', queued: true, person: true }, 'undo-by-person'],
    [{ ...rest, state: 'confirmed', queued: true }, 'begin-queued'],
    [{ ...rest, state: 'accepted', verb: 'converge', person: true }, 'undo-by-person'],
    [{ ...rest, state: 'staged', verb: 'converge', queued: true, person: true }, 'undo-by-person'],
    [{ ...rest, state: 'accepted', verb: 'revert', person: true }, 'carry-out-revert'],
    [{ ...rest, state: 'switching', queued: true, person: true }, 'undo-crash'],
    [{ ...rest, state: 'reverting', queued: true }, 'finish-undo'],
    [{ ...rest, state: 'reverted' }, 'nothing'],
    [{ ...rest, state: 'confirmed', guarded: true }, 'watch-confirmed'],
    [{ ...rest, state: 'rejected', guarded: true }, 'watch-confirmed'],
    [{ ...rest, state: 'confirmed', guarded: true, person: true }, 'undo-by-person'],
    [{ ...rest, state: 'confirmed', guarded: true, queued: true }, 'begin-queued'],
    [{ ...rest, state: 'watching', guarded: true }, 'watch'],
    [{ ...rest, state: 'safe-mode', guarded: true }, 'nothing'],
  ] as const)('%o: %s', (situation, work) => {
    expect(decideWork(situation)).toBe(work);
  });
});
