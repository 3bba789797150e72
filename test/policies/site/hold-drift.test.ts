import { describe, expect, it } from 'vitest';
import {
  decideHeld,
  LONGEST_OFF,
  markHold,
  servedOf,
  timeLeftOf,
  type StoredHold,
} from '../../../policies/site/decide-hold.js';
import {
  compareTrees,
  decideRepair,
  driftAfterRepair,
  nextDrift,
  policyOf,
  repairedTree,
  REPAIRS_MOST,
  type KeptDrift,
  type RepairSituation,
  type TreeItem,
} from '../../../policies/site/decide-drift.js';
import type { DriftedPath, DriftReport } from '../../../policies/model/report.js';

const HOUR = 3_600_000;
const PLACED = 1_800_000_000_000;
const hold = (change: Partial<StoredHold> = {}): StoredHold => ({
  ...{ stream: '', by: 'kari', reason: 'work on the mast', at: PLACED, until: PLACED + 8 * HOUR, lasts: 8 * HOUR },
  ...{ served: 0, markedAt: PLACED, markedElapsed: 1_000, bootId: 'boot-1' },
  ...change,
});
const moment = (elapsed: number, wall: number, bootId = 'boot-1', timeFloor = 0) => {
  return { now: PLACED + wall, elapsed: 1_000 + elapsed, bootId, timeFloor };
};

describe('a hold', () => {
  it('ends by elapsed time, wherever the wall clock is set', () => {
    for (const wall of [-10 * 365 * 24 * HOUR, 0, 7 * HOUR, 400 * 24 * HOUR]) {
      expect(timeLeftOf(hold(), moment(7 * HOUR, wall))).toBe(HOUR);
      expect(timeLeftOf(hold(), moment(8 * HOUR, wall))).toBe(0);
    }
    // Forward, marked there, and back again: the mark counts elapsed time as well.
    const forward = markHold(hold(), moment(HOUR, 300 * 24 * HOUR));
    expect(timeLeftOf(markHold(forward, moment(2 * HOUR, 2 * HOUR)), moment(3 * HOUR, 3 * HOUR))).toBe(5 * HOUR);
  });

  it('adds the time that the site was off if it is plausible, else only what this boot has seen', () => {
    const off = (wall: number, timeFloor = 0) =>
      servedOf(hold(), { ...moment(0, wall, 'boot-2', timeFloor), elapsed: 5 });
    expect(off(3 * HOUR)).toBe(3 * HOUR);
    expect(off(-1)).toBe(5);
    expect(off(LONGEST_OFF + 1)).toBe(5);
    // It was placed by a clock that stood at a time that was over already.
    expect(off(3 * HOUR, PLACED + HOUR)).toBe(5);
  });

  it('without an end is ended by a person only; of several the one that lasts longest counts', () => {
    const { until: _until, lasts: _lasts, ...endless } = hold({ by: 'ola' });
    expect(timeLeftOf(endless, moment(1_000 * HOUR, 1_000 * HOUR))).toBeUndefined();
    const of = [hold(), hold({ stream: 'relay', lasts: 9 * HOUR }), { ...endless, stream: 'firewall' }];
    expect(decideHeld('relay', of, moment(0, 0))?.lasts).toBe(9 * HOUR);
    expect(decideHeld('firewall', of, moment(0, 0))?.by).toBe('ola');
    expect(decideHeld('psk', of, moment(0, 0))?.lasts).toBe(8 * HOUR);
    expect(decideHeld('psk', of, moment(8 * HOUR, 0))).toBeUndefined();
  });
});

const directory = (path: string, mode = 0o755): TreeItem => ({ type: 'directory', path, mode });
const file = (path: string, digest = path, mode = 0o644): TreeItem => {
  return { type: 'file', path, mode, digest: `sha256:${digest}` };
};

