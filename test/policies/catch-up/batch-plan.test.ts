/** The plan of a batch, and what is left of a stage's budget. */
import { describe, expect, it } from 'vitest';
import { countFailed, planCatchUp, type CatchUpPlanInput } from '../../../policies/catch-up/batch-plan.js';
import { carrierOf, planCarriers } from '../../../policies/catch-up/carriers.js';
import type { Plan, PlanStage } from '../../../policies/model/plan.js';
import type { SiteOutcomeWord } from '../../../policies/model/rollout.js';
import { convergeOf, FIBRE, release, revertOwed, siteOf, STREAM } from './fleet-facts.js';

function stage(name: string, sites: string[], change: Partial<PlanStage> = {}): PlanStage {
  return {
    name,
    waves: [{ sites: sites.map((id) => ({ id, varsDigest: '' })) }],
    gate: { name: 'none', because: 'test' },
    soak: 1_000,
    concurrency: 3,
    settleWithin: 'link',
    budget: { failed: '50%', owed: '10%' },
    ...change,
  };
}

const plan: Plan = {
  version: 1,
  digest: 'sha256:plan',
  release: { stream: STREAM, ...release('2.0.0') },
  strategy: { name: 'careful', digest: 'd', onFailure: 'revert-stage', onInconclusive: { within: 1, then: 'stay' } },
  stages: [stage('canary', ['a', 'b']), stage('rest', ['c', 'd', 'e', 'f'], { settleWithin: 1_000 })],
  excluded: [],
};

function planned(sites: string[], change: Partial<CatchUpPlanInput> = {}) {
  const fleet = ['a', 'b', 'c', 'd', 'e', 'f', 'new'].map((id) => siteOf(id));
  const rest = { failed: new Map<string, number>(), settleWithin: 60_000, digestOf: () => 'digest' };
  return planCatchUp({ plan, sites, fleet, ...rest, ...change });
}

describe('the plan of a batch', () => {
  it('[A45] keeps each site in its stage, with that stage’s gate, soak and concurrency, in one wave', () => {
    const { plan: batch, sites } = planned(['f', 'a', 'c']);
    expect(batch.stages.map(({ name, waves }) => [name, waves.map((wave) => wave.sites.map(({ id }) => id))])).toEqual([
      ['canary', [['a']]],
      ['rest', [['c', 'f']]],
    ]);
    expect(batch.stages[1]).toMatchObject({ gate: plan.stages[1]?.gate, soak: 1_000, concurrency: 3 });
    expect(batch.stages.map(({ settleWithin }) => settleWithin)).toEqual([60_000, 1_000]);
    expect(batch.release).toEqual(plan.release);
    expect(Object.keys(sites).sort()).toEqual(['a', 'c', 'f']);
  });

  it('leaves of a stage’s budget what has not failed yet, counted over the stage and not over the batch', () => {
    const budgets = (failed: Map<string, number>) =>
      planned(['a', 'c'], { failed }).plan.stages.map(({ budget }) => budget);
    expect(budgets(new Map())).toEqual([
      { failed: 1, owed: '100%' },
      { failed: 2, owed: '100%' },
    ]);
    expect(
      budgets(
        new Map([
          ['canary', 1],
          ['rest', 5],
        ]),
      ).map(({ failed }) => failed),
    ).toEqual([0, 0]);
  });

  it('puts a site that the plan does not name into the last stage', () => {
    expect(planned(['new']).plan.stages.map(({ name }) => name)).toEqual(['rest']);
  });

  it('never changes two members of a redundancy group together', () => {
    const fleet = ['c', 'd', 'e'].map((id) => siteOf(id, id === 'e' ? {} : { redundancyGroup: 'pair' }));
    const { waves } = planned(['c', 'd', 'e'], { fleet }).plan.stages[0] ?? { waves: [] };
    expect(waves.map((wave) => wave.sites.map(({ id }) => id))).toEqual([['c', 'e'], ['d']]);
  });

  it('leaves out, and says so, who may not be commanded any more', () => {
    const fleet = [siteOf('a'), siteOf('b', { state: 'maintenance' }), siteOf('c', { streams: ['psk'] })];
    expect(planned(['a', 'b', 'c', 'gone'], { fleet }).plan.excluded).toEqual([
      { site: 'b', reason: 'state is maintenance' },
      { site: 'c', reason: `does not list stream ${STREAM}` },
      { site: 'gone', reason: 'not in the fleet' },
    ]);
    expect(() => planned(['gone'])).toThrow('expected a site');
  });
});

describe('what has failed so far', () => {
  const ended = (site: string, outcome: SiteOutcomeWord, scheduledAt: number) =>
    convergeOf(site, '2.0.0', 11, { scheduledAt, outcome: { site, outcome, stage: 'rest', wave: 0 } });

  it('counts each site once, by its latest answer, over the promoted rollout and the batches since', () => {
    const commanded = [
      ended('c', 'reverted', 1),
      ended('c', 'reverted', 2),
      ended('d', 'reverted', 1),
      ended('d', 'confirmed', 2),
      ended('e', 'confirmed', 1),
      ended('f', 'rejected', 1),
      ended('f', 'owed', 2),
      convergeOf('a', '2.0.0', 9, { outcome: { site: 'a', outcome: 'reverted', stage: 'rest', wave: 0 } }),
      convergeOf('b', '1.0.0', 12, { outcome: { site: 'b', outcome: 'reverted', stage: 'rest', wave: 0 } }),
    ];
    expect(countFailed(commanded, { version: '2.0.0', generation: 11 })).toEqual(new Map([['rest', 2]]));
  });
});

describe('a lost carrier', () => {
  const debt = { ...revertOwed('a', `${STREAM}-0.9.0-1`), carrier: 'shard-1', generation: 6, try: 1 };

  it('[A24] is planned anew with the commands that it carried: same rollout, generation and try for each site', () => {
    const other = { ...debt, site: 'b', try: 3 };
    const [carrier, ...more] = planCarriers([debt, other], new Map(), [siteOf('a'), siteOf('b', { queue: 'bridge' })]);
    expect(more).toEqual([]);
    expect(carrier).toMatchObject({
      workflowId: 'shard-1',
      input: {
        firstRunId: debt.firstRunId,
        verb: 'revert',
        generation: 6,
        try: 1,
        tries: { b: 3 },
        release: { stream: STREAM, ...release('0.9.0') },
        sites: [
          { id: 'a', link: 'fibre' },
          { id: 'b', link: 'fibre', queue: 'bridge' },
        ],
        links: { fibre: FIBRE },
      },
    });
  });

  it('keeps shards apart, and finds a site that left the fleet in the plan that commanded it', () => {
    const gone = { ...debt, site: 'gone', carrier: 'shard-2' };
    const frozen = { plan, sites: { gone: { ...siteOf('gone'), link: FIBRE } } };
    const carriers = planCarriers([debt, gone], new Map([['plan', frozen]]), [siteOf('a')]);
    expect(carriers.map(({ workflowId, input }) => [workflowId, input.sites.map(({ id }) => id)])).toEqual([
      ['shard-1', ['a']],
      ['shard-2', ['gone']],
    ]);
    const { carrier: _, ...unknown } = debt;
    expect(carrierOf(unknown)).toBe(`${debt.label}/all/revert/owed`);
  });
});
