import { describe, expect, it } from 'vitest';
import type { Sample } from '../../../policies/model/telemetry.js';
import { aggregate } from '../../../policies/site/aggregate.js';
import { decideHealing, scrubDueIn } from '../../../policies/site/decide-scrub.js';
import { judgeDiskError, judgeRoom, roomToStage } from '../../../policies/site/judge-disk.js';
import {
  bytesOf,
  cutPage,
  decideDrop,
  fits,
  leading,
  planPage,
  windowFor,
} from '../../../policies/site/plan-outbox.js';

describe('a page', () => {
  it('[A41] is filled strictly in order, with a floor for the last', () => {
    const much = { safety: 1_000, performance: 1_000, routine: 1_000 };
    expect(planPage(much, 100)).toEqual({ safety: 90, performance: 0, routine: 10 });
    expect(planPage({ ...much, safety: 20 }, 100)).toEqual({ safety: 20, performance: 70, routine: 10 });
    expect(planPage({ ...much, safety: 20, performance: 5 }, 100)).toEqual({ safety: 20, performance: 5, routine: 75 });
    expect(planPage({ ...much, routine: 3 }, 100)).toEqual({ safety: 97, performance: 0, routine: 3 });
    expect(planPage({ safety: 5, performance: 0, routine: 0 }, 100)).toEqual({ safety: 5, performance: 0, routine: 0 });
    expect(planPage(much, 1)).toEqual({ safety: 1, performance: 0, routine: 0 });
  });

  it('over many pages neither starves the last nor holds up the first', () => {
    const waiting = { safety: 900, performance: 500, routine: 500 };
    let pages = 0;
    for (; waiting.safety > 0; pages++) {
      const page = planPage(waiting, 100);
      for (const priority of ['safety', 'performance', 'routine'] as const) waiting[priority] -= page[priority];
    }
    expect(pages).toBe(10);
    expect(waiting.routine).toBe(400);
  });
});

describe('the bytes of a page', () => {
  const within = { entries: 100, bytes: 1_000 };
  const of = (count: number, bytes: number) => Array.from({ length: count }, () => bytes);

  it('bound it as its entries do, in the same order and with the same floor', () => {
    const much = { safety: of(100, 90), performance: of(100, 90), routine: of(100, 10) };
    expect(cutPage(much, within)).toEqual({ safety: 10, performance: 0, routine: 10 });
    expect(cutPage({ ...much, safety: of(2, 90) }, within)).toEqual({ safety: 2, performance: 8, routine: 10 });
    expect(cutPage({ ...much, safety: [], performance: [] }, within)).toEqual({
      ...{ safety: 0, performance: 0, routine: 100 },
    });
    expect(cutPage({ safety: of(100, 1), performance: [], routine: [] }, within).safety).toBe(100);
  });

  it('let the first through whatever its size, and nothing beside it but the floor', () => {
    const huge = { safety: [5_000, 1], performance: [1], routine: [100] };
    expect(cutPage(huge, within)).toEqual({ safety: 1, performance: 0, routine: 1 });
    expect(cutPage({ ...huge, routine: [101] }, within)).toEqual({ safety: 1, performance: 0, routine: 0 });
    expect(cutPage({ safety: [], performance: [5_000], routine: [101] }, within)).toMatchObject({ performance: 1 });
    expect(cutPage({ safety: [], performance: [], routine: [5_000, 1] }, within)).toMatchObject({ routine: 1 });
    expect(cutPage({ safety: [], performance: [], routine: [] }, within)).toMatchObject({ safety: 0, routine: 0 });
  });

  it('are those of UTF-8, and whether the last one fits is told one by one as for all', () => {
    expect(bytesOf({ a: 'ø' })).toBe(10);
    expect(leading([400, 600, 1], within)).toBe(2);
    expect(leading([1_001, 1], within)).toBe(1);
    expect(leading(of(101, 1), within)).toBe(100);
    expect(leading([], within)).toBe(0);
    const told = [400, 1_000, 1_001].map((bytes, i) => fits({ entries: i + 1, bytes }, within));
    expect(told).toEqual([true, true, false]);
    expect(fits({ entries: 1, bytes: 5_000 }, within)).toBe(true);
  });
});