describe('drift', () => {
  const wanted = [directory('.'), file('a'), directory('d'), file('d/b'), file('gone')];
  const found = [directory('.'), file('a', 'other'), directory('d', 0o700), file('d/b'), file('d/new')];

  it('[A46] is told path by path: added, changed, removed, mode', () => {
    expect(compareTrees(wanted, found).map(({ path, kind }) => `${kind} ${path}`)).toEqual([
      ...['changed a', 'mode d', 'added d/new', 'removed gone'],
    ]);
    expect(compareTrees(wanted, wanted)).toEqual([]);
    const owned: TreeItem = { type: 'file', path: 'a', mode: 0o644, digest: 'sha256:a', owner: [7, 7] };
    expect(compareTrees([file('a')], [owned])).toMatchObject([
      { kind: 'mode', detail: 'mode 644 of 7:7, not mode 644' },
    ]);
    const link = (to: string): TreeItem => ({ type: 'link', path: 'l', to });
    expect(compareTrees([link('x')], [link('y')])).toMatchObject([
      { kind: 'changed', detail: 'a link to y, not to x' },
    ]);
    expect(compareTrees([file('l')], [link('y')])).toMatchObject([{ detail: 'a link where the release has a file' }]);
  });

  it('is judged by the first rule that names the path, else told of', () => {
    const rules = [
      { paths: ['cache/**'], then: 'accept' as const },
      { paths: ['*.conf'], then: 'repair' as const, component: 'config' },
      { paths: ['**'], then: 'accept' as const, component: 'relay' },
    ];
    const judged = (component: string, path: string) => policyOf(rules, component, path);
    expect(judged('config', 'cache/a/b')).toBe('accept');
    expect(judged('config', 'main.conf')).toBe('repair');
    expect(judged('config', 'd/main.conf')).toBe('alert');
    expect(judged('relay', 'main.conf')).toBe('accept');
    expect(policyOf(undefined, 'config', 'main.conf')).toBe('alert');
  });

  const drifted = (path: string, policy: DriftedPath['policy'], detail = ''): DriftedPath => {
    return { component: 'main', path, kind: 'changed', policy, detail };
  };
  const against = { version: '1.0.0', digest: 'sha256:1' };

  it('is news once, keeps the time it was first seen, and what is accepted is none', () => {
    const first = nextDrift(undefined, { against, paths: [drifted('a', 'alert'), drifted('c', 'accept')] }, 10);
    expect(first).toMatchObject({ isNews: true, report: { since: 10, total: 1, paths: [{ path: 'a' }] } });
    const again = nextDrift(first.report, { against, paths: [drifted('a', 'alert', 'written to again')] }, 20);
    expect(again).toMatchObject({ isNews: false, report: { since: 10, at: 20 } });
    const gone = nextDrift(again.report, { against, paths: [] }, 30);
    expect(gone).toMatchObject({ isNews: true, report: { total: 0, paths: [] } });
    expect(gone.report.since).toBeUndefined();
    expect(nextDrift(undefined, { against, paths: [drifted('c', 'accept')] }, 10).isNews).toBe(false);
    const other = nextDrift(
      first.report,
      { against: { version: '2.0.0', digest: 'sha256:2' }, paths: first.report.paths },
      40,
    );
    expect(other).toMatchObject({ isNews: true, report: { since: 40 } });
  });

  /** Looked at every ten minutes for so many hours; returns at which hours it was news. */
  function lookedAt(hours: number, found: (look: number) => DriftedPath[], from = 0, before?: KeptDrift) {
    const news: number[] = [];
    let last = before;
    for (let look = 0; look <= hours * 6; look++) {
      const hour = from + look / 6;
      const { report, isNews } = nextDrift(last, { against, paths: found(look) }, hour * HOUR);
      if (isNews) news.push(Math.floor(hour));
      last = report;
    }
    return { news, last };
  }
  const files = (count: number) => Array.from({ length: count }, (_, n) => drifted(`sessions/${n}`, 'alert'));

  it('that goes on changing is news ever less often, once a day in the end; what is found is reported all the same', () => {
    const { news, last } = lookedAt(96, (look) => files(look + 1));
    expect(news).toEqual([0, 0, 1, 3, 7, 15, 31, 55, 79]);
    expect(last?.total).toBe(96 * 6 + 1);
  });

  it('that comes and goes is news no more often, and its end is news each time that it was', () => {
    const { news } = lookedAt(96, (look) => files(look % 2));
    expect(news.length).toBeLessThanOrEqual(2 * 9);
    // Of the last pause: the drift, and ten minutes later its end.
    expect(news.slice(-2)).toEqual([79, 79]);
  });

  it('that changes by the hour and more is told ever less often too, and at once again after a calm', () => {
    const hourly = lookedAt(72, (look) => files(1 + Math.floor(look / 9)));
    expect(hourly.news.length).toBeLessThanOrEqual(9);
    const calm = lookedAt(60, () => hourly.last?.paths ?? [], 72, hourly.last);
    expect(calm.news.length).toBeLessThanOrEqual(1);
    const again = lookedAt(1, (look) => files(100 + Math.min(look, 1)), 132, calm.last);
    expect(again.news).toEqual([132, 132]);
  });

  it('whose change was passed over is told once the pause is over, and not if it was undone by then', () => {
    const busy = lookedAt(4, (look) => files(look + 1));
    const stays = lookedAt(4, () => files(3), 4.2, busy.last);
    expect(stays.news).toEqual([7]);
    const told = nextDrift(undefined, { against, paths: files(1) }, 0).report;
    const changed = nextDrift(told, { against, paths: files(2) }, 1).report;
    const passed = nextDrift(changed, { against, paths: files(3) }, 2);
    expect(passed).toMatchObject({ isNews: false, report: { total: 3 } });
    expect(nextDrift(passed.report, { against, paths: files(2) }, 2 * HOUR).isNews).toBe(false);
    expect(nextDrift(passed.report, { against, paths: [] }, 3).isNews).toBe(true);
  });

  it('of another release, or under a clock that was set back, is told at once', () => {
    const { last } = lookedAt(24, (look) => files(look + 1));
    const other = { version: '2.0.0', digest: 'sha256:2' };
    expect(nextDrift(last, { against: other, paths: files(2) }, 24.2 * HOUR).isNews).toBe(true);
    expect(nextDrift(last, { against, paths: files(2) }, 24.2 * HOUR).isNews).toBe(false);
    expect(nextDrift(last, { against, paths: files(2) }, HOUR).isNews).toBe(true);
  });

  it('that an older agent kept was told by it', () => {
    const kept: DriftReport = { against, at: 1, since: 1, paths: files(2), total: 2 };
    expect(nextDrift(kept, { against, paths: files(2) }, 2).isNews).toBe(false);
    expect(nextDrift(kept, { against, paths: files(3) }, 2).isNews).toBe(true);
    expect(nextDrift(kept, { against, paths: [] }, 2).isNews).toBe(true);
  });

  it('after a repair is known from its own event, and the pause goes on', () => {
    const { last } = lookedAt(4, (look) => files(look + 1));
    const after = driftAfterRepair(last, { against, paths: files(1) }, 4 * HOUR);
    expect(nextDrift(after, { against, paths: files(1) }, 48 * HOUR).isNews).toBe(false);
    expect(nextDrift(after, { against, paths: files(2) }, 4.2 * HOUR).isNews).toBe(false);
    expect(nextDrift(after, { against, paths: files(2) }, 8 * HOUR).isNews).toBe(true);
  });

  const calm: RepairSituation = {
    ...{ paths: [drifted('a', 'repair'), drifted('b', 'alert')], busy: false, observing: false },
    ...{ repairedAt: [], elapsed: 10 * HOUR },
  };
  it('is repaired only where the release says so, and never in safe mode, under a hold, under a command, in a closed window', () => {
    expect(decideRepair(calm)).toEqual({ kind: 'repair', components: ['main'] });
    expect(decideRepair({ ...calm, window: 'open' })).toMatchObject({ kind: 'repair' });
    expect(decideRepair({ ...calm, paths: [drifted('b', 'alert'), drifted('c', 'accept')] })).toEqual({
      kind: 'nothing',
    });
    expect(decideRepair({ ...calm, observing: true })).toEqual({ kind: 'nothing' });
    const held = (code: 'HELD' | 'SAFE_MODE') => decideRepair({ ...calm, held: { code, detail: 'x' } });
    expect([held('HELD'), held('SAFE_MODE')]).toEqual([
      { kind: 'wait', why: 'HELD: x' },
      { kind: 'wait', why: 'SAFE_MODE: x' },
    ]);
    expect(decideRepair({ ...calm, busy: true })).toMatchObject({ kind: 'wait' });
    expect(decideRepair({ ...calm, window: 'closed' })).toMatchObject({ kind: 'wait' });
  });

  it('[A32] waits while the disk is not believed: that is said first, for only a person ends it', () => {
    const fault = { code: 'STORAGE_FAULT', detail: 'EIO' } as const;
    const wait = { kind: 'wait', why: 'STORAGE_FAULT: EIO' };
    expect(decideRepair({ ...calm, fault })).toEqual(wait);
    expect(decideRepair({ ...calm, fault, busy: true, held: { code: 'HELD', detail: 'x' } })).toEqual(wait);
    expect(decideRepair({ ...calm, fault, paths: [drifted('b', 'alert')] })).toEqual({ kind: 'nothing' });
  });

  it('is not fought over for ever', () => {
    const at = Array.from({ length: REPAIRS_MOST }, (_, n) => calm.elapsed - n * 60_000);
    expect(decideRepair({ ...calm, repairedAt: at })).toMatchObject({
      kind: 'wait',
      why: expect.stringMatching(/something else/) as string,
    });
    expect(decideRepair({ ...calm, repairedAt: at, elapsed: calm.elapsed + HOUR })).toMatchObject({ kind: 'repair' });
  });

  it('is put back by a tree that keeps what nobody said is to be put back', () => {
    const policy = (path: string) => {
      if (path === 'a' || path === 'gone') return 'repair' as const;
      return path === 'd' ? ('accept' as const) : ('alert' as const);
    };
    expect(repairedTree(wanted, found, policy)).toEqual([
      ...[directory('.'), file('a'), directory('d', 0o700), file('d/b'), file('d/new'), file('gone')],
    ]);
    expect(repairedTree(wanted, found, () => 'repair')).toEqual(wanted);
    // The directory that a kept file lies in is none of the release: it stays for the file's sake.
    const deep = [directory('.'), directory('x'), file('x/kept'), file('x/not')];
    const kept = repairedTree([directory('.')], deep, (path) => (path === 'x/kept' ? 'accept' : 'repair'));
    expect(kept).toEqual([directory('.'), directory('x'), file('x/kept')]);
  });
});
