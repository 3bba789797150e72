import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cliFigures, type Round } from '../../bench/cli/figures.js';
import { fillProject } from '../../bench/cli/fill.js';
import { openRegistry } from '../../records/registry/open.js';

const round = (node: number, took: number, floor: number): Round => ({
  node,
  commands: { status: { took, floor }, owed: { took: 2 * took, floor } },
});

it('the figures are medians, and the ratio is the median of the pairs’ own', () => {
  const figures = cliFigures([round(50, 100, 100), round(70, 300, 100), round(60, 400, 400)]);
  expect(figures).toEqual({
    ...{ n: 3, nodeMs: 60, floorMs: 100, worstRatio: 2 },
    commands: {
      status: { medianMs: 300, floorMs: 100, ratio: 1, minMs: 100 },
      owed: { medianMs: 600, floorMs: 100, ratio: 2, minMs: 200 },
    },
  });
});

it('what is read holds what the bench says of it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-fill-'));
  try {
    const now = Date.parse('2026-11-22T12:00:00Z');
    const filled = await fillProject(directory, { sites: 200, rollouts: 5, evidence: 3 }, now);
    expect(filled).toMatchObject({ sites: 200, rollouts: 5, evidence: 15, label: 'edge-proxy-2.4.0-1' });
    const registry = await openRegistry(`sqlite:${filled.registry}`);
    const rollouts = await registry.rollouts();
    expect(await registry.findRollout(filled.over)).toMatchObject({ state: 'sealed', outcome: 'promoted' });
    expect(rollouts.map(({ label }) => label)).toHaveLength(5);
    const debts = await registry.debts();
    expect(debts).toHaveLength(filled.debts);
    // Fifty of each small rollout, and what the waiting one owes.
    expect(debts.filter(({ stream }) => stream === 'firewall-policy')).toHaveLength(150);
    expect((await registry.reports()).size).toBeGreaterThan(150);
    expect((await registry.siteTotals('run-9999')).reduce((sum, { count }) => sum + count, 0)).toBe(200);
    for (const { firstRunId } of rollouts) expect(await registry.evidence(firstRunId)).not.toHaveLength(0);
    await registry.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
