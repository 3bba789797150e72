import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stageSettings, Strategy } from '../../../policies/model/strategy.js';
import { loadStrategies, loadStrategy } from '../../../records/files/strategy-file.js';
import { changed, refusalOf, written } from './written.js';

const STRATEGY = `apiVersion: foothold/v1
kind: Strategy
name: careful
defaults: { gate: health }
stages:
  - { name: canary, select: { risk: low }, take: 2 }
  - { name: rest }
gates:
  health:
    metrics:
      - name: errors
        query: errors{site=~"$sites"}[$window]
        pass: result < 0.01
`;
const REST = '  - { name: rest }';

async function refused(text: string) {
  const directory = await written({ 's.yaml': text });
  return refusalOf(directory, loadStrategy(join(directory, 's.yaml')));
}

async function loaded(text: string) {
  const directory = await written({ 's.yaml': text });
  return loadStrategy(join(directory, 's.yaml'));
}

describe('[A25] a strategy file', () => {
  it('is read with the defaults of the design', async () => {
    const { strategy } = await loaded(STRATEGY);
    expect(strategy.defaults).toEqual({
      gate: 'health',
      soak: 600_000,
      concurrency: 10,
      settleWithin: 'link',
      budget: { failed: 0, owed: '10%' },
    });
    expect(strategy.stages.map((stage) => stage.waves)).toEqual([['100%'], ['100%']]);
    expect(strategy.onFailure).toBe('revert-stage');
    expect(strategy.onInconclusive).toEqual({ within: 14_400_000, then: 'stay' });
    expect(strategy.gates.health?.metrics[0]).toEqual({
      name: 'errors',
      query: 'errors{site=~"$sites"}[$window]',
      pass: 'result < 0.01',
      window: 60_000,
      series: 'one',
      source: 'prometheus',
      interval: 15_000,
      coverage: '90%',
      failureLimit: 0,
      inconclusiveLimit: 0,
      consecutiveErrorLimit: 4,
    });
  });

  it('filled in gives the same strategy and digest again', async () => {
    const text = changed(
      STRATEGY,
      REST,
      '  - { name: rest, waves: [0, 1, "25%", 0, "100%"], settleWithin: 21d, soak: 90s, budget: { owed: 3 } }',
    );
    const first = await loaded(text);
    expect(Strategy.parse(first.filled)).toEqual(first.strategy);
    const again = await loaded(JSON.stringify(first.filled));
    expect(again.digest).toBe(first.digest);
    expect(again.filled).toEqual(first.filled);
    expect((await loaded(STRATEGY)).digest).not.toBe(first.digest);
  });

  it('says for how long files travel, and not for no time', async () => {
    const { strategy } = await loaded(changed(STRATEGY, 'name: careful', 'name: careful\nprefetch: 24h'));
    expect(strategy.prefetch).toBe(86_400_000);
    expect(await refused(changed(STRATEGY, 'name: careful', 'name: careful\nprefetch: 0s'))).toMatchObject({
      findings: ['s.yaml:4:11: prefetch: expected a duration above 0, found `0s`'],
    });
  });

  it('gives a stage what it says itself, else the default, budgets key by key', async () => {
    const { strategy } = await loaded(changed(STRATEGY, REST, '  - { name: rest, soak: 2m, budget: { owed: 3 } }'));
    expect(strategy.stages.map((stage) => stageSettings(strategy, stage))).toMatchObject([
      { gate: 'health', soak: 600_000, budget: { failed: 0, owed: '10%' } },
      { gate: 'health', soak: 120_000, budget: { failed: 0, owed: 3 } },
    ]);
  });
});

describe('[A26] what is not available yet is refused by name', () => {
  it.each([
    ['spread', 'name: rest', 'name: rest, spread: [link]', '7:19: stages[1]: `spread` is not available yet'],
    ['rehearse', 'name: rest', 'name: rest, rehearse: true', '7:19: stages[1]: `rehearse` is not available yet'],
    [
      'approve',
      'name: rest',
      'name: rest, approve: { role: a, people: 2, within: 8h }',
      '7:19: stages[1]: `approve` is not available yet',
    ],
    [
      'a wrong value too, once',
      'name: rest',
      'name: rest, approve: yes',
      '7:19: stages[1]: `approve` is not available yet',
    ],
    [
      'source',
      'pass:',
      'source: sites\n        pass:',
      '13:9: gates.health.metrics[0]: `source: sites` is not available yet',
    ],
  ])('%s', async (_, from, to, finding) => {
    expect(await refused(changed(STRATEGY, from, to))).toEqual({
      code: 'STRATEGY_INVALID',
      findings: [`s.yaml:${finding}`],
    });
  });
});

