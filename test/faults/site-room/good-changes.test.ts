/** An undo of a good release is believed only where the harness itself has done what entitles the site to it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Cause, Command } from '../../../policies/model/command.js';
import type { SiteEvent, SiteEventKind } from '../../../policies/model/report.js';
import type { CommandRow } from '../../../site/store/rows.js';
import { GoodChanges } from './good-changes.js';
import type { Sight } from './invariants.js';

const STREAM = 'edge-proxy';
const ID = 'run-1/osl-01/edge-proxy/converge/1';
const WELL = { version: '1.0.0', within: 20_000, healthyFor: 5_000 };
const UNDONE = 'a good release is undone only for a cause that was';
const CONFIRMED = 'what is healthy for long enough is confirmed';
const STAYS = 'what was confirmed and left alone stays live';

let said: string[];
let orders: Command[];
let refusals: { checks: number; programs: number };
let distrusted: boolean;
let goods: GoodChanges;

function order(verb: 'converge' | 'revert', generation: number, digest = 'good'): Command {
  return {
    id: generation === 1 ? ID : `run-${generation}`,
    stream: STREAM,
    verb,
    generation,
    try: 1,
    digest,
  } as Command;
}
function event(kind: SiteEventKind, detail: object = {}): SiteEvent {
  return { kind, stream: STREAM, commandId: ID, detail } as unknown as SiteEvent;
}
function undone(cause: Cause, code: string): SiteEvent {
  return event('reverted', { cause, reason: { code }, undone: { version: WELL.version, digest: 'good' } });
}
function see(at: number, fresh: SiteEvent[] = [], change: Partial<Sight> = {}): void {
  const commands = [{ command: order('converge', 1) } as CommandRow];
  const sight = { at, books: { commands, fresh }, live: { [STREAM]: [WELL.version] }, upSince: 0, switching: false };
  goods.see({ ...sight, ...change } as unknown as Sight);
}
function end(shown = WELL.version): void {
  goods.end({ live: { [STREAM]: [shown] } } as unknown as Sight, () => false);
}
/** On trial since second 10. */
function onTrial(): void {
  see(9_000, [event('started')]);
  see(10_000, [event('switching')], { switching: true });
  see(10_000, [event('watching')]);
}

beforeEach(() => {
  [said, orders, refusals] = [[], [order('converge', 1)], { checks: 0, programs: 0 }];
  distrusted = false;
  goods = new GoodChanges({
    well: (digest) => (digest === 'good' ? WELL : undefined),
    refusals: () => refusals,
    orders: () => orders,
    distrustsDisk: () => distrusted,
    say: (invariant) => said.push(invariant),
  });
});

