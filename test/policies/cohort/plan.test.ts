import { describe, expect, test } from 'vitest';
import { planRollout, type PlanInput } from '../../../policies/cohort/plan.js';
import { MistakeError } from '../../../policies/model/failure.js';
import type { Site } from '../../../policies/model/fleet.js';
import type { Plan } from '../../../policies/model/plan.js';
import { digestOf } from '../../../policies/signing/jcs.js';
import { digestOfPlan, sealPlan } from '../../../policies/signing/plan-digest.js';
import { fleetOf, RELEASE, site, strategyOf } from './fleet-of.js';

const FLEET: Site[] = [
  site('osl-01', { region: 'nordic', risk: 'low' }),
  site('osl-02', { region: 'nordic', risk: 'low' }),
  site('osl-03', { region: 'nordic', risk: 'medium' }),
  site('rig-01', { region: 'baltic', risk: 'medium' }),
  site('par-01', { region: 'gallic', risk: 'high' }),
  site('off-01', { region: 'nordic', state: 'maintenance' }),
  site('old-01', { region: 'nordic', state: 'retired' }),
  site('fw-01', { region: 'nordic', streams: ['firewall-policy'] }),
];
const STAGES = [
  { name: 'canary', select: { risk: 'low' }, take: 1 },
  { name: 'regions', select: { risk: ['low', 'medium'] }, each: 'region', order: ['nordic', '*'], waves: ['50%'] },
  { name: 'critical' },
];

function inputOf(more: Partial<PlanInput> = {}): PlanInput {
  const strategy = strategyOf(STAGES);
  return {
    release: RELEASE,
    fleet: fleetOf(...FLEET),
    strategy,
    strategyDigest: digestOf(strategy),
    digestOf,
    ...more,
  };
}
const freeze = (more: Partial<PlanInput> = {}): Plan => sealPlan(planRollout(inputOf(more)).plan);
const shape = (plan: Plan): Record<string, string[][]> =>
  Object.fromEntries(plan.stages.map((stage) => [stage.name, stage.waves.map((wave) => wave.sites.map((s) => s.id))]));
const planStages = (...stages: Record<string, unknown>[]): Record<string, string[][]> =>
  shape(freeze({ strategy: strategyOf(stages) }));

/** The code and all words of the MistakeError that planning ends with. */
function mistake(more: Partial<PlanInput>): string {
  try {
    planRollout(inputOf(more));
  } catch (error) {
    if (error instanceof MistakeError) return [error.code, error.message, ...error.details].join('\n');
    throw error;
  }
  throw new Error('planning did not fail');
}
const mistakeOf = (...stages: Record<string, unknown>[]): string => mistake({ strategy: strategyOf(stages) });

describe('a plan', () => {
  test('[A29] [A30] a site belongs to the first stage that selects it, and what take leaves goes on', () => {
    expect(shape(freeze())).toEqual({
      canary: [['osl-01']],
      'regions.nordic': [['osl-02'], ['osl-03']],
      'regions.baltic': [['rig-01']],
      critical: [['par-01']],
    });
  });

  test('says who is left out and why, and leaves out those who do not list the stream', () => {
    expect(freeze().excluded).toEqual([
      { site: 'off-01', reason: 'state is maintenance' },
      { site: 'old-01', reason: 'state is retired' },
    ]);
    const only = { id: ['osl-01', 'fw-01', 'off-01'] };
    expect(freeze({ only }).excluded).toEqual([
      { site: 'fw-01', reason: 'does not list stream edge-proxy' },
      { site: 'off-01', reason: 'state is maintenance' },
      { site: 'old-01', reason: 'state is retired' },
      { site: 'osl-02', reason: 'not in only' },
      { site: 'osl-03', reason: 'not in only' },
      { site: 'par-01', reason: 'not in only' },
      { site: 'rig-01', reason: 'not in only' },
    ]);
  });

  test('a stage emptied by earlier stages or by only stays, empty', () => {
    expect(shape(freeze({ only: { region: 'baltic' } }))).toEqual({
      canary: [],
      'regions.nordic': [],
      'regions.baltic': [['rig-01']],
      critical: [],
    });
    expect(planStages({ name: 'all' }, { name: 'late', select: { risk: 'low' } })['late']).toEqual([]);
  });

  test('carries what is needed to command each site in scope, and nobody else', () => {
    const { sites } = planRollout(inputOf({ only: { region: 'baltic' } }));
    expect(sites).toEqual({
      'rig-01': {
        id: 'rig-01',
        queue: 'site-rig-01',
        vars: { listen: '10.0.0.1:6' },
        risk: 'medium',
        region: 'baltic',
        link: { name: 'cellular', settleWithin: 7_200_000, startWithin: 60_000, heartbeat: 30_000 },
      },
    });
  });

  test('defaults of a stage: the stage, then the strategy, then the built-in ones', () => {
    const stages = [{ name: 'one', soak: '1m', budget: { owed: 1 } }, { name: 'two' }];
    const bare = freeze({ strategy: strategyOf(stages) }).stages;
    const common = { settleWithin: 'link', concurrency: 10 };
    expect(bare[0]).toMatchObject({ ...common, soak: 60_000, budget: { failed: 0, owed: 1 } });
    expect(bare[1]).toMatchObject({ ...common, soak: 600_000, budget: { failed: 0, owed: '10%' } });
    const defaults = {
      gate: 'none',
      because: 'x',
      soak: '5m',
      concurrency: 3,
      settleWithin: '40s',
      budget: { failed: '2%' },
    };
    const filled = freeze({ strategy: strategyOf(stages, { defaults }) }).stages;
    const own = { settleWithin: 40_000, concurrency: 3 };
    expect(filled[0]).toMatchObject({ ...own, soak: 60_000, budget: { failed: '2%', owed: 1 } });
    expect(filled[1]).toMatchObject({ ...own, soak: 300_000, budget: { failed: '2%', owed: '10%' } });
  });
});

