/** Row C7 of docs/faults.md at the command line: a written time is one instant, wherever and whenever it is read. */
import { afterEach, expect, it } from 'vitest';
import { untilOf } from '../../cli/commands/freeze.js';

const zone = process.env['TZ'];
afterEach(() => {
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});

const HOUR = 3_600_000;
/** Oslo sets its clocks forward at 01:00Z and back at 01:00Z: what is written with its zone is there once all the same. */
const instants: [written: string, at: string, now: string][] = [
  ['2027-03-28T02:30:00+01:00', '2027-03-28T01:30:00Z', '2027-03-27T00:00:00Z'],
  ['2026-10-25T02:30:00+02:00', '2026-10-25T00:30:00Z', '2026-10-24T00:00:00Z'],
  ['2026-10-25T02:30:00+01:00', '2026-10-25T01:30:00Z', '2026-10-24T00:00:00Z'],
  ['2038-01-19T03:14:08Z', '2038-01-19T03:14:08Z', '2037-12-01T00:00:00Z'],
];

it.each(['UTC', 'Europe/Oslo', 'America/St_Johns', 'Pacific/Apia'])(
  'C7: an end is the same instant on a machine in %s, in summer and in winter time, and after 2038',
  (TZ) => {
    process.env['TZ'] = TZ;
    for (const [written, at, now] of instants) expect(untilOf(written, Date.parse(now))).toBe(Date.parse(at));
    // A day is 24 hours, also over the night in which Oslo has 23 or 25.
    for (const day of ['2027-03-27T12:00:00Z', '2026-10-24T12:00:00Z']) {
      expect(untilOf('1d', Date.parse(day))).toBe(Date.parse(day) + 24 * HOUR);
    }
  },
);

it('C7: a time without its zone would be another instant on another machine, and is refused', () => {
  const now = Date.parse('2027-03-27T00:00:00Z');
  expect(() => untilOf('2027-03-28T02:30:00', now)).toThrow('expected --until as a time with its zone');
});

it('C7: a leap second is no time that a clock shows, and is refused, not rounded', () => {
  const now = Date.parse('2026-12-01T00:00:00Z');
  expect(() => untilOf('2026-12-31T23:59:60Z', now)).toThrow('expected --until as a time with its zone');
});