describe('a good release', () => {
  it('is confirmed and stays, and there is nothing to say of it', () => {
    onTrial();
    see(15_100, [event('confirmed')]);
    see(90_000);
    end();
    expect({ said, counts: goods.counts() }).toEqual({ said: [], counts: { switched: 1, confirmed: 1, excused: {} } });
  });

  const causes: [Cause, string][] = [
    ...([
      ['check', 'CHECK_FAILED'],
      ['deadline', 'DEADLINE_PASSED'],
      ['person', 'PERSON'],
    ] as [Cause, string][]),
    ...([
      ['boot', 'RESTARTS'],
      ['boot', 'CRASH_IN_SWITCH'],
      ['boot', 'NOT_LIVE'],
    ] as [Cause, string][]),
    ...([
      ['command', 'COMMANDED'],
      ['command', 'SUPERSEDED'],
      ['switch', 'SWITCH_FAILED'],
    ] as [Cause, string][]),
    ['uplink', 'UPLINK_LOST'],
  ];
  it.each(causes)('is not undone for %s %s that never was, on trial or confirmed', (cause, code) => {
    onTrial();
    see(11_000, [event('reverting'), undone(cause, code)]);
    expect(said).toEqual([UNDONE]);
    expect(goods.counts().excused).toEqual({});
  });
  it.each(causes)('nor once it is confirmed: %s %s', (cause, code) => {
    onTrial();
    see(15_100, [event('confirmed')]);
    see(80_000, [event('reverting'), undone(cause, code)]);
    expect(said).toEqual([UNDONE]);
  });

  const entitled: [what: string, cause: Cause, code: string, before: () => void][] = [
    ['checks that failed', 'check', 'CHECK_FAILED', () => (refusals = { checks: 2, programs: 0 })],
    [
      'an outage until its deadline',
      'deadline',
      'DEADLINE_PASSED',
      () => see(31_000, [event('started')], { upSince: 31_000 }),
    ],
    ['a person', 'person', 'PERSON', () => goods.askedByPerson(STREAM, 10_500)],
    [
      'three restarts',
      'boot',
      'RESTARTS',
      () =>
        see(
          11_000,
          [1, 2, 3].map(() => event('started')),
        ),
    ],
    ['rot of its files', 'boot', 'NOT_LIVE', () => goods.damaged(STREAM, 10_500)],
    ['a revert of the centre', 'command', 'COMMANDED', () => orders.push(order('revert', 2))],
    ['a newer release', 'command', 'SUPERSEDED', () => orders.push(order('converge', 3, 'other'))],
    ['a disk that fails', 'switch', 'SWITCH_FAILED', () => goods.storageFailed(10_500)],
    ['a program that failed', 'switch', 'SWITCH_FAILED', () => (refusals = { checks: 0, programs: 1 })],
  ];
  it.each(entitled)('is undone for %s, and for no other cause', (_what, cause, code, before) => {
    onTrial();
    before();
    see(32_000, [event('reverting'), undone(cause, code)], { upSince: 31_500 });
    expect(said).toEqual([]);
    expect(Object.values(goods.counts().excused)).toEqual([1]);
    // The same fault excuses no undo of another cause.
    goods = new GoodChanges({
      well: () => WELL,
      refusals: () => refusals,
      orders: () => orders,
      distrustsDisk: () => distrusted,
      say: (w) => said.push(w),
    });
    onTrial();
    see(31_000, [undone('uplink', 'UPLINK_LOST')]);
    expect(said).toEqual([UNDONE]);
  });

  it.each([
    ['one failed check', 'check', 'CHECK_FAILED', () => (refusals = { checks: 1, programs: 0 })],
    ['two restarts', 'boot', 'RESTARTS', () => see(11_000, [event('started'), event('started')])],
    ['a restart after its switch', 'boot', 'CRASH_IN_SWITCH', () => see(11_000, [event('started')])],
    [
      'a restart and a deadline that has not passed',
      'deadline',
      'DEADLINE_PASSED',
      () => see(11_000, [event('started')]),
    ],
    ['a revert of another release', 'command', 'COMMANDED', () => orders.push(order('revert', 2, 'other'))],
    ['a clock that was set', 'deadline', 'DEADLINE_PASSED', () => goods.clockSet(10_500)],
  ] as [string, Cause, string, () => void][])('is not undone for %s', (_what, cause, code, before) => {
    onTrial();
    before();
    see(12_000, [undone(cause, code)]);
    expect(said).toEqual([UNDONE]);
  });

  it('is not undone for what was before its switch', () => {
    [refusals, orders] = [{ checks: 5, programs: 5 }, [order('revert', 1), ...orders]];
    goods.storageFailed(8_000);
    goods.askedByPerson(STREAM, 8_000);
    onTrial();
    see(11_000, [undone('check', 'CHECK_FAILED')]);
    onTrial();
    see(11_000, [undone('person', 'PERSON')]);
    onTrial();
    see(11_000, [undone('switch', 'SWITCH_FAILED')]);
    expect(said).toEqual([UNDONE, UNDONE, UNDONE]);
  });

  it('is confirmed soon after it has been healthy for long enough', () => {
    onTrial();
    see(17_000);
    expect(said).toEqual([]);
    see(18_500);
    expect(said).toEqual([CONFIRMED]);
  });

  it('is not confirmed on a disk that has failed, until a person says that it was mended', () => {
    onTrial();
    goods.storageFailed(10_500);
    distrusted = true;
    see(40_000);
    distrusted = false;
    see(41_000);
    see(48_500);
    expect(said).toEqual([]);
    see(49_500);
    expect(said).toEqual([CONFIRMED]);
  });

  it('is to be confirmed on a disk that is only said to have failed', () => {
    onTrial();
    distrusted = true;
    see(11_000);
    see(19_500);
    expect(said).toEqual([CONFIRMED]);
  });

  it('has the time anew after an outage, a failed check and a failing disk', () => {
    onTrial();
    see(14_000, [event('started')], { upSince: 14_000 });
    see(21_000, [], { upSince: 14_000 });
    refusals = { checks: 1, programs: 0 };
    see(22_000, [], { upSince: 14_000 });
    see(29_000, [], { upSince: 14_000 });
    goods.storageFailed(29_000);
    see(30_000, [], { upSince: 14_000 });
    see(33_000, [], { upSince: 14_000 });
    see(40_500, [], { upSince: 14_000 });
    expect(said).toEqual([]);
    see(41_500, [], { upSince: 14_000 });
    expect(said).toEqual([CONFIRMED]);
  });

  it('does not end on trial', () => {
    onTrial();
    end();
    expect(said).toEqual([CONFIRMED]);
  });

  it('stays live once it is confirmed', () => {
    onTrial();
    see(15_100, [event('confirmed')]);
    end('original');
    expect(said).toEqual([STAYS]);
  });

  it('is out of sight once an older data directory was put back, and what comes then is judged', () => {
    onTrial();
    goods.restored();
    see(11_000, [event('started'), undone('check', 'CHECK_FAILED')]);
    expect({ said, excused: goods.counts().excused }).toEqual({ said: [], excused: { 'an older data directory': 1 } });
    onTrial();
    see(12_000, [undone('check', 'CHECK_FAILED')]);
    expect(said).toEqual([UNDONE]);
  });
});
