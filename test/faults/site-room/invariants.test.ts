/** Each invariant of the site says no to a site in which it is broken, and nothing to one in which all is well. */
import { describe, expect, it } from 'vitest';
import type { SiteEvent } from '../../../policies/model/report.js';
import { linkSiteEvent } from '../../../policies/signing/chain.js';
import type { CommandRow, HeldRow, StreamRow } from '../../../site/store/rows.js';
import { Judge, type Books, type Sight } from './invariants.js';

const STREAM = 'edge-proxy';
const ID = 'run-1/osl-01/edge-proxy/converge/1';
const GOOD = { stream: STREAM, version: '1.0.0', bad: false };
const BAD = { stream: STREAM, version: '2.0.0', bad: true };

function held(id: number, version: string, change: object = {}): HeldRow {
  const row = { id, stream: STREAM, version, digest: version, adopted: false, release: {}, ...change };
  return row as unknown as HeldRow;
}
function command(digest: string, change: object = {}): CommandRow {
  return { command: { id: ID, stream: STREAM, digest, allowed: false }, ...change } as unknown as CommandRow;
}
const original = held(1, '0.0.0-adopted+1', { adopted: true, confirmedAt: 1 });
const trial = { releaseId: 2, lkgId: 1, commandId: ID, bootId: 'b', switchedAt: 1, switchedElapsed: 1, within: 10_000 };
const watching = { stream: STREAM, state: 'watching', generation: 3, try: 1, commandId: ID, trial } as StreamRow;
const atRest = { stream: STREAM, state: 'reverted', generation: 3, try: 1 } as StreamRow;

let last: SiteEvent | undefined;
function event(kind: SiteEvent['kind'], change: object = {}): SiteEvent {
  const draft = { site: 'osl-01', epoch: 1, at: 1, kind, stream: STREAM, commandId: ID, detail: {}, ...change };
  return (last = linkSiteEvent(draft, last));
}

function sight(change: Partial<Sight> = {}, of: Partial<Books> = {}): Sight {
  const books: Books = {
    ...{ streams: [atRest], held: [original], commands: [], quarantine: [], conversions: 0 },
    ...{ facts: { epoch: '1', timeFloor: '5', ackedThrough: '2', keysetVersion: '1' }, fresh: [], ...of },
  };
  return {
    at: 1_000,
    books,
    live: { [STREAM]: ['original'] },
    trouble: false,
    bootedAt: 0,
    upSince: 0,
    switching: false,
    ...change,
  };
}

/** What the judge says of these sights, one after another. */
function said(...sights: Sight[]): string[] {
  const judge = new Judge({
    releases: new Map([
      [GOOD.version, GOOD],
      [BAD.version, BAD],
    ]),
    slackMs: 1_000,
    forgottenMs: 2_000,
  });
  for (const one of sights) judge.see(one);
  return judge.violations.map(({ invariant }) => invariant);
}
function saidAtEnd(one: Sight, excused: string[] = []): string[] {
  const judge = new Judge({ releases: new Map([[BAD.version, BAD]]), slackMs: 1_000, forgottenMs: 2_000 });
  judge.end(one, new Set(excused));
  return judge.violations.map(({ invariant }) => invariant);
}
const onTrial = { streams: [watching], held: [original, held(2, GOOD.version)], commands: [command(GOOD.version)] };

/** Allowed 10 s: 8 s in one boot, an hour off, and the rest up to `ms` in the next. */
function watchedOverReboot(ms: number, change: Partial<Sight> = {}): Sight[] {
  const live = { [STREAM]: ['1.0.0'] };
  const at = (when: number, more: Partial<Sight>) => sight({ at: when, live, ...more }, onTrial);
  const bootedAt = 3_600_000;
  const up = { bootedAt, upSince: bootedAt + 1_000, ...change };
  return [
    at(0, {}),
    at(8_000, {}),
    at(bootedAt + 1_000, { bootedAt, upSince: undefined }),
    at(bootedAt + 1_500, up),
    at(bootedAt + ms - 8_000, up),
  ];
}

