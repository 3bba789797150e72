/** How many results go into one record: what a site has journaled comes with each of them. */
import { expect, it, vi } from 'vitest';
import type { Settled } from '../../policies/model/command.js';
import type { ShardInput } from '../../policies/model/outline.js';
import { keepRecording } from '../../workflows/shard-record.js';
import { openShardRun } from '../../workflows/shard-run.js';

const pages: Settled[][] = [];
vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  condition: async (holds: () => boolean) => holds(),
}));
vi.mock('../../workflows/proxies.js', () => ({
  patient: {
    recordSettled: async (_: unknown, results: Settled[]) => {
      if (Buffer.byteLength(JSON.stringify(results)) > 2 * 1024 * 1024) throw new Error('the input exceeds the limit');
      pages.push(results);
      return null;
    },
  },
}));

const resultOf = (n: number, bytes: number) =>
  ({
    kind: 'result',
    commandId: `c-${n}`,
    events: [{ detail: { text: 'ø'.repeat(bytes / 2) } }],
  }) as unknown as Settled;

it.each([
  ['small', 1_000, [50, 10]],
  ['large', 500_000, Array.from({ length: 15 }, () => 4)],
])(
  'results with %s journals are recorded in pages that Temporal takes, each once and in order',
  async (_, bytes, sizes) => {
    pages.length = 0;
    const run = openShardRun({
      firstRunId: 'f',
      stage: 'all',
      wave: 0,
      verb: 'revert',
      sites: [],
    } as unknown as ShardInput);
    run.closing = true;
    run.unrecorded = Array.from({ length: 60 }, (__, n) => resultOf(n, bytes));
    const all = [...run.unrecorded];
    await keepRecording(run);
    expect(pages.flat()).toEqual(all);
    expect(pages.map(({ length }) => length)).toEqual(sizes);
  },
);
