/** Facts of a rollout in which nothing is wrong, and what the tests of the invariants plant in them. */
import type { Command, Result } from '../../policies/model/command.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { Plan } from '../../policies/model/plan.js';
import type { Metric } from '../../policies/model/strategy.js';
import { linkEntry } from '../../policies/signing/chain.js';
import type { RolloutFacts, SeedFacts, ShardHistory, SiteEntry } from './facts.js';

export const OLD = `sha256:${'0'.repeat(64)}`;
export const NEW = `sha256:${'1'.repeat(64)}`;
export const BOX = `sha256:${'2'.repeat(64)}`;
export const T0 = 1_000_000;

export function command(of: Partial<Command> & { run?: string; site?: string }): Command {
  const { run = 'run-1', site = 'a', verb = 'converge', ...rest } = of;
  return {
    ...{ version: 1, id: `${run}/${site}/s/${verb}/1`, rollout: 's-2-1', site, stream: 's', verb },
    ...{ generation: verb === 'converge' ? 1 : 2, try: 1, digest: NEW, releaseVersion: '2.0.0', vars: {} },
    ...{ planDigest: OLD, issuedAt: T0, allowed: false, ackedThrough: { epoch: 1, sequence: 0 } },
    ...rest,
  };
}

export function received(of: Command): SiteEntry {
  return { kind: 'command', at: of.issuedAt + 1, judged: 'fresh', command: of, epoch: 1, signedBy: ['key-1'] };
}

export function answered(of: Command, result: Result['result'], at: number, more: Partial<Result> = {}): SiteEntry {
  const { id: commandId, site, stream, verb, generation, try: tries } = of;
  return {
    kind: 'result',
    at,
    result: { commandId, site, stream, verb, generation, try: tries, result, at, changed: true, ...more },
  };
}

export function switched(
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

export function chain(entries: [number, string, Record<string, unknown>][], rollout = 'run-1'): EvidenceEntry[] {
  const linked: EvidenceEntry[] = [];
  for (const [at, kind, data] of entries) {
    linked.push(linkEntry({ ...{ rollout, at, kind, data, runId: 'r', activityId: '1', index: 0 } }, linked.at(-1)));
  }
  return linked;
}

export const promotion: [number, string, Record<string, unknown>][] = [
  [T0, 'plan', {}],
  [T0 + 900, 'gate', { stage: 'one', wave: 0, confirmedSites: ['a', 'b'], from: T0 + 400 }],
  [T0 + 910, 'decision', { stage: 'one', wave: 0, kind: 'promote', reason: { code: 'GATE_PASSED', detail: '' } }],
  [T0 + 1_000, 'sealed', { outcome: 'promoted', sites: [{ site: 'a' }, { site: 'b' }] }],
];

export function rollout(of: Partial<RolloutFacts> = {}): RolloutFacts {
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

export function scheduled(site: string, number = 1, at = T0 + 1): ShardHistory['steps'][number] {
  return { kind: 'scheduled', at, site, commandId: `run-1/${site}/s/converge/${number}` };
}

export function settled(of: SiteEntry): ShardHistory['steps'][number] {
  if (of.kind !== 'result') throw new Error('no result');
  return { kind: 'settled', at: of.at, site: of.result.site, result: of.result };
}

/** A rollout of two sites that went well. */
export function sound(): SeedFacts {
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

export const failure = { cause: 'check', reason: { code: 'CHECK_FAILED', detail: '' } } as const;
export const owing: [number, string, Record<string, unknown>][] = [
  [T0 + 950, 'owed-reverts', { sites: ['a'] }],
  [T0 + 1_000, 'sealed', { sites: [{ site: 'a' }, { site: 'b' }] }],
];

export function withLog(...entries: SiteEntry[]): SeedFacts {
  const facts = sound();
  return { ...facts, sites: { ...facts.sites, a: [...(facts.sites['a'] ?? []), ...entries] } };
}

export const newBox = (at: number): SiteEntry => ({ kind: 'replaced', at, epoch: 2, live: BOX });

export function withRollout(of: Partial<RolloutFacts>): SeedFacts {
  return { ...sound(), rollouts: [rollout(of)] };
}

export function withSteps(steps: ShardHistory['steps']): SeedFacts {
  const facts = sound();
  return { ...facts, shards: facts.shards.map((shard) => ({ ...shard, steps })) };
}

/** A site fails, and a person has it tried again. */
export const retriedSteps = () => [
  scheduled('a'),
  settled(answered(command({}), 'reverted', T0 + 5, failure)),
  scheduled('a', 2, T0 + 30),
];
export const retriedEvidence = (wave = true) =>
  chain([
    ...promotion.slice(0, 1),
    [T0 + 20, 'verb', { verb: 'retry', sites: ['a'] }],
    ...(wave ? [[T0 + 20, 'wave', { stage: 'one', wave: 0, sites: ['a'] }] as (typeof promotion)[number]] : []),
    ...promotion.slice(1),
  ]);

/** By a rollout that gave way at T0 + 500. */
export function withSuperseded(facts: SeedFacts): SeedFacts {
  const { status } = rollout();
  const evidence = chain([...promotion.slice(0, 1), [T0 + 500, 'superseded', {}], ...promotion.slice(3)]);
  return { ...facts, rollouts: [rollout({ evidence, status: { ...status, outcome: 'aborted' } })] };
}

/** Verbs that were obeyed once all had confirmed, and what came of them. */
export function withVerbs(
  verbs: string[],
  outcome: 'aborted' | 'reverted' | 'terminated',
  undone: string[] = [],
): SeedFacts {
  const said = verbs.map((verb, n): (typeof promotion)[number] => [T0 + 920 + n, 'verb', { verb }]);
  const evidence = chain([...promotion.slice(0, 3), ...said, [T0 + 1_000, 'sealed', { outcome, sites: bothSealed }]]);
  const facts = withRollout({ evidence, status: { ...rollout().status, outcome } });
  const sites = Object.entries(facts.sites).map(([site, log]): [string, SiteEntry[]] => {
    const revert = command({ site, verb: 'revert', issuedAt: T0 + 930 });
    const undo = [
      received(revert),
      switched(NEW, OLD, T0 + 940, 'command', revert.id),
      answered(revert, 'reverted', T0 + 950),
    ];
    return [site, [...log, ...(undone.includes(site) ? undo : [])]];
  });
  return { ...facts, sites: Object.fromEntries(sites) };
}

const bothSealed = [{ site: 'a' }, { site: 'b' }];

export const budgetFailed = (count: number) => ({
  ...{ stage: 'one', wave: 0, kind: 'fail' },
  reason: { code: 'BUDGET_FAILED', detail: `${count} of 2 sites, limit 0: a` },
});
