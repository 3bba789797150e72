/** Each invariant says no to facts in which exactly its fault was planted, and nothing to facts without a fault. */
import { describe, expect, it } from 'vitest';
import type { Command, Result } from '../../policies/model/command.js';
import type { Debt } from '../../policies/model/debt.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { Plan } from '../../policies/model/plan.js';
import type { Metric } from '../../policies/model/strategy.js';
import { linkEntry } from '../../policies/signing/chain.js';
import type { RolloutFacts, SeedFacts, ShardHistory, SiteEntry } from './facts.js';
import { INVARIANTS, judgeSeed } from './invariants.js';

const OLD = `sha256:${'0'.repeat(64)}`;
const NEW = `sha256:${'1'.repeat(64)}`;
const BOX = `sha256:${'2'.repeat(64)}`;
const T0 = 1_000_000;

function command(of: Partial<Command> & { run?: string; site?: string }): Command {
  const { run = 'run-1', site = 'a', verb = 'converge', ...rest } = of;
  return {
    ...{ version: 1, id: `${run}/${site}/s/${verb}/1`, rollout: 's-2-1', site, stream: 's', verb },
    ...{ generation: verb === 'converge' ? 1 : 2, try: 1, digest: NEW, releaseVersion: '2.0.0', vars: {} },
    ...{ planDigest: OLD, issuedAt: T0, allowed: false, ackedThrough: { epoch: 1, sequence: 0 } },
    ...rest,
  };
}

function received(of: Command): SiteEntry {
  return { kind: 'command', at: of.issuedAt + 1, judged: 'fresh', command: of, epoch: 1, signedBy: ['key-1'] };
}

function answered(of: Command, result: Result['result'], at: number, more: Partial<Result> = {}): SiteEntry {
  const { id: commandId, site, stream, verb, generation, try: tries } = of;
  return {
    kind: 'result',
    at,
    result: { commandId, site, stream, verb, generation, try: tries, result, at, changed: true, ...more },
  };
}

function switched(
  from: string,
  to: string,
  at: number,
  why = 'converge',
  commandId = 'run-1/a/s/converge/1',
): SiteEntry {
  return { kind: 'switch', at, from, to, commandId, why };
}

const metric: Metric = {
  ...{
    name: 'errors',
    window: 100,
    query: 'q',
    pass: 'result < 1',
    series: 'one',
    source: 'prometheus',
    interval: 100,
  },
  ...{ coverage: '90%', count: 1, failureLimit: 0, inconclusiveLimit: 0, consecutiveErrorLimit: 4 },
};

const plan: Plan = {
  ...{ version: 1, digest: OLD, release: { stream: 's', version: '2.0.0', digest: NEW }, excluded: [] },
  strategy: { name: 'x', digest: OLD, onFailure: 'stay', onInconclusive: { within: 1, then: 'stay' } },
  stages: [
    {
      ...{ name: 'one', soak: 1, concurrency: 2, settleWithin: 'link', budget: { failed: 0, owed: 1 } },
      gate: { name: 'health', metrics: [metric] },
      waves: [{ sites: ['a', 'b'].map((id) => ({ id, varsDigest: OLD })) }],
    },
  ],
};

function chain(entries: [number, string, Record<string, unknown>][], rollout = 'run-1'): EvidenceEntry[] {
  const linked: EvidenceEntry[] = [];
  for (const [at, kind, data] of entries) {
    linked.push(linkEntry({ ...{ rollout, at, kind, data, runId: 'r', activityId: '1', index: 0 } }, linked.at(-1)));
  }
  return linked;
}

const promotion: [number, string, Record<string, unknown>][] = [
  [T0, 'plan', {}],
  [T0 + 900, 'gate', { stage: 'one', wave: 0, confirmedSites: ['a', 'b'], from: T0 + 400 }],
  [T0 + 910, 'decision', { stage: 'one', wave: 0, kind: 'promote', reason: { code: 'GATE_PASSED', detail: '' } }],
  [T0 + 1_000, 'sealed', { outcome: 'promoted', sites: [{ site: 'a' }, { site: 'b' }] }],
];

