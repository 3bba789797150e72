/** What the demo counts and how it judges: a demo that cannot fail proves nothing. */
import { describe, expect, it } from 'vitest';
import type { ActRecord } from '../../../examples/demo/act.js';
import { countConverge } from '../../../examples/demo/events.js';
import { judgeCaught, judgeCutLink, judgePromoted, type ActThree } from '../../../examples/demo/judge.js';
import { columns } from '../../../examples/demo/transcript.js';

type History = Parameters<typeof countConverge>[0];

describe('events of a shard that converge causes', () => {
  const scheduled = (id: number, name: string) => ({
    eventId: id,
    activityTaskScheduledEventAttributes: { activityType: { name } },
  });
  const started = (id: number) => ({ activityTaskStartedEventAttributes: { scheduledEventId: id } });
  const completed = (id: number) => ({ activityTaskCompletedEventAttributes: { scheduledEventId: id } });
  const timedOut = (id: number) => ({ activityTaskTimedOutEventAttributes: { scheduledEventId: id } });
  const task = [
    { workflowTaskScheduledEventAttributes: {} },
    { workflowTaskStartedEventAttributes: {} },
    { workflowTaskCompletedEventAttributes: {} },
  ];
  const count = (events: unknown[]): number => countConverge(events as unknown as History);

  it('are the activity and the workflow task that its end causes, not the shard’s own', () => {
    const own = [
      { workflowExecutionStartedEventAttributes: {} },
      ...task,
      scheduled(5, 'issueCommands'),
      started(5),
      completed(5),
      ...task,
    ];
    expect(count(own)).toBe(0);
    expect(
      count([...own, scheduled(11, 'converge'), started(11), completed(11), ...task, scheduled(17, 'recordSettled')]),
    ).toBe(6);
  });

  it('share a workflow task where two converges end together', () => {
    const both = [
      scheduled(5, 'converge'),
      scheduled(6, 'converge'),
      started(5),
      completed(5),
      started(6),
      completed(6),
    ];
    expect(count([...both, ...task])).toBe(9);
  });

  it('include a converge that was never started', () => {
    expect(count([scheduled(5, 'converge'), timedOut(5), ...task])).toBe(5);
  });
});

const site = (outcome: string, reason?: string) => ({
  outcome,
  release: '2.4.0',
  ...(reason === undefined ? {} : { reason }),
});

function act(change: Partial<Record<keyof ActRecord, unknown>>): ActRecord {
  return {
    release: 'edge-proxy@2.4.0',
    status: { outcome: 'promoted', stages: [] },
    sites: { a: site('confirmed'), b: site('confirmed') },
    served: { a: '2.4.0', b: '2.4.0' },
    gate: [{ stage: 'canary', metric: 'error-ratio', verdict: 'pass', values: [0] }],
    events: { converge: 12, total: 40 },
    traffic: { switching: { requests: 1, failed: 0, codes: {} } },
    seconds: 1,
    ...change,
  } as ActRecord;
}

describe('the judgement of act 1', () => {
  it('is silent only if every site confirmed, reports and serves the release, and every gate passed', () => {
    expect(judgePromoted(act({}), '2.4.0')).toEqual([]);
    expect(judgePromoted(act({ status: { outcome: 'halted' } }), '2.4.0')).toEqual([
      'edge-proxy@2.4.0: expected promoted, got halted',
    ]);
    expect(judgePromoted(act({ served: { a: '2.4.0', b: '2.3.0' } }), '2.4.0')).toHaveLength(1);
    expect(judgePromoted(act({ sites: { a: site('confirmed'), b: site('owed') } }), '2.4.0')).toHaveLength(1);
    expect(judgePromoted(act({ gate: [] }), '2.4.0')).toHaveLength(1);
    expect(judgePromoted(act({ gate: [{ stage: 'canary', verdict: 'inconclusive' }] }), '2.4.0')).toHaveLength(1);
  });
});

describe('the judgement of act 2', () => {
  const caught = {
    status: { outcome: 'reverted' },
    sites: { a: site('reverted'), b: site('untouched') },
    gate: [{ stage: 'canary', metric: 'error-ratio', verdict: 'fail', values: [0.06] }],
  };

  it('is silent only if the gate failed at the canary and nobody else was touched', () => {
    expect(judgeCaught(act(caught), ['a'], '2.4.0')).toEqual([]);
    expect(judgeCaught(act({ ...caught, status: { outcome: 'promoted' } }), ['a'], '2.4.0')).toHaveLength(1);
    expect(
      judgeCaught(act({ ...caught, sites: { a: site('reverted'), b: site('reverted') } }), ['a'], '2.4.0'),
    ).toHaveLength(1);
    expect(judgeCaught(act({ ...caught, gate: [...caught.gate, ...caught.gate] }), ['a'], '2.4.0')).toHaveLength(1);
    expect(judgeCaught(act({ ...caught, served: { a: '2.5.0', b: '2.4.0' } }), ['a'], '2.4.0')).toHaveLength(1);
  });
});

describe('the judgement of act 3', () => {
  const play = (change: Partial<ActThree>, record: Parameters<typeof act>[0] = {}): ActThree => ({
    record: act({
      status: { outcome: 'reverted', stages: [{ failed: 1 }] },
      sites: { a: site('reverted', 'CHECK_FAILED'), b: site('owed') },
      ...record,
    }),
    offline: { site: 'a', badSinceMs: 1, restoredMs: 2, linkCut: true },
    reverting: ['a'],
    down: 'b',
    controllers: { a: 'x' },
    memory: 'x',
    ...change,
  });

  it('is silent only if the site undid it alone, once, with both components, and the other is owed', () => {
    expect(judgeCutLink(play({}), '2.4.0')).toEqual([]);
    expect(
      judgeCutLink(play({ offline: { site: 'a', badSinceMs: 1, restoredMs: 2, linkCut: false } }), '2.4.0'),
    ).toHaveLength(1);
    expect(judgeCutLink(play({ controllers: { a: 'y' } }), '2.4.0')).toHaveLength(1);
    const twice = { status: { outcome: 'reverted', stages: [{ failed: 2 }] } };
    expect(judgeCutLink(play({}, twice), '2.4.0')).toHaveLength(1);
    const commanded = { sites: { a: site('reverted', 'COMMANDED'), b: site('owed') } };
    expect(judgeCutLink(play({}, commanded), '2.4.0')).toHaveLength(1);
    const failed = { sites: { a: site('reverted', 'CHECK_FAILED'), b: site('reverted') } };
    expect(judgeCutLink(play({}, failed), '2.4.0')).toHaveLength(1);
  });
});

describe('columns', () => {
  it('are as wide as their widest cell, colours not counted', () => {
    expect(
      columns([
        ['a', 'b'],
        ['\u001b[32mlong\u001b[39m', 'c'],
      ]),
    ).toBe('  a     b\n  \u001b[32mlong\u001b[39m  c');
  });
});
