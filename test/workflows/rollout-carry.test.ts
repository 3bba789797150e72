/** What a rollout of 10,000 sites hands to its next run, and what its seal says, against Temporal's limit for a payload. */
import { expect, it } from 'vitest';
import type { PlanOutline } from '../../policies/model/outline.js';
import type { SiteOutcome, SiteOutcomeWord } from '../../policies/model/rollout.js';
import { carriedOf, sealedSites } from '../../workflows/rollout-carry.js';
import { forgive, openRolloutRun, setStage, type RolloutRun } from '../../workflows/rollout-run.js';

const MIB = 1024 * 1024;
const SITES = 10_000;
const idOf = (index: number) => `substation-${String(index).padStart(5, '0')}`;

function outcomeOf(index: number, word: SiteOutcomeWord): SiteOutcome {
  const place = { site: idOf(index), stage: 'everywhere', wave: index % 20 };
  if (word === 'confirmed') return { ...place, outcome: word, at: 1_790_000_000_000 + index, try: 2 };
  const detail = `expected health within 30 s, got "connection refused" on ${'a long address '.repeat(8)}${index}`;
  return {
    ...place,
    outcome: word,
    cause: 'check',
    at: 1_790_000_000_000 + index,
    reason: { code: 'CHECK_FAILED', detail },
    try: 2,
  };
}

/** Every site was commanded twice; those for which `word` says so did not confirm, and a person has promoted against it. */
function large(word: (index: number) => SiteOutcomeWord): { run: RolloutRun; outline: PlanOutline } {
  const waves = Array.from({ length: 20 }, (_, wave) => ({
    sites: Array.from({ length: SITES / 20 }, (_unused, one) => ({
      id: idOf(one * 20 + wave),
      link: 'satellite',
      queue: 'bridge-north',
      group: `pair-${one}`,
    })),
  }));
  const outline: PlanOutline = {
    planDigest: `sha256:${'2'.repeat(64)}`,
    label: 'edge-proxy-1.0.0-1',
    generation: 1,
    release: { stream: 'edge-proxy', version: '1.0.0', digest: `sha256:${'1'.repeat(64)}` },
    strategy: { name: 'wide', owner: 'duty', onFailure: 'stay', onInconclusive: { within: 60_000, then: 'stay' } },
    links: { satellite: { name: 'satellite', settleWithin: 60_000, startWithin: 2_000, heartbeat: 3_000 } },
    stages: [
      {
        name: 'everywhere',
        soak: 0,
        gate: { name: 'none', metrics: [] },
        concurrency: 500,
        settleWithin: 'link',
        budget: { failed: 0, owed: '50%' },
        waves,
      },
    ],
  };
  const identity = { workflowId: 'rollout/1', firstRunId: 'f', runId: 'f', continuation: 0 };
  const run = openRolloutRun({ release: 'edge-proxy@1.0.0', strategy: 'wide' }, identity, null, 0);
  run.outline = outline;
  for (let index = 0; index < SITES; index += 1) {
    run.outcomes.set(idOf(index), outcomeOf(index, word(index)));
    run.commanded.set(idOf(index), { site: idOf(index), switchBy: 1_790_000_000_000 + index });
    run.tries.set(idOf(index), 2);
  }
  setStage(run, 'everywhere', { wave: 20, state: 'running' });
  forgive(run, outline.stages);
  return { run, outline };
}

const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

it.each([
  ['all confirmed', () => 'confirmed' as const, 0],
  ['every hundredth failed', (index: number) => (index % 100 === 0 ? 'reverted' : 'confirmed') as SiteOutcomeWord, 100],
])(
  '[§4 measured] 10,000 sites, %s: the next run is handed less than 1 MiB, and who did not confirm',
  (_, word, named) => {
    const { run, outline } = large(word);
    expect(sizeOf(outline) + sizeOf([...run.outcomes.values()]) + sizeOf([...run.commanded.values()])).toBeGreaterThan(
      2 * MIB,
    );
    const carried = carriedOf(run, outline, 0, 19);
    expect(sizeOf(carried)).toBeLessThan(MIB);
    expect(carried.outcomes).toHaveLength(named);
    expect(carried.commanded).toHaveLength(named);
    expect(carried).toMatchObject({ continuation: 1, frozen: { label: outline.label, generation: 1 }, waveIndex: 19 });
  },
);

it('10,000 sites of which none confirmed: as many are carried as there is room for', () => {
  const { run, outline } = large(() => 'reverted');
  const carried = carriedOf(run, outline, 0, 19);
  expect(sizeOf(carried)).toBeLessThan(MIB);
  expect(carried.outcomes.length).toBeGreaterThan(500);
  expect(carried.outcomes.length).toBeLessThan(SITES);
});

it('the seal counts all 10,000, names those that did not confirm first, and says how many it does not name', () => {
  const { run } = large((index) => (index % 100 === 7 ? 'owed' : 'confirmed'));
  const seal = sealedSites([...run.outcomes.values()]);
  expect(sizeOf(seal)).toBeLessThan(MIB);
  expect(seal.counts).toEqual({ confirmed: 9_900, owed: 100 });
  expect(seal.sites.slice(0, 100).every(({ outcome }) => outcome === 'owed')).toBe(true);
  expect(seal.sites.length + seal.unnamed).toBe(SITES);
  expect(seal.unnamed).toBeGreaterThan(0);
});

it('the seal of a small rollout names every site', () => {
  const outcomes = [outcomeOf(1, 'confirmed'), outcomeOf(2, 'owed')];
  expect(sealedSites(outcomes)).toMatchObject({ sites: [outcomes[1], outcomes[0]], unnamed: 0 });
});
