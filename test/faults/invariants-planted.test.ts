/** More of what `invariants.test.ts` does: facts at the border of what a judge lets pass, on either side of it. */
import { describe, expect, it } from 'vitest';
import type { Debt } from '../../policies/model/debt.js';
import type { CommandedSite } from '../../records/registry/registry.js';
import type { SeedFacts, ShardHistory, SiteEntry } from './facts.js';
import { away, CONFIRMED, failedAndSealed, inPages, type Line } from './counted-facts.js';
import { judgeSeed } from './invariants.js';
import {
  OLD,
  NEW,
  T0,
  answered,
  budgetFailed,
  chain,
  command,
  failure,
  promotion,
  received,
  rollout,
  scheduled,
  settled,
  sound,
  switched,
  withSteps,
  withVerbs,
} from './sound-facts.js';

const namesOf = (facts: SeedFacts) => judgeSeed(facts).map(({ invariant }) => invariant);
const failed = (site: string, at: number) => settled(answered(command({ site }), 'reverted', at, failure));
const override = (at: number, reason = 'BUDGET_FAILED', said: object = { override: true }): Line[] => [
  [at - 2, 'verb', { verb: 'promote', ...said }],
  [at, 'wait-ended', { reason, end: 'promoted' }],
];
const withOverride = (steps: ShardHistory['steps'], lines: Line[]): SeedFacts => {
  const evidence = chain([...promotion.slice(0, 1), ...lines, ...promotion.slice(1)]);
  return { ...withSteps(steps), rollouts: [rollout({ evidence })] };
};

const STOP = 'nothing is scheduled after the budget is exceeded';

describe('what a person’s promote allows', () => {
  const before = [scheduled('a'), failed('a', T0 + 5)];

  it('covers the failures that stood when it was said', () => {
    const facts = withOverride([...before, scheduled('b', 1, T0 + 30)], override(T0 + 20));
    expect(namesOf(facts)).not.toContain(STOP);
  });

  it.each<[string, ShardHistory['steps'], Line[]]>([
    ['a failure after it', [...before, failed('b', T0 + 25), scheduled('c', 1, T0 + 30)], override(T0 + 20)],
    ['what was scheduled before it', [...before, scheduled('b', 1, T0 + 10)], override(T0 + 20)],
    ['anything without an override', [...before, scheduled('b', 1, T0 + 30)], override(T0 + 20, 'GATE_NO_DATA', {})],
    ['that a run goes on', [...before, scheduled('b', 1, T0 + 30)], override(T0 + 20, 'RUN_WAS_RESET')],
  ])('does not cover %s', (_what, steps, lines) => {
    expect(namesOf(withOverride(steps, lines))).toContain(STOP);
  });

  it('is not needed for a site that was in quarantine, which counts as any failure', () => {
    const rejected = answered(command({}), 'rejected', T0 + 5, { reason: { code: 'QUARANTINED', detail: '' } });
    expect(namesOf(withSteps([scheduled('a'), settled(rejected), scheduled('b', 1, T0 + 30)]))).toContain(STOP);
  });
});

it('nothing is scheduled in a stage that was begun after another had failed', () => {
  const facts = withSteps([scheduled('a'), failed('a', T0 + 5)]);
  const [first] = facts.shards;
  const { plan } = rollout();
  const two = {
    ...plan,
    stages: [...plan.stages, ...plan.stages.map((stage) => ({ ...stage, name: 'two', waves: [] }))],
  };
  const next = (startedAt: number): SeedFacts => {
    const shard = {
      ...first,
      workflowId: 's-2-1/two/1/1',
      stage: 'two',
      startedAt,
      steps: [scheduled('b', 1, T0 + 30)],
    };
    return { ...facts, shards: [...facts.shards, shard as ShardHistory], rollouts: [rollout({ plan: two })] };
  };
  expect(namesOf(next(T0 + 20))).toContain(STOP);
  expect(namesOf(next(T0 + 1))).not.toContain(STOP);
});