describe('dropping', () => {
  const of = (entries: number, bytes: number) => ({ entries, bytes });
  it('[A41] takes routine first, then performance, nothing below the bound', () => {
    expect(decideDrop({ routine: of(8, 800), performance: of(8, 800) }, 1_600)).toBeUndefined();
    expect(decideDrop({ routine: of(8, 800), performance: of(8, 800) }, 1_599)).toEqual({
      priority: 'routine',
      entries: 2,
    });
    expect(decideDrop({ routine: of(0, 0), performance: of(3, 900) }, 100)).toEqual({
      priority: 'performance',
      entries: 1,
    });
    expect(decideDrop({ routine: of(0, 0), performance: of(0, 0) }, -1)).toBeUndefined();
  });

  it('samples are gathered longer the more waits for the link', () => {
    const windows = (usual: number) => [0, 0.24, 0.25, 0.5, 1].map((share) => windowFor(share, usual) / 60_000);
    expect(windows(60_000)).toEqual([1, 1, 10, 60, 60]);
    // What a thin link takes long for anyway is never told more often because it waits.
    expect(windows(900_000)).toEqual([15, 15, 15, 60, 60]);
  });
});

describe('a window', () => {
  const sample = (value: number, timeUnixMs: number, attributes = {}): Sample => ({
    scope: { name: 's' },
    name: 'n',
    unit: '1',
    attributes,
    timeUnixMs,
    value,
  });
  it('says how many, the least, the most, the sum and the latest, one for each series', () => {
    const windows = aggregate([sample(3, 20), sample(1, 30), sample(9, 10), sample(5, 15, { a: 1 }), sample(NaN, 40)]);
    expect(windows).toMatchObject([
      { startTimeUnixMs: 10, timeUnixMs: 30, count: 3, min: 1, max: 9, sum: 13, last: 1 },
      { attributes: { a: 1 }, count: 1, min: 5, max: 5, sum: 5, last: 5 },
    ]);
    expect(aggregate([])).toEqual([]);
  });
});

describe('errors of the disk', () => {
  it.each([
    ['ENOSPC', undefined, 'full'],
    ['SQLITE_FULL', 13, 'full'],
    ['SQLITE_IOERR', 4874, 'full'],
    ['EIO', undefined, 'broken'],
    ['EROFS', undefined, 'broken'],
    ['SQLITE_IOERR', 1034, 'broken'],
    ['SQLITE_IOERR_FSYNC', 1034, 'broken'],
    ['SQLITE_CORRUPT', 11, 'broken'],
    ['SQLITE_READONLY', 8, 'broken'],
    ['SQLITE_BUSY', 5, undefined],
    ['ENOENT', undefined, undefined],
  ] as const)('%s (%s) is %s', (code, rawCode, trouble) => {
    expect(judgeDiskError({ code, rawCode, outside: false })).toBe(trouble);
  });

  it('a read-only target is the fault of its release, not of the disk; a device that fails is, wherever', () => {
    expect(judgeDiskError({ code: 'EROFS', outside: true })).toBeUndefined();
    expect(judgeDiskError({ code: 'EIO', outside: true })).toBe('broken');
  });

  it('room: every file is rendered, what is missing is fetched as well; the reserve comes first', () => {
    const margin = roomToStage([]);
    expect(roomToStage([{ size: 1, missing: false }]) - margin).toBe(8_192);
    expect(roomToStage([{ size: 4_097, missing: true }]) - margin).toBe(2 * 12_288);
    expect(judgeRoom({ free: 10, needed: 10, reserveWhole: true })).toBeUndefined();
    expect(judgeRoom({ free: 9, needed: 10, reserveWhole: true })).toContain('expected 10 bytes free');
    expect(judgeRoom({ free: 1e9, needed: 10, reserveWhole: false })).toContain('reserve');
  });
});

describe('the scrub', () => {
  it('is due after its time, never read, or under a clock that was set back', () => {
    expect([
      scrubDueIn(100, undefined, 50),
      scrubDueIn(100, 90, 50),
      scrubDueIn(100, 40, 50),
      scrubDueIn(100, 900, 50),
    ]).toEqual([...[0, 40, 0, 0]]);
  });

  it('never mends what is live in place; blobs before the depot before an alarm', () => {
    expect(decideHealing({ live: true, blobsWhole: true, inDepot: true })).toBe('leave');
    expect(decideHealing({ live: true, blobsWhole: false, inDepot: true })).toBe('refetch');
    expect(decideHealing({ live: true, blobsWhole: false, inDepot: false })).toBe('alarm');
    expect(decideHealing({ live: false, blobsWhole: true, inDepot: true })).toBe('remake');
    expect(decideHealing({ live: false, blobsWhole: false, inDepot: true })).toBe('refetch');
    expect(decideHealing({ live: false, blobsWhole: false, inDepot: false })).toBe('alarm');
  });
});