describe('[A26] the rules of a strategy', () => {
  const rest = (more: string) => [REST, `  - { name: rest, ${more} }`] as const;
  const metric = (more: string) => ['pass: result < 0.01', `pass: result < 0.01\n        ${more}`] as const;
  const holds = 'the soak of 10m in stage `canary` holds 37 samples (a window of 1m, then one every 15s)';
  it.each<[string, readonly [string, string], string]>([
    ['no gate anywhere', ['{ gate: health }', '{}'], '6:5: stages[0]: the stage `canary` has no gate'],
    ['gate: none without a reason', rest('gate: none'), '7:25: stages[1].gate: `gate: none` needs `because:`'],
    [
      "gate: none with another's reason",
      [
        'gate: health }\nstages:\n  - { name: canary,',
        'gate: health, because: x }\nstages:\n  - { name: canary, gate: none,',
      ],
      '6:27: stages[0].gate: `gate: none` needs `because:`',
    ],
    [
      'gate: none as default without a reason',
      ['gate: health', 'gate: none'],
      '4:19: defaults.gate: `gate: none` needs `because:`',
    ],
    [
      'an unknown gate',
      rest('gate: helth'),
      '7:25: stages[1].gate: expected the name of a gate under `gates`, found `helth`; the nearest is `health`',
    ],
    [
      'a gate called none',
      ['  health:', '  none:'],
      '4:19: defaults.gate: expected the name of a gate under `gates`, found `health`',
    ],
    [
      'a stage twice',
      ['name: rest', 'name: canary'],
      '7:13: stages[1].name: the stage `canary` is there twice; first at s.yaml:6:13',
    ],
    [
      'a stage named like those of an each',
      [REST, '  - { name: regions, each: region }\n  - { name: regions.nordic }'],
      '8:13: stages[2].name: expected another name than `regions.nordic`',
    ],
    ['order without each', rest('order: [a]'), '7:19: stages[1]: `order` orders the values of `each`'],
    [
      'an entry of order twice',
      rest('each: region, order: [a, a]'),
      '7:44: stages[1].order[1]: the entry `a` is there twice; first at s.yaml:7:41',
    ],
    ['take with each', rest('each: region, take: 2'), '7:33: stages[1]: `take` and `each` cannot be combined'],
    [
      'a mistyped risk',
      ['risk: low', 'risk: lwo'],
      '6:37: stages[0].select.risk: expected `low`, `medium` or `high`, found `lwo`; the nearest is `low`',
    ],
    [
      'a mistyped risk in a list',
      ['risk: low', 'risk: [low, hihg]'],
      '6:43: stages[0].select.risk[1]: expected `low`, `medium` or `high`, found `hihg`',
    ],
    [
      'a mistyped risk in order',
      rest('each: risk, order: [lo, "*"]'),
      '7:39: stages[1].order[0]: expected `low`, `medium` or `high`, found `lo`',
    ],
    [
      'a mistyped selector key',
      ['risk: low', 'rsik: low'],
      '6:31: stages[0].select: unknown key `rsik`; the nearest known key is `risk`',
    ],
    [
      'waves that go back',
      rest('waves: [50%, 10%]'),
      '7:32: stages[1].waves[1]: waves are cumulative: expected at least 50% as before, found 10%',
    ],
    [
      'waves of numbers that go back',
      rest('waves: [5, 0, 3]'),
      '7:33: stages[1].waves[2]: waves are cumulative: expected at least 5 as before, found 3',
    ],
    ['a number after all', rest('waves: [100%, 5]'), '7:33: stages[1].waves[1]: expected nothing but `0` after 100%'],
    ['0%', rest('waves: [0%, 5]'), '7:27: stages[1].waves[0]: expected more than 0%'],
    [
      'more than all',
      rest('waves: [101%]'),
      '7:27: stages[1].waves[0]: expected a whole number of sites, or a percentage from 0% to 100% such as 10%, found `101%`',
    ],
    ['a little more than all', rest('waves: [100.5%]'), '7:27: stages[1].waves[0]: expected a whole number of sites'],
    [
      'half a site',
      rest('waves: [1.5]'),
      '7:27: stages[1].waves[0]: expected a whole number of sites, or a percentage from 0% to 100% such as 10%, found the number 1.5',
    ],
    [
      'no concurrency',
      rest('concurrency: 0'),
      '7:32: stages[1].concurrency: expected a whole number of sites of at least 1, found the number 0',
    ],
    ['settleWithin of nothing', rest('settleWithin: 0s'), '7:33: stages[1].settleWithin: expected a duration above 0'],
    [
      'promote as an answer to inconclusive',
      ['name: careful', 'name: careful\nonInconclusive: { then: promote }'],
      '4:25: onInconclusive.then: expected `stay`, `revert-stage` or `revert-all`, found `promote`',
    ],
    [
      'a condition that is no CEL',
      ['result < 0.01', 'result <'],
      '13:15: gates.health.metrics[0].pass: expected a condition on the number `result`',
    ],
    [
      'a condition on an unknown name',
      ['result < 0.01', 'reslt < 0.01'],
      '13:15: gates.health.metrics[0].pass: expected a condition on the number `result`',
    ],
    [
      'a fail condition that is no CEL',
      metric('fail: result >'),
      '14:15: gates.health.metrics[0].fail: expected a condition on the number `result`',
    ],
    [
      'a mistyped placeholder',
      ['$window', '$windw'],
      '12:16: gates.health.metrics[0].query: unknown placeholder `$windw`; the nearest is `$window`',
    ],
    [
      'an unknown placeholder',
      ['$sites', '$hosts'],
      '12:16: gates.health.metrics[0].query: unknown placeholder `$hosts`; known: $sites, $release, $rollout, $stage, $window',
    ],
    [
      'a metric twice',
      ['      - name: errors', '      - { name: errors, query: a, pass: result > 1 }\n      - name: errors'],
      '12:15: gates.health.metrics[1].name: the metric `errors` is there twice; first at s.yaml:11:17',
    ],
    [
      'a limit at the count',
      metric('{0}'.replace('{0}', 'count: 3\n        failureLimit: 3')),
      '15:23: gates.health.metrics[0].failureLimit: expected less than the count of 3, found 3, which could never be exceeded',
    ],
    [
      'a limit at what the soak holds',
      metric('inconclusiveLimit: 37'),
      `14:28: gates.health.metrics[0].inconclusiveLimit: expected less than the count of 37, found 37, which could never be exceeded; ${holds}`,
    ],
    [
      'a count that the soak does not hold',
      metric('count: 38'),
      `14:16: gates.health.metrics[0].count: expected a count of at most 37, found 38: ${holds}`,
    ],
    [
      'a soak that holds no sample',
      rest('soak: 59s'),
      '11:9: gates.health.metrics[0]: expected at least one sample, found that the soak of 59s in stage `rest` holds 0 samples',
    ],
  ])('%s', async (_, [from, to], finding) => {
    const { code, findings } = await refused(changed(STRATEGY, from, to));
    expect(code).toBe('STRATEGY_INVALID');
    expect(
      findings.filter((line) => line.startsWith(`s.yaml:${finding}`)),
      findings.join('\n'),
    ).toHaveLength(1);
  });

  it.each<[string, readonly [string, string]]>([
    ['a gate of none with a reason', rest('gate: none, because: nothing serves traffic there, soak: 0s')],
    ['waves that mix numbers and percentages, with holds', rest('waves: [1, 0, 25%, 100%, 0]')],
    [
      "PromQL's own dollars",
      ['errors{site=~"$sites"}[$window]', 'label_replace(errors{site=~"$sites",code=~"5..$"}, "a", "$1", "b", "(.*)")'],
    ],
    ['limits below the count', metric('count: 37\n        failureLimit: 36')],
    [
      'a gate that nobody uses yet',
      ['gates:', 'gates:\n  other: { metrics: [{ name: a, query: b, pass: result > 1, interval: 11m }] }'],
    ],
  ])('but %s is taken', async (_, [from, to]) => {
    await expect(loaded(changed(STRATEGY, from, to))).resolves.toHaveProperty('digest');
  });
});