describe('the judge of the site', () => {
  it('has nothing to say of a site at which all is well', () => {
    last = undefined;
    const switched = { ...onTrial, fresh: [event('started'), event('switching')] };
    const live = { [STREAM]: ['1.0.0'] };
    expect(said(sight(), sight({ switching: true, live }, switched), sight({ at: 5_000, live }, onTrial))).toEqual([]);
    expect(saidAtEnd(sight())).toEqual([]);
  });

  it('counts no time in which the machine is off, and forgives what a mark may have missed, or could not be written', () => {
    expect(said(...watchedOverReboot(12_500))).toEqual([]);
    expect(said(...watchedOverReboot(15_000, { trouble: true }))).toEqual([]);
  });

  const facts = (change: object) => sight({}, { facts: { ...sight().books.facts, ...change } });
  const result = (word: string) => sight({}, { commands: [command('1.0.0', { result: { result: word } })] });
  const planted: [what: string, invariant: string, sights: () => Sight[]][] = [
    [
      'a gap in the journal',
      'the journal has no gap and its chain holds',
      () => [sight({}, { fresh: [event('started'), { ...event('accepted'), sequence: 9 }] })],
    ],
    [
      'an event written anew',
      'the journal has no gap and its chain holds',
      () => [sight({}, { fresh: [{ ...event('started'), at: 77 }] })],
    ],
    [
      'a generation that went back',
      'no counter goes back',
      () => [sight(), sight({}, { streams: [{ ...atRest, generation: 2 }] })],
    ],
    ['a try that went back', 'no counter goes back', () => [sight({}, { streams: [{ ...atRest, try: 2 }] }), sight()]],
    ['a stream forgotten', 'no counter goes back', () => [sight(), sight({}, { streams: [] })]],
    ...['epoch', 'timeFloor', 'ackedThrough', 'keysetVersion'].map((fact): [string, string, () => Sight[]] => [
      `${fact} that went back`,
      'no counter goes back',
      () => [sight(), facts({ [fact]: '0' })],
    ]),
    ['another result for an id', 'a result is final for its id', () => [result('confirmed'), result('reverted')]],
    [
      'a result withdrawn',
      'a result is final for its id',
      () => [result('confirmed'), sight({}, { commands: [command('1.0.0')] })],
    ],
    ['a command forgotten', 'a result is final for its id', () => [result('confirmed'), sight()]],
    [
      'a switch without a trial',
      'what is pending has a deadline and a last-known-good',
      () => [sight({}, { ...onTrial, streams: [{ stream: STREAM, state: 'watching', generation: 3, try: 1 }] })],
    ],
    [
      'no deadline',
      'what is pending has a deadline and a last-known-good',
      () => [
        sight(
          {},
          { ...onTrial, streams: [{ ...watching, trial: { ...trial, within: 0, restarts: 0, undoAttempts: 0 } }] },
        ),
      ],
    ],
    [
      'no last-known-good',
      'what is pending has a deadline and a last-known-good',
      () => [sight({}, { ...onTrial, held: [held(2, GOOD.version)] })],
    ],
    [
      'a last-known-good that was never confirmed',
      'only what was confirmed is gone back to',
      () => [sight({}, { ...onTrial, held: [held(1, '0.9.0'), held(2, GOOD.version)] })],
    ],
    ['two releases live', 'one release is live', () => [sight({ live: { [STREAM]: ['original', '1.0.0'] } })]],
    ['a torn release live', 'what the books say is live, whole', () => [sight({ live: { [STREAM]: ['?1.0.0'] } })]],
    ['another release live', 'what the books say is live, whole', () => [sight({ live: { [STREAM]: ['1.0.0'] } })]],
    [
      'a torn release on trial',
      'what the books say is live, whole',
      () => [sight({ live: { [STREAM]: ['?1.0.0'] } }, onTrial)],
    ],
    ['a watch of what is not live', 'what the books say is live, whole', () => [sight({}, onTrial)]],
    [
      'a watch that goes on',
      'what is not confirmed in time is undone in time',
      () => [sight({}, onTrial), sight({ at: 13_000 }, onTrial)],
    ],
    ['a deadline that begins anew at a reboot', 'no reboot gives a trial more time', () => watchedOverReboot(15_000)],
    [
      'a bad release confirmed',
      'a bad release is never confirmed',
      () => [sight({}, { commands: [command(BAD.version)], fresh: [event('confirmed')] })],
    ],
    [
      'a second switch',
      'a command switches once',
      () => [sight({}, { ...onTrial, fresh: [event('switching'), event('switching')] })],
    ],
    [
      'a switch that nobody commanded',
      'nothing is switched to without a command',
      () => [sight({}, { ...onTrial, commands: [], fresh: [event('switching')] })],
    ],
    [
      'a quarantined release',
      'what is quarantined is not switched to',
      () => [
        sight(
          { switching: true },
          { ...onTrial, quarantine: [{ stream: STREAM, digest: GOOD.version }], fresh: [event('switching')] },
        ),
      ],
    ],
    [
      'a refused command',
      'what has ended is not switched to',
      () => [
        sight(
          { switching: true },
          { ...onTrial, commands: [command('1.0.0', { result: { result: 'rejected' } })], fresh: [event('switching')] },
        ),
      ],
    ],
    [
      'a superseded command',
      'what is superseded is not switched to',
      () => [
        sight(
          { switching: true },
          { ...onTrial, streams: [{ ...watching, queuedId: 'newer' }], fresh: [event('switching')] },
        ),
      ],
    ],
  ];
  it.each(planted)('says no to %s', (_what, invariant, sights) => {
    last = undefined;
    expect(said(...sights())).toContain(invariant);
  });

  const ends: [string, string, Sight][] = [
    ['a stream that never rests', 'every stream comes to rest', sight({}, onTrial)],
    ['a command that waits', 'every stream comes to rest', sight({}, { streams: [{ ...atRest, queuedId: 'x' }] })],
    ['a command without a result', 'every command has a result', sight({}, { commands: [command('1.0.0')] })],
    ['a bad release live', 'nothing bad stays live', sight({ live: { [STREAM]: ['2.0.0'] } })],
    [
      'safe mode for nothing',
      'safe mode only with nothing verified to go back to',
      sight({}, { streams: [{ ...atRest, state: 'safe-mode' }] }),
    ],
  ];
  it.each(ends)('says no at the end to %s', (_what, invariant, one) => {
    last = undefined;
    expect(saidAtEnd(one)).toContain(invariant);
  });
});