describe('what a rollout was told and does not count', () => {
  const both = [{ site: 'a', outcome: 'reverted' }, CONFIRMED];

  it('is nothing where all are counted', () => {
    expect(namesOf(failedAndSealed(both, { confirmed: 1, failed: 1 }))).not.toContain('a seal counts every site');
  });

  it.each([
    ['a failure that is in no number', both, { confirmed: 1, failed: 0 }],
    ['a failure that the seal calls owed', [{ site: 'a', outcome: 'owed' }, CONFIRMED], { confirmed: 1, failed: 1 }],
    ['a failure that the seal does not name', [CONFIRMED], { confirmed: 1, failed: 1 }],
  ])('%s', (_what, sites, counts) => {
    expect(namesOf(failedAndSealed(sites, counts))).toContain('a seal counts every site');
  });

  it('a site that is counted nowhere in a rollout that was promoted', () => {
    const facts = failedAndSealed(both, { confirmed: 1, failed: 0 }, 'promoted');
    expect(judgeSeed(facts).map(({ detail }) => detail)).toContain(
      's-2-1 one: 1 of 2 sites are counted, and 1 nowhere',
    );
  });

  it('a failure beyond the budget before the promotion, or the next wave', () => {
    expect(namesOf(failedAndSealed(both, { confirmed: 1, failed: 1 }, 'promoted'))).toContain(
      'no failure that was told of is left out',
    );
    const facts = failedAndSealed(both, { confirmed: 1, failed: 1 });
    const [own] = facts.rollouts;
    const lines = (own?.evidence ?? []).map(({ at, kind, data }): Line => [at, kind, data]);
    const wave: Line = [T0 + 450, 'wave', { stage: 'one', wave: 1, sites: [] }];
    const steps = [scheduled('b', 1, T0 + 460)];
    const shards = facts.shards.map((shard) => ({ ...shard, wave: 1, startedAt: T0 + 455, steps }));
    const goesOn = (more: Line[], of: SeedFacts = { ...facts, shards }) => {
      const evidence = inPages([...lines.slice(0, 4), ...more, wave, ...lines.slice(4)]);
      return namesOf({ ...of, rollouts: [rollout({ ...own, evidence })] });
    };
    expect(goesOn([])).toContain('no failure that was told of is left out');
    expect(goesOn(override(T0 + 440))).not.toContain('no failure that was told of is left out');
    // Noted, and stopped before anybody was commanded.
    expect(goesOn([], facts)).not.toContain('no failure that was told of is left out');
  });
});

const ONCE = 'a site that is tried again counts once';
const COUNTED = 'the budget counts each site once';

describe('what a reset throws away', () => {
  const own = command({});
  const again = command({ id: 'run-1/a/s/converge/2', try: 2, issuedAt: T0 + 25 });
  const retry: Line[] = [
    [T0 + 20, 'verb', { verb: 'retry', sites: ['a'] }],
    [T0 + 21, 'wave', { stage: 'one', wave: 0, sites: ['a'] }],
  ];
  const reset: Line = [T0 + 50, 'reset', {}];
  const decision: Line = [T0 + 45, 'decision', budgetFailed(1)];

  function counted(lines: Line[], ...taken: SiteEntry[]): SeedFacts {
    const { status } = rollout();
    const stages = status.stages.map((stage) => ({ ...stage, confirmed: 1, failed: 1 }));
    const evidence = chain([...promotion.slice(0, 1), ...lines, ...promotion.slice(1)]);
    const log = [received(own), answered(own, 'reverted', T0 + 5, failure), ...taken];
    const facts = sound();
    const rollouts = [rollout({ evidence, status: { ...status, stages } })];
    return { ...facts, sites: { ...facts.sites, a: log }, rollouts };
  }

  it('is a retry of which the site has heard nothing: its failure counts on', () => {
    expect(namesOf(counted([...retry, reset]))).not.toContain(ONCE);
    expect(namesOf(counted(retry))).toContain(ONCE);
    expect(namesOf(counted([...retry, reset], received(again)))).toContain(ONCE);
  });

  it('is known to the run that was reset only once it says so', () => {
    const taken = [received(again), answered(again, 'confirmed', T0 + 40)];
    expect(namesOf(counted([...retry, decision, reset], ...taken))).not.toContain(COUNTED);
    expect(namesOf(counted([...retry, reset, decision], ...taken))).toContain(COUNTED);
  });
});