function rollout(of: Partial<RolloutFacts> = {}): RolloutFacts {
  const evidence = of.evidence ?? chain(promotion);
  const last = evidence.at(-1);
  return {
    ...{ firstRunId: 'run-1', workflowId: 'w-1', plan, evidence, rows: [], commanded: [] },
    head: last && { sequence: last.sequence, hash: last.hash },
    status: {
      ...{ label: 's-2-1', workflowId: 'w-1', firstRunId: 'run-1', stream: 's', strategy: 'x', planDigest: OLD },
      ...{ release: plan.release, generation: 1, state: 'sealed', outcome: 'promoted', startedAt: T0, updatedAt: T0 },
      stages: [
        { ...{ name: 'one', sites: 2, wave: 1, waves: 1, confirmed: 2, failed: 0, owed: 0 }, state: 'promoted' },
      ],
      owedReverts: [],
    },
    samples: [
      {
        ...{ metric: 'errors', stage: 'one', wave: 0, scheduledAt: T0 + 600, takenAt: T0 + 600, outcome: 'pass' },
        ...{ values: [{ value: 0.1 }], covered: 2, confirmed: 2 },
      },
    ],
    ...of,
  };
}

function scheduled(site: string, number = 1, at = T0 + 1): ShardHistory['steps'][number] {
  return { kind: 'scheduled', at, site, commandId: `run-1/${site}/s/converge/${number}` };
}

function settled(of: SiteEntry): ShardHistory['steps'][number] {
  if (of.kind !== 'result') throw new Error('no result');
  return { kind: 'settled', at: of.at, site: of.result.site, result: of.result };
}

/** A rollout of two sites that went well. */
function sound(): SeedFacts {
  const log = (site: string): SiteEntry[] => {
    const own = command({ site });
    return [received(own), switched(OLD, NEW, T0 + 100), answered(own, 'confirmed', T0 + 300)];
  };
  return {
    ...{ seed: 1, stream: 's', before: OLD, sites: { a: log('a'), b: log('b') }, rollouts: [rollout()] },
    shards: [
      {
        ...{ workflowId: 's-2-1/one/1/1', stage: 'one', wave: 0, firstRunId: 'run-1', startedAt: T0 },
        steps: [scheduled('a'), scheduled('b')],
      },
    ],
    runs: [{ workflowId: 'w-1', type: 'rollout', runId: 'run-1', running: false, startedAt: T0, closedAt: T0 + 1_001 }],
    answers: [{ stage: 'one', at: T0 + 600, value: 0.1 }],
    ...{ replacements: [], rotations: [], believed: { a: 1, b: 1 } },
    debtsAtSeal: { at: T0 + 2_000, debts: [] },
    debtsAtEnd: { at: T0 + 9_000, debts: [] },
  };
}

const failure = { cause: 'check', reason: { code: 'CHECK_FAILED', detail: '' } } as const;
const owing: [number, string, Record<string, unknown>][] = [
  [T0 + 950, 'owed-reverts', { sites: ['a'] }],
  [T0 + 1_000, 'sealed', { sites: [{ site: 'a' }, { site: 'b' }] }],
];

function withLog(...entries: SiteEntry[]): SeedFacts {
  const facts = sound();
  return { ...facts, sites: { ...facts.sites, a: [...(facts.sites['a'] ?? []), ...entries] } };
}

const newBox = (at: number): SiteEntry => ({ kind: 'replaced', at, epoch: 2, live: BOX });

function withRollout(of: Partial<RolloutFacts>): SeedFacts {
  return { ...sound(), rollouts: [rollout(of)] };
}

function withSteps(steps: ShardHistory['steps']): SeedFacts {
  const facts = sound();
  return { ...facts, shards: facts.shards.map((shard) => ({ ...shard, steps })) };
}

/** A site fails, and a person has it tried again. */
const retriedSteps = () => [
  scheduled('a'),
  settled(answered(command({}), 'reverted', T0 + 5, failure)),
  scheduled('a', 2, T0 + 30),
];
const retriedEvidence = (wave = true) =>
  chain([
    ...promotion.slice(0, 1),
    [T0 + 20, 'verb', { verb: 'retry', sites: ['a'] }],
    ...(wave ? [[T0 + 20, 'wave', { stage: 'one', wave: 0, sites: ['a'] }] as (typeof promotion)[number]] : []),
    ...promotion.slice(1),
  ]);

