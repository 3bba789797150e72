/** Facts of rollouts that count, or owe, a site: what the tests of those invariants leave out of them. */
import type { Debt } from '../../policies/model/debt.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { SeedFacts, SiteEntry } from './facts.js';
import {
  answered,
  chain,
  command,
  failure,
  NEW,
  OLD,
  promotion,
  received,
  rollout,
  sound,
  switched,
  T0,
} from './sound-facts.js';

export type Line = [number, string, Record<string, unknown>];

/** Of one page each, as a rollout writes what it notes once the page before is written. */
export function inPages(lines: Line[]): EvidenceEntry[] {
  const drafts = chain(lines);
  return drafts.map((entry, page) => ({ ...entry, activityId: `p${page}` }));
}

export const CONFIRMED = { site: 'b', outcome: 'confirmed' };
const told = (site: string, entry: SiteEntry): Record<string, unknown> => ({
  ...{ site, counted: true, arrival: 'first' },
  result: entry.kind === 'result' ? entry.result : undefined,
});

/** Site a has failed, and the registry has it from its observer; the rollout, of which b confirmed, ends as it is told. */
export function failedAndSealed(
  sites: { site: string; outcome: string }[],
  counts: object,
  outcome = 'reverted',
): SeedFacts {
  const own = command({});
  const undone = answered(own, 'reverted', T0 + 200, failure);
  const evidence = inPages([
    [T0, 'plan', {}],
    [T0 + 10, 'wave', { stage: 'one', wave: 0, sites: ['a', 'b'] }],
    [T0 + 300, 'result', told('a', undone)],
    [T0 + 400, 'decision', { stage: 'one', wave: 0, kind: 'fail', reason: { code: 'BUDGET_FAILED', detail: '' } }],
    [T0 + 500, 'undo', { stages: [], keepConfirmed: true }],
    [T0 + 1_000, 'sealed', { outcome, sites }],
  ]);
  const { status } = rollout();
  const facts = sound();
  const log = [received(own), switched(OLD, NEW, T0 + 100), undone, switched(NEW, OLD, T0 + 200, 'check')];
  const stages = status.stages.map((stage) => ({ ...stage, ...counts }));
  const sealed = { ...status, stages, outcome: outcome as 'reverted' };
  return { ...facts, sites: { ...facts.sites, a: log }, rollouts: [rollout({ evidence, status: sealed })] };
}

/** Site a was away when its rollout was promoted. */
export function away(debt?: Partial<Debt>, atEnd: Partial<Debt> | undefined = debt): SeedFacts {
  const facts = sound();
  const rows = (of?: Partial<Debt>) => (of ? [{ verb: 'converge', site: 'a', generation: 1, ...of } as Debt] : []);
  const { status } = rollout();
  const stages = status.stages.map((stage) => ({ ...stage, confirmed: 1, owed: 1 }));
  const sites = [{ site: 'a', outcome: 'owed' }, CONFIRMED];
  const evidence = chain([...promotion.slice(0, 3), [T0 + 1_000, 'sealed', { outcome: 'promoted', sites }]]);
  return {
    ...facts,
    sites: { ...facts.sites, a: [] },
    rollouts: [rollout({ evidence, status: { ...status, stages } })],
    debtsAtSeal: { at: T0 + 2_000, debts: rows(debt) },
    debtsAtEnd: { at: T0 + 9_000, debts: rows(atEnd) },
  };
}