const OWES = 'whoever has not answered a promoted rollout owes it';

describe('who owes a promoted rollout its answer', () => {
  it('is on the books, under it or under what brings it later', () => {
    expect(namesOf(away({}))).not.toContain(OWES);
    expect(namesOf(away({ generation: 5 }))).not.toContain(OWES);
  });

  it.each<[string, SeedFacts]>([
    ['no row at all', away()],
    ['a row that was lost later', { ...away({}), debtsAtEnd: { at: T0 + 9_000, debts: [] } }],
    ['only an undo', away({ verb: 'revert' })],
    ['only what an older rollout left', away({ generation: 0 })],
    ['only another site', away({ site: 'b' })],
  ])('has %s', (_what, facts) => {
    expect(namesOf(facts)).toContain(OWES);
  });

  it('owes nothing once it has answered, or has confirmed what came after', () => {
    const gone = { ...away({}), debtsAtEnd: { at: T0 + 9_000, debts: [] } };
    const own = command({ issuedAt: T0 + 3_000 });
    const answer = [received(own), answered(own, 'rejected', T0 + 3_100)];
    expect(namesOf({ ...gone, sites: { ...gone.sites, a: answer } })).not.toContain(OWES);
    const later = command({ run: 'run-2', generation: 3, issuedAt: T0 + 3_000 });
    const evidence = chain(promotion.slice(0, 1), 'run-2');
    const next = rollout({ firstRunId: 'run-2', workflowId: 'w-2', evidence });
    const batch = { ...next, status: { ...next.status, generation: 3, outcome: 'aborted' as const } };
    const confirmed = [
      received(later),
      switched(OLD, NEW, T0 + 3_050, 'converge', later.id),
      answered(later, 'confirmed', T0 + 3_100),
    ];
    const brought = { ...gone, sites: { ...gone.sites, a: confirmed }, rollouts: [...gone.rollouts, batch] };
    expect(namesOf(brought)).not.toContain(OWES);
    expect(namesOf({ ...brought, sites: { ...gone.sites, a: confirmed.slice(0, 2) } })).toContain(OWES);
  });
});

const ENDS = 'every site ends where the last decision meant it to';

describe('where a promoted rollout leaves a site', () => {
  const own = command({});
  const brought = [received(own), switched(OLD, NEW, T0 + 100)];
  const withA = (...log: SiteEntry[]): SeedFacts => ({ ...sound(), sites: { ...sound().sites, a: log } });

  it.each<[string, SeedFacts]>([
    [
      'confirmed, and taken back by no one',
      withA(...brought, answered(own, 'confirmed', T0 + 300), switched(NEW, OLD, T0 + 400, 'command')),
    ],
    ['on it, and never confirmed', withA(...brought)],
    ['on it, having said that it reverted', withA(...brought, answered(own, 'reverted', T0 + 300, failure))],
    [
      'counted as confirmed, and never asked',
      {
        ...withA(),
        rollouts: [
          rollout({
            evidence: chain([
              ...promotion.slice(0, 3),
              [T0 + 1_000, 'sealed', { sites: [{ site: 'a', outcome: 'confirmed' }, CONFIRMED] }],
            ]),
          }),
        ],
      },
    ],
  ])('not %s', (_what, facts) => {
    expect(namesOf(facts)).toContain(ENDS);
  });

  it('on what it had, if it undid it by itself or was away', () => {
    const undone = answered(own, 'reverted', T0 + 400, failure);
    const alone = [...brought, answered(own, 'confirmed', T0 + 300), switched(NEW, OLD, T0 + 400, 'check'), undone];
    expect(namesOf(withA(...alone))).not.toContain(ENDS);
    expect(namesOf(away({}))).not.toContain(ENDS);
  });

  it('and one of which a stage was reverted does not run it', () => {
    const { status } = rollout();
    const reason = { code: 'BUDGET_FAILED', detail: '' } as const;
    const reverted = (stages: string[]): SeedFacts => {
      const undo: Line = [T0 + 950, 'undo', { stages, keepConfirmed: false }];
      const evidence = chain([...promotion.slice(0, 3), undo, ...promotion.slice(3)]);
      return { ...sound(), rollouts: [rollout({ evidence, status: { ...status, outcome: 'reverted', reason } })] };
    };
    expect(namesOf(reverted(['one']))).toContain(ENDS);
    expect(namesOf(reverted(['two']))).not.toContain(ENDS);
  });

  it('is judged by the word that came last: a later rollout is not held against the one before', () => {
    const later = command({ run: 'run-2', generation: 3, issuedAt: T0 + 3_000 });
    const facts = sound();
    const log = [...(facts.sites['a'] ?? []), received(later), switched(NEW, OLD, T0 + 3_100, 'converge', later.id)];
    const next = rollout({ firstRunId: 'run-2', workflowId: 'w-2', evidence: chain(promotion.slice(0, 1), 'run-2') });
    const running = { ...next, status: { ...next.status, generation: 3, state: 'running' as const } };
    const rollouts = [...facts.rollouts, running];
    expect(namesOf({ ...facts, rollouts, sites: { ...facts.sites, a: log } })).not.toContain(ENDS);
  });
});