describe('[A20] a directory of strategies', () => {
  it('is read by name, whatever the files are called', async () => {
    const directory = await written({
      'b.yaml': STRATEGY,
      'a.json': JSON.stringify((await loaded(changed(STRATEGY, 'name: careful', 'name: bold'))).filled),
      'README.md': 'no strategy',
      '.hidden.yaml': 'no strategy',
    });
    const strategies = await loadStrategies(directory);
    expect([...strategies.keys()].sort()).toEqual(['bold', 'careful']);
    expect(strategies.get('careful')?.path).toBe(join(directory, 'b.yaml'));
  });

  it('is refused if one name is there twice, or one file is not valid, or it is no directory', async () => {
    const twice = await written({ 'a.yaml': STRATEGY, 'b.yaml': STRATEGY });
    expect(await refusalOf(twice, loadStrategies(twice))).toEqual({
      code: 'STRATEGY_INVALID',
      findings: ['b.yaml:3:7: the strategy `careful` is there twice; first at a.yaml:3:7'],
    });
    const broken = await written({ 'a.yaml': STRATEGY, 'b.yaml': 'kind: Strategy' });
    expect((await refusalOf(broken, loadStrategies(broken))).code).toBe('STRATEGY_INVALID');
    expect((await refusalOf(broken, loadStrategies(join(broken, 'a.yaml')))).code).toBe('STRATEGY_INVALID');
    expect((await refusalOf(broken, loadStrategies(join(broken, 'gone')))).code).toBe('FILE_NOT_FOUND');
  });
});
