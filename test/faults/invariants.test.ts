/** Each invariant says no to facts in which exactly its fault was planted, and nothing to facts without a fault. */
import { describe, expect, it } from 'vitest';
import type { Debt } from '../../policies/model/debt.js';
import { away, CONFIRMED, failedAndSealed } from './counted-facts.js';
import type { SeedFacts, SiteEntry } from './facts.js';
import { INVARIANTS, judgeSeed } from './invariants.js';
import {
  OLD,
  NEW,
  BOX,
  T0,
  command,
  received,
  answered,
  switched,
  chain,
  promotion,
  rollout,
  scheduled,
  settled,
  sound,
  failure,
  owing,
  withLog,
  newBox,
  withRollout,
  withSteps,
  retriedSteps,
  retriedEvidence,
  withSuperseded,
  withVerbs,
  budgetFailed,
} from './sound-facts.js';

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
    'no failure that was told of is left out',
    'it is promoted all the same',
    () => failedAndSealed([{ site: 'a', outcome: 'reverted' }, CONFIRMED], { confirmed: 1, failed: 1 }, 'promoted'),
  ],
  [
    'a seal counts every site',
    'a failure is in no number',
    () => failedAndSealed([{ site: 'a', outcome: 'reverted' }, CONFIRMED], { confirmed: 1, failed: 0 }),
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
    'nothing goes on without a decision',
    'it is promoted, and nothing says who or what decided so',
    () => withRollout({ evidence: chain(promotion.filter(([, kind]) => kind !== 'decision')) }),
  ],
  [
    'nothing goes on without a decision',
    'the next wave begins before the one before is promoted',
    () => {
      const { plan } = rollout();
      const stages = plan.stages.map((stage) => ({ ...stage, waves: [...stage.waves, { sites: [] }] }));
      const next = [T0 + 800, 'wave', { stage: 'one', wave: 1, sites: [] }] as (typeof promotion)[number];
      const evidence = chain([...promotion.slice(0, 1), next, ...promotion.slice(1, 3)]);
      return withRollout({ plan: { ...plan, stages }, evidence });
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
  ['whoever has not answered a promoted rollout owes it', 'it is on no books', () => away()],
  [
    'a revert that was accepted is never taken back',
    'an abort comes after it, and what was confirmed stays',
    () => withVerbs(['revert', 'abort'], 'aborted'),
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
    const facts = sound();
    const log = [answered(command({}), 'reverted', T0 + 5, failure), ...(facts.sites['a'] ?? [])];
    const { status } = rollout();
    const stages = status.stages.map((stage) => ({ ...stage, confirmed: 1, failed: 1 }));
    const rollouts = [rollout({ evidence: retriedEvidence(false), status: { ...status, stages } })];
    expect(judgeSeed({ ...facts, sites: { ...facts.sites, a: log }, rollouts })).toEqual([]);
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