describe('each', () => {
  test('[A30] without order: by value, risk from low to high', () => {
    const regions = Object.keys(planStages({ name: 'r', each: 'region' }));
    expect(regions).toEqual(['r.baltic', 'r.gallic', 'r.nordic']);
    expect(Object.keys(planStages({ name: 'r', each: 'risk' }))).toEqual(['r.low', 'r.medium', 'r.high']);
  });

  test('what an order without "*" does not name goes on to later stages', () => {
    const planned = planStages({ name: 'r', each: 'region', order: ['gallic'] }, { name: 'rest' });
    expect(Object.keys(planned)).toEqual(['r.gallic', 'rest']);
    expect(planned['rest']?.flat()).toHaveLength(4);
  });

  test('"*" stands where it is written, and take counts within each value', () => {
    const planned = planStages({ name: 'r', each: 'region', order: ['*', 'baltic'], take: 1 }, { name: 'rest' });
    expect(planned).toEqual({
      'r.gallic': [['par-01']],
      'r.nordic': [['osl-01']],
      'r.baltic': [['rig-01']],
      rest: [['osl-02', 'osl-03']],
    });
  });

  test('a site without the value goes on, and is named if no later stage takes it', () => {
    const fleet = fleetOf(...FLEET, site('adrift'));
    const stages = [{ name: 'r', each: 'region' }];
    expect(mistake({ fleet, strategy: strategyOf(stages) })).toMatch(
      /^SITE_IN_NO_STAGE[^]*\nadrift: .*region \(none\)/,
    );
    const planned = shape(freeze({ fleet, strategy: strategyOf([...stages, { name: 'rest' }]) }));
    expect(planned['rest']).toEqual([['adrift']]);
  });

  test('a value becomes a valid name, or is refused', () => {
    const named = (region: string): string[] => {
      const fleet = fleetOf(site('a', { region }));
      return freeze({ fleet, strategy: strategyOf([{ name: 'r', each: 'region' }]) }).stages.map((stage) => stage.name);
    };
    expect(named('Nordic Coast/1')).toEqual(['r.nordic-coast-1']);
    expect(named('Île-de-France')).toEqual(['r.ile-de-france']);
    expect(() => named('北')).toThrow(/cannot be named after region/);
    expect(() => named('x'.repeat(80))).toThrow(/cannot be named after region/);
  });

  test('two values of one name are refused, not merged', () => {
    const fleet = fleetOf(site('a', { region: 'Nordic' }), site('b', { region: 'nordic' }));
    const strategy = strategyOf([{ name: 'r', each: 'region' }]);
    expect(mistake({ fleet, strategy })).toMatch(/STRATEGY_INVALID[^]*second stage called r.nordic/);
  });
});