/** By a rollout that gave way at T0 + 500. */
function withSuperseded(facts: SeedFacts): SeedFacts {
  const { status } = rollout();
  const evidence = chain([...promotion.slice(0, 1), [T0 + 500, 'superseded', {}], ...promotion.slice(3)]);
  return { ...facts, rollouts: [rollout({ evidence, status: { ...status, outcome: 'aborted' } })] };
}

const budgetFailed = (count: number) => ({
  ...{ stage: 'one', wave: 0, kind: 'fail' },
  reason: { code: 'BUDGET_FAILED', detail: `${count} of 2 sites, limit 0: a` },
});

/** The invariant's name and, for each, the facts with its fault in them. */
const PLANTED: [keyof typeof INVARIANTS, string, () => SeedFacts][] = [
  [
    'no site is commanded by two owners at once',
    'a second rollout commands before the first is sealed',
    () => {
      const other = rollout({ firstRunId: 'run-2', workflowId: 'w-2', evidence: chain(promotion, 'run-2') });
      const facts = withLog(received(command({ run: 'run-2', generation: 3, issuedAt: T0 + 700 })));
      return { ...facts, rollouts: [...facts.rollouts, other] };
    },
  ],
  [
    'no site is commanded by two owners at once',
    'a converge is issued while a revert of another rollout is owed',
    () => {
      const revert = command({ verb: 'revert', run: 'run-0', issuedAt: T0 - 500 });
      return withLog(received(revert), answered(revert, 'reverted', T0 + 400));
    },
  ],
  [
    'no converge after a revert of its rollout',
    'a converge is issued later than the revert',
    () => withLog(received(command({ verb: 'revert', issuedAt: T0 - 1 }))),
  ],
  [
    'a site never goes one release too far back',
    'an undo goes to what was never live',
    () => withLog(switched(NEW, `sha256:${'9'.repeat(64)}`, T0 + 500, 'check')),
  ],
  [
    'a site never goes one release too far back',
    'a second undo follows the first',
    () =>
      withLog(switched(NEW, OLD, T0 + 500, 'command'), switched(OLD, `sha256:${'9'.repeat(64)}`, T0 + 600, 'command')),
  ],
  [
    'the budget counts each site once',
    'two failures are counted, and one site failed',
    () => {
      const facts = withLog(answered(command({}), 'reverted', T0 + 350, failure));
      const evidence = chain([...promotion.slice(0, 1), [T0 + 400, 'decision', budgetFailed(2)]]);
      return { ...facts, rollouts: [rollout({ evidence })] };
    },
  ],
  [
    'the budget counts each site once',
    'more sites are told of than there are',
    () => {
      const { status } = rollout();
      const stages = status.stages.map((stage) => ({ ...stage, failed: 1 }));
      return withRollout({ status: { ...status, stages } });
    },
  ],
  [
    'nothing is scheduled after the budget is exceeded',
    'a shard goes on after a failure',
    () => withSteps([scheduled('a'), settled(answered(command({}), 'reverted', T0 + 5, failure)), scheduled('b')]),
  ],
  [
    'nothing is scheduled after the budget is exceeded',
    'a later run of the shard goes on after a failure of the one before',
    () => {
      const facts = withSteps([scheduled('a'), settled(answered(command({}), 'reverted', T0 + 5, failure))]);
      const [shard] = facts.shards;
      const next = shard && { ...shard, startedAt: T0 + 10, steps: [scheduled('b')] };
      return { ...facts, shards: [...(next ? [next] : []), ...facts.shards] };
    },
  ],
  [
    'nothing is scheduled after the budget is exceeded',
    'a site fails again after it was tried again',
    () => {
      const again = settled(answered(command({ try: 2 }), 'reverted', T0 + 40, failure));
      const facts = withSteps([...retriedSteps(), again, scheduled('b', 1, T0 + 50)]);
      return { ...facts, rollouts: [rollout({ evidence: retriedEvidence() })] };
    },
  ],
  [
    'no lock is orphaned',
    'the lock runs and no rollout does',
    () => {
      const lock = { workflowId: 'foothold/stream/s', type: 'streamLock', runId: 'l', running: true, startedAt: T0 };
      const facts = sound();
      return { ...facts, runs: [...facts.runs, lock] };
    },
  ],
  [
    'the evidence verifies',
    'an entry was altered',
    () => {
      const evidence = chain(promotion).map((entry, index) => (index === 1 ? { ...entry, kind: 'other' } : entry));
      return withRollout({ evidence });
    },
  ],
  [
    'the evidence verifies',
    'its end is missing',
    () => {
      const whole = chain(promotion);
      const last = whole.at(-1);
      const head = last && { sequence: last.sequence, hash: last.hash };
      return withRollout({ evidence: whole.slice(0, -1), head });
    },
  ],
  ['nothing is promoted on less than the data of the gate', 'no sample was kept', () => withRollout({ samples: [] })],
  [
    'nothing is promoted on less than the data of the gate',
    'Prometheus had said something else',
    () => ({ ...sound(), answers: [{ stage: 'one', at: T0 + 600, value: 0.9 }] }),
  ],
  [
    'nothing is promoted on less than the data of the gate',
    'the sites did not run the release yet',
    () => {
      const facts = sound();
      const late = (log: SiteEntry[]) =>
        log.map((entry) => (entry.kind === 'switch' ? { ...entry, at: T0 + 590 } : entry));
      return { ...facts, sites: { a: late(facts.sites['a'] ?? []), b: late(facts.sites['b'] ?? []) } };
    },
  ],
  [
    'every site of a sealed rollout has an outcome',
    'one is missing',
    () =>
      withRollout({ evidence: chain([...promotion.slice(0, 3), [T0 + 1_000, 'sealed', { sites: [{ site: 'a' }] }]]) }),
  ],
  [
    'every site of a sealed rollout has an outcome',
    'it was terminated before a site had heard of its command',
    () => {
      const { status } = rollout();
      const commanded = [{ site: 'c', stage: 'one', wave: 0, commandId: 'run-1/c/s/converge/1' }];
      return withRollout({ status: { ...status, outcome: 'terminated' }, commanded });
    },
  ],
  [
    'owed reverts stay owed until answered',
    'a debt was forgotten',
    () => withRollout({ evidence: chain([...promotion.slice(0, 3), ...owing]) }),
  ],
  [
    'every site ends where the last decision meant it to',
    'all was reverted and a site still runs it',
    () => {
      const { status } = rollout();
      const reason = { code: 'REVERT_REQUESTED', detail: '' } as const;
      return withRollout({ status: { ...status, outcome: 'reverted', reason } });
    },
  ],
  [
    'every site ends where the last decision meant it to',
    'it was aborted and a site runs what it never confirmed',
    () => {
      const { status } = rollout();
      const facts = sound();
      const unconfirmed = (facts.sites['a'] ?? []).slice(0, 2);
      const aborted = rollout({ status: { ...status, outcome: 'aborted' } });
      return { ...facts, sites: { ...facts.sites, a: unconfirmed }, rollouts: [aborted] };
    },
  ],
  [
    'a superseded rollout commands nobody any more',
    'it undoes afterwards what it brought',
    () => withSuperseded(withLog(received(command({ verb: 'revert', issuedAt: T0 + 501 })))),
  ],
  [
    'a superseded rollout commands nobody any more',
    'it goes on owing a site its release',
    () => {
      const debt = { verb: 'converge', site: 'a', firstRunId: 'run-1' } as unknown as Debt;
      return { ...withSuperseded(sound()), debtsAtEnd: { at: T0 + 9_000, debts: [debt] } };
    },
  ],
  [
    'no command is taken in by an agent of another epoch',
    'the agent of before obeys what is meant for the new one',
    () => withLog(received(command({ epoch: 2, generation: 3 }))),
  ],
  [
    'no command is taken in by an agent of another epoch',
    'a converge is issued to the agent of before',
    () => {
      const late = command({ generation: 3, issuedAt: T0 + 700 });
      return { ...withLog(received(late)), replacements: [{ site: 'a', epoch: 2, at: T0 + 600 }] };
    },
  ],
  [
    'an agent that was replaced speaks for its site no more',
    'its report is what the centre believes',
    () => ({ ...sound(), replacements: [{ site: 'a', epoch: 2, at: T0 + 600 }] }),
  ],
  [
    'a control key signs nothing after its rotation',
    'a converge is signed by it as well',
    () => ({
      ...withLog(received(command({ generation: 3, issuedAt: T0 + 700 }))),
      rotations: [{ oldKeyId: 'key-1', at: T0 + 600 }],
    }),
  ],
  [
    'a site that is tried again counts once',
    'its first failure still counts',
    () => {
      const { status } = rollout();
      const stages = status.stages.map((stage) => ({ ...stage, confirmed: 1, failed: 1 }));
      const facts = withLog(answered(command({}), 'reverted', T0 + 5, failure));
      return { ...facts, rollouts: [rollout({ evidence: retriedEvidence(), status: { ...status, stages } })] };
    },
  ],
  [
    'a site that is tried again counts once',
    'it has two outcomes',
    () => {
      const row = { site: 'a', stage: 'one', wave: 0, outcome: 'confirmed', commandId: 'x', verb: 'converge' } as const;
      return withRollout({ rows: [row, row].map((one) => ({ ...one, recordedAt: T0 })) });
    },
  ],
  [
    'a site never goes one release too far back',
    'a new box goes back to what only the old one had',
    () => withLog(newBox(T0 + 400), switched(BOX, NEW, T0 + 500), switched(NEW, OLD, T0 + 600, 'check')),
  ],
];

