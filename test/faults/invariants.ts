/** What must hold after whatever a seed did, judged on facts alone. Pure: each says in words what it found. */
import { judgeChain } from '../../policies/signing/chain.js';
import type { SeedFacts, Violation } from './facts.js';
import { judgeBudgets, judgeRetried, judgeStop, sitesIn } from './invariants-budget.js';
import { judgeLeftOut, judgeSeal } from './invariants-count.js';
import { judgeDebts, judgeEnd } from './invariants-end.js';
import { judgeDecided, judgeGateData } from './invariants-gate.js';
import { judgeBelieved, judgeEpochs, judgeKeys, judgeSuperseded } from './invariants-identity.js';
import { judgeReverts } from './invariants-revert.js';
import { ownerOf, resultsOf } from './site-logs.js';
import { judgeDepth, judgeOrder, judgeOwners } from './invariants-sites.js';

type Invariant = (facts: SeedFacts) => string[];

export const INVARIANTS: Record<string, Invariant> = {
  'no site is commanded by two owners at once': judgeOwners,
  'no converge after a revert of its rollout': judgeOrder,
  'a site never goes one release too far back': judgeDepth,
  'the budget counts each site once': judgeBudgets,
  'nothing is scheduled after the budget is exceeded': judgeStop,
  'no failure that was told of is left out': judgeLeftOut,
  'a seal counts every site': judgeSeal,
  'no lock is orphaned': judgeLock,
  'the evidence verifies': judgeEvidence,
  'nothing is promoted on less than the data of the gate': judgeGateData,
  'nothing goes on without a decision': judgeDecided,
  'every site of a sealed rollout has an outcome': judgeOutcomes,
  'owed reverts stay owed until answered': judgeOwed,
  'a revert that was accepted is never taken back': judgeReverts,
  'every site ends where the last decision meant it to': judgeEnd,
  'whoever has not answered a promoted rollout owes it': judgeDebts,
  'a superseded rollout commands nobody any more': judgeSuperseded,
  'no command is taken in by an agent of another epoch': judgeEpochs,
  'an agent that was replaced speaks for its site no more': judgeBelieved,
  'a control key signs nothing after its rotation': judgeKeys,
  'a site that is tried again counts once': judgeRetried,
};

export function judgeSeed(facts: SeedFacts): Violation[] {
  return Object.entries(INVARIANTS).flatMap(([invariant, judge]) =>
    judge(facts).map((detail) => ({ seed: facts.seed, invariant, detail })),
  );
}

function judgeLock({ runs, stream }: SeedFacts): string[] {
  const locks = runs.filter((run) => run.workflowId === `foothold/stream/${stream}` && run.running);
  const rollouts = runs.filter((run) => run.type === 'rollout' && run.running);
  return locks.length > 0 && rollouts.length === 0 ? [`${stream} is locked and no rollout runs`] : [];
}

function judgeEvidence({ rollouts }: SeedFacts): string[] {
  return rollouts.flatMap(({ evidence, head, status }) => {
    if (!head) return [`${status.label} has no evidence`];
    const judged = judgeChain(evidence, head);
    return judged.ok ? [] : [`${status.label}: entry ${judged.index}: ${judged.reason}`];
  });
}

/** In the registry's rows, or in the list that the seal itself is evidence of. */
function judgeOutcomes({ rollouts }: SeedFacts): string[] {
  return rollouts.flatMap((rollout) => {
    const { status, rows, commanded, plan, evidence } = rollout;
    if (status.state !== 'sealed') return [];
    const seal = evidence.find((entry) => entry.kind === 'sealed')?.data['sites'] as { site: string }[] | undefined;
    const known = new Set([...rows, ...(seal ?? [])].map((row) => row.site));
    const planned = plan.stages.flatMap((stage) => sitesIn(rollout, stage.name));
    const wanted = status.outcome === 'promoted' ? planned : commanded.map((one) => one.site);
    const missing = wanted.filter((site) => !known.has(site));
    return missing.map((site) => `${status.label} is sealed (${status.outcome ?? '?'}) and has no outcome of ${site}`);
  });
}

/** A revert that was sent and not answered is a debt, for as long as it takes. */
function judgeOwed(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap(({ evidence, firstRunId, status }) => {
    const owing = evidence.flatMap(({ kind, data }) => (kind === 'owed-reverts' ? (data['sites'] as string[]) : []));
    return [...new Set(owing)].flatMap((site) => {
      const answers = resultsOf(facts.sites[site] ?? []).filter((result) => {
        return result.verb === 'revert' && ownerOf(result.commandId) === firstRunId;
      });
      return [facts.debtsAtSeal, facts.debtsAtEnd].flatMap(({ at, debts }) => {
        const sealed = evidence.find((entry) => entry.kind === 'sealed')?.at ?? Infinity;
        const isDebt = debts.some(
          (debt) => debt.verb === 'revert' && debt.site === site && debt.firstRunId === firstRunId,
        );
        const open = sealed <= at && !answers.some((answer) => answer.at <= at);
        return open && !isDebt ? [`${site} owes the revert of ${status.label} and no debt says so`] : [];
      });
    });
  });
}