describe('refused', () => {
  test.each<[string, Partial<PlanInput>, RegExp]>([
    ['an empty fleet', { fleet: fleetOf() }, /^SELECTOR_EMPTY[^]*empty/],
    [
      'an unknown stream',
      { release: { ...RELEASE, stream: 'edge-proxi' } },
      /^SELECTOR_EMPTY[^]*edge-proxi; the fleet lists edge-proxy, firewall-policy.*Did you mean edge-proxy\?/,
    ],
    [
      'a stream of sites in maintenance only',
      { fleet: fleetOf(site('off-01', { state: 'maintenance' })) },
      /^SELECTOR_EMPTY[^]*off-01: state is maintenance/,
    ],
    ['an unknown site', { only: { id: ['osl-01', 'osl-011'] } }, /^SITE_NOT_FOUND[^]*osl-011.*Did you mean osl-01\?/],
    [
      'only that matches nothing',
      { only: { region: 'arctic' } },
      /^SELECTOR_EMPTY[^]*region: .*baltic, gallic, nordic/,
    ],
    ['only a site without the stream', { only: { id: 'fw-01' } }, /^SELECTOR_EMPTY[^]*fw-01: does not list stream/],
  ])('%s', (_what, more, words) => {
    expect(mistake(more)).toMatch(words);
  });

  test.each<[string, Record<string, unknown>[], RegExp]>([
    ['a site in no stage', [{ name: 'low', select: { risk: 'low' } }], /^SITE_IN_NO_STAGE[^]*osl-03: risk medium/],
    [
      'a selector that matches no active site',
      [{ name: 'a', select: { region: 'arctic' } }, { name: 'rest' }],
      /^SELECTOR_EMPTY[^]*stage a [^]*region=arctic\nregion: .*baltic, gallic, nordic/,
    ],
    ['order without each', [{ name: 'a', order: ['nordic'] }], /^STRATEGY_INVALID[^]*no each/],
    ['an unknown value in order', [{ name: 'a', each: 'region', order: ['nordik', '*'] }], /Did you mean nordic\?/],
    ['a value twice in order', [{ name: 'a', each: 'region', order: ['*', 'nordic', '*'] }], /names a value twice/],
    ['two stages of one name', [{ name: 'a', take: 1 }, { name: 'a' }], /second stage called a/],
    ['waves that shrink', [{ name: 'a', waves: ['50%', 1, '10%'] }], /STRATEGY_INVALID[^]*shrink: 50%, 1, 10%/],
    ['an unknown gate', [{ name: 'a', gate: 'helth' }], /STRATEGY_INVALID[^]*helth/],
    ['gate: none without a reason of its own', [{ name: 'a', gate: 'none' }], /without because/],
  ])('%s', (_what, stages, words) => {
    expect(mistakeOf(...stages)).toMatch(words);
  });

  test('a stage without any gate', () => {
    const strategy = strategyOf([{ name: 'a' }], { defaults: {} });
    expect(mistake({ strategy })).toMatch(/STRATEGY_INVALID[^]*stage a has no gate/);
  });
});

describe('[A25] the digest of a plan', () => {
  const base = freeze().digest;

  test('the same inputs give the same digest, in whatever order the fleet comes', () => {
    expect(base).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(freeze().digest).toBe(base);
    expect(freeze({ fleet: fleetOf(...[...FLEET].reverse()) }).digest).toBe(base);
    expect(digestOfPlan(freeze())).toBe(base);
  });

  const changed = (id: string, more: Partial<Site>): PlanInput['fleet'] =>
    fleetOf(...FLEET.map((one) => (one.id === id ? { ...one, ...more } : one)));
  test.each<[string, Partial<PlanInput>]>([
    ['release digest', { release: { ...RELEASE, digest: `sha256:${'b'.repeat(64)}` } }],
    ['strategy digest', { strategyDigest: digestOf('another') }],
    ['a variable of one site', { fleet: changed('par-01', { vars: { listen: 'elsewhere' } }) }],
    ['the risk of one site', { fleet: changed('par-01', { risk: 'medium' }) }],
    ['the state of one site', { fleet: changed('par-01', { state: 'maintenance' }) }],
    ['a site more', { fleet: fleetOf(...FLEET, site('new-01')) }],
    ['only', { only: { region: ['nordic', 'baltic'] } }],
    ['soak', { strategy: strategyOf([{ ...STAGES[0], soak: '11m' }, ...STAGES.slice(1)]) }],
    ['onFailure', { strategy: strategyOf(STAGES, { onFailure: 'stay' }) }],
    ['the wait of onInconclusive', { strategy: strategyOf(STAGES, { onInconclusive: { within: '1h' } }) }],
    ['the owner', { strategy: strategyOf(STAGES, { owner: 'grid-duty' }) }],
  ])('changes with %s', (_what, more) => {
    expect(freeze(more).digest).not.toBe(base);
  });

  test('does not believe the digest that a plan carries', () => {
    expect(digestOfPlan({ ...freeze(), digest: 'sha256:0' })).toBe(base);
    expect(digestOfPlan({ ...freeze(), excluded: [] })).not.toBe(base);
  });
});