describe('the invariants of the fault sweep', () => {
  it('find nothing where nothing is wrong', () => {
    expect(judgeSeed(sound())).toEqual([]);
  });

  it.each(PLANTED)('%s: say no when %s', (invariant, _fault, planted) => {
    const found = judgeSeed(planted());
    expect(found.map((violation) => violation.invariant)).toContain(invariant);
  });

  it('say nothing of a revert that is still owed, and on the books', () => {
    const debt = { verb: 'revert', site: 'a', firstRunId: 'run-1' } as unknown as Debt;
    const facts = withRollout({ evidence: chain([...promotion.slice(0, 3), ...owing]) });
    const owed = {
      ...facts,
      debtsAtSeal: { at: T0 + 2_000, debts: [debt] },
      debtsAtEnd: { at: T0 + 9_000, debts: [debt] },
    };
    expect(judgeSeed(owed)).toEqual([]);
  });

  it('say nothing of a site that was tried again, nor of a shard that goes on observing what it had in flight', () => {
    const facts = withSteps([...retriedSteps(), scheduled('b', 1, T0 + 40)]);
    const [shard] = facts.shards;
    const again = shard && { ...shard, startedAt: T0 + 50, steps: [scheduled('b', 1, T0 + 51)] };
    const log = [answered(command({}), 'reverted', T0 + 5, failure), ...(facts.sites['a'] ?? [])];
    const shards = [...facts.shards, ...(again ? [again] : [])];
    const rollouts = [rollout({ evidence: retriedEvidence() })];
    expect(judgeSeed({ ...facts, sites: { ...facts.sites, a: log }, shards, rollouts })).toEqual([]);
  });

  it('say nothing of a failure that counts on because its retry was overtaken by an abort', () => {
    const facts = withLog(answered(command({}), 'reverted', T0 + 5, failure));
    const { status } = rollout();
    const stages = status.stages.map((stage) => ({ ...stage, confirmed: 1, failed: 1 }));
    const rollouts = [rollout({ evidence: retriedEvidence(false), status: { ...status, stages } })];
    expect(judgeSeed({ ...facts, rollouts })).toEqual([]);
  });

  it('say nothing of a sample that was asked for twice, and kept as it was answered last', () => {
    const lost = { stage: 'one', at: T0 + 600, value: 'nothing' } as const;
    expect(judgeSeed({ ...sound(), answers: [lost, ...sound().answers] })).toEqual([]);
  });

  it('say nothing of a new box that goes back to what it came with', () => {
    const revert = command({ verb: 'revert', run: 'run-0', generation: 9, epoch: 2, issuedAt: T0 + 750 });
    const own = { ...received(revert), epoch: 2 };
    const box = [newBox(T0 + 700), switched(BOX, NEW, T0 + 720), switched(NEW, BOX, T0 + 800, 'command', revert.id)];
    const facts = withLog(own, ...box, answered(revert, 'reverted', T0 + 800));
    const replacements = [{ site: 'a', epoch: 2, at: T0 + 690 }];
    expect(judgeSeed({ ...facts, replacements, believed: { a: 2 } })).toEqual([]);
  });

  it('are each planted at least once', () => {
    expect(new Set(PLANTED.map(([name]) => name))).toEqual(new Set(Object.keys(INVARIANTS)));
  });
});