const KEPT = 'a revert that was accepted is never taken back';

describe('a revert that was accepted', () => {
  const debt = { verb: 'revert', site: 'b', firstRunId: 'run-1' } as unknown as Debt;
  const owing = (of: Debt): SeedFacts => {
    const facts = withVerbs(['revert'], 'reverted', ['a']);
    return { ...facts, debtsAtSeal: { at: T0 + 2_000, debts: [of] }, debtsAtEnd: { at: T0 + 9_000, debts: [of] } };
  };

  const commandedC = (more: Partial<CommandedSite> = {}): SeedFacts => {
    const facts = withVerbs(['revert'], 'reverted', ['a', 'b']);
    const commanded = [{ site: 'c', stage: 'one', wave: 0, commandId: 'run-1/c/s/converge/1', ...more }];
    return { ...facts, rollouts: facts.rollouts.map((one) => ({ ...one, commanded })) };
  };

  it.each<[string, SeedFacts]>([
    ['one site has no undo', withVerbs(['revert'], 'reverted', ['a'])],
    ['all is undone, and it counts as aborted', withVerbs(['revert', 'abort'], 'aborted', ['a', 'b'])],
    ['the undo of another site is owed', owing({ ...debt, site: 'a' })],
    ['the undo of another rollout is owed', owing({ ...debt, firstRunId: 'run-0' })],
    ['its undo was forgotten before it was answered', { ...owing(debt), debtsAtEnd: { at: T0 + 9_000, debts: [] } }],
    ['a site that has not heard of its command has no undo', commandedC()],
  ])('is taken back where %s', (_what, facts) => {
    expect(namesOf(facts)).toContain(KEPT);
  });

  it.each<[string, SeedFacts]>([
    ['all is undone', withVerbs(['revert'], 'reverted', ['a', 'b'])],
    ['an abort came before it', withVerbs(['abort', 'revert'], 'reverted', ['a', 'b'])],
    ['what is not undone is owed', owing(debt)],
    [
      'a command was taken back before it was scheduled',
      commandedC({ outcome: { site: 'c', stage: 'one', wave: 0, outcome: 'untouched' } }),
    ],
    ['it was only an abort', withVerbs(['abort'], 'aborted')],
    ['the rollout was terminated meanwhile', withVerbs(['revert'], 'terminated')],
    [
      'a new box is in the place of the one that was commanded',
      { ...withVerbs(['revert'], 'reverted', ['a']), replacements: [{ site: 'b', epoch: 2, at: T0 + 960 }] },
    ],
  ])('is kept where %s', (_what, facts) => {
    expect(namesOf(facts)).not.toContain(KEPT);
  });
});
