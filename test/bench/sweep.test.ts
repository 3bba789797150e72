import { describe, expect, it } from 'vitest';
import { figuresOf, median, type Sweep } from '../../bench/sweep/figures.js';
import { countHistories, type HistoryEvent } from '../../bench/sweep/histories.js';

const sweep = (seconds: number, central = 10): Sweep => ({
  ...{ seconds, eventsPerSite: 3.2, eventsPerSiteTotal: 3.4 },
  cpu: { central, sites: 20, server: undefined },
});

describe('the figures of the sweep', () => {
  it('take the median of the ratios of pairs, not the ratio of medians', () => {
    const pairs = [
      { ours: sweep(2), floor: sweep(1) },
      { ours: sweep(10), floor: sweep(8) },
      { ours: sweep(4), floor: sweep(4) },
    ];
    const figures = figuresOf(100, pairs, [sweep(5)]);
    expect(figures).toMatchObject({ sitesPerSecond: 25, floorSitesPerSecond: 25, ratio: 0.8, ratios: [0.5, 0.8, 1] });
    expect(figures).toMatchObject({ agentsFloorSitesPerSecond: 20, ratioToAgentsFloor: 1.25 });
    expect(figures).toMatchObject({ centralCpuMsPerSite: 0.1, cpuMsPerSite: { ours: { sites: 0.2, server: NaN } } });
  });

  it('know the middle of an odd, an even and an empty row', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, NaN]);
  });
});

describe('the histories of shards', () => {
  let nextId = 0;
  const event = (atMs: number, attributes: Record<string, unknown>) =>
    ({
      eventId: ++nextId,
      eventTime: { seconds: Math.floor(atMs / 1_000), nanos: (atMs % 1_000) * 1e6 },
      ...attributes,
    }) as unknown as HistoryEvent;
  const scheduled = (at: number, name: string) =>
    event(at, { activityTaskScheduledEventAttributes: { activityType: { name } } });
  const completed = (at: number, of: HistoryEvent) =>
    event(at, { activityTaskCompletedEventAttributes: { scheduledEventId: of.eventId } });

  it('last from the first command scheduled to the last result recorded, over all shards', () => {
    const issue = scheduled(1_000, 'issueCommands');
    const first = scheduled(1_500, 'converge');
    const record = scheduled(3_000, 'recordSettled');
    const shard = [issue, first, completed(2_500, first), record, completed(3_250, record)];
    const later = scheduled(1_600, 'converge');
    const counted = countHistories([[later, completed(9_000, later)], shard], 'converge', 'recordSettled');
    expect(counted).toMatchObject({ from: 1_500, to: 3_250, total: 7, ofSites: 4 });
  });
});
