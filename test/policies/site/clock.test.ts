/** Rows of the clock in docs/faults.md, as far as they are decided by data alone: C1, C5 and C7. */
import { describe, expect, it } from 'vitest';
import { isPastSwitchBy, timeLeftToSwitch } from '../../../policies/site/decide-command.js';
import { decideAtBoot, type StoredTrial } from '../../../policies/site/decide-boot.js';
import { elapsedSince, onThisBoot, type Moment } from '../../../policies/site/elapsed.js';

const [SECOND, HOUR, DAY] = [1_000, 3_600_000, 86_400_000];
const YEAR_2038 = Date.parse('2038-01-19T03:14:08Z');
const switched: Moment = { bootId: 'a', now: Date.parse('2026-12-27T06:00:00Z'), elapsed: 5_000 };

describe('C1: offset and drift', () => {
  const offsets = [-10 * DAY, -HOUR, -SECOND, SECOND, HOUR, 10 * DAY];

  it.each(offsets)('a wall clock %i ms off, and 500 ppm fast or slow, moves no deadline within one boot', (offset) => {
    for (const drift of [-5e-4, 5e-4]) {
      for (let passed = 0; passed <= 10 * DAY; passed += 7 * HOUR) {
        const now = switched.now + offset + passed * (1 + drift);
        expect(elapsedSince(switched, { ...switched, now, elapsed: switched.elapsed + passed })).toBe(passed);
      }
    }
  });

  it.each([-10, -5, 5, 10])(
    '[B18] a clock that is %i s off after a reboot moves a deadline by no more than that, and by its drift while it was off',
    (seconds) => {
      for (const off of [0, 20 * SECOND, HOUR, 30 * DAY]) {
        for (const up of [20, 30 * SECOND, HOUR]) {
          for (const drift of [-5e-4, 0, 5e-4]) {
            const now = switched.now + (off + up) * (1 + drift) + seconds * SECOND;
            const passed = elapsedSince(switched, { bootId: 'b', now, elapsed: up });
            const most = Math.abs(seconds) * SECOND + Math.abs(drift) * (off + up);
            expect(Math.abs(passed - (off + up))).toBeLessThanOrEqual(most + 0.001);
            expect(passed).toBeGreaterThanOrEqual(up);
          }
        }
      }
    },
  );
});

describe('C5: a boot at 1970, or at the date of the build', () => {
  const trial: StoredTrial = {
    ...{ bootId: switched.bootId, switchedAt: switched.now, switchedElapsed: switched.elapsed },
    ...{ within: 60_000, restarts: 0, undoAttempts: 0 },
  };
  const command = { issuedAt: switched.now, switchBy: switched.now + HOUR };

  it.each([0, Date.parse('2024-01-01T00:00:00Z')])(
    'a watch goes on, and ends by what this boot lasts: at %i',
    (from) => {
      const at = (elapsed: number): Moment => ({ bootId: 'b', now: from + elapsed, elapsed });
      expect(decideAtBoot('watching', trial, at(20))).toEqual({ kind: 'resume-watch' });
      expect(decideAtBoot('watching', trial, at(60_000))).toMatchObject({ reason: { code: 'DEADLINE_PASSED' } });
    },
  );

  it('no command is taken for earlier than the newest that was signed, nor lives longer than it was given', () => {
    const at = { now: 0, timeFloor: switched.now + 2 * HOUR, elapsedSinceAccepted: 0 };
    expect(isPastSwitchBy(command, at)).toBe(true);
    const known = { ...at, timeFloor: command.issuedAt };
    expect(timeLeftToSwitch(command, known)).toBe(HOUR);
    expect(isPastSwitchBy(command, { ...known, elapsedSinceAccepted: HOUR + 1 })).toBe(true);
  });
});

describe('C7: the year 2038', () => {
  it.each([YEAR_2038 - 10 * SECOND, YEAR_2038, YEAR_2038 + 10 * 365 * DAY])(
    'at %i time passes as ever, within a boot and over a reboot',
    (now) => {
      const since = { ...switched, now };
      const later = { ...since, now: now + 20 * SECOND, elapsed: since.elapsed + 20 * SECOND };
      expect(elapsedSince(since, later)).toBe(20 * SECOND);
      expect(elapsedSince(since, { ...later, bootId: 'b', elapsed: 7 })).toBe(20 * SECOND);
      expect(onThisBoot(since, { ...later, bootId: 'b', elapsed: 7 })).toBe(7 - 20 * SECOND);
    },
  );
});
