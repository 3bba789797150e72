/** What must hold after whatever a seed did, judged on facts alone. Pure: each says in words what it found. */
import { sitesOf } from '../../policies/cohort/share.js';
import type { Command, Result } from '../../policies/model/command.js';
import { judgeChain } from '../../policies/signing/chain.js';
import type { RolloutFacts, SeedFacts, SiteEntry, Violation } from './facts.js';
import { judgeGateData } from './invariants-gate.js';

type Invariant = (facts: SeedFacts) => string[];

export const INVARIANTS: Record<string, Invariant> = {
  'no site is commanded by two owners at once': judgeOwners,
  'no converge after a revert of its rollout': judgeOrder,
  'a site never goes one release too far back': judgeDepth,
  'the budget counts each site once': judgeBudgets,
  'nothing is scheduled after the budget is exceeded': judgeStop,
  'no lock is orphaned': judgeLock,
  'the evidence verifies': judgeEvidence,
  'nothing is promoted on less than the data of the gate': judgeGateData,
  'every site of a sealed rollout has an outcome': judgeOutcomes,
  'owed reverts stay owed until answered': judgeOwed,
  'every site ends where the last decision meant it to': judgeEnd,
};

export function judgeSeed(facts: SeedFacts): Violation[] {
  return Object.entries(INVARIANTS).flatMap(([invariant, judge]) =>
    judge(facts).map((detail) => ({ seed: facts.seed, invariant, detail })),
  );
}

export function ownerOf(commandId: string): string {
  return commandId.split('/')[0] ?? '';
}

function commandsOf(log: SiteEntry[]): Command[] {
  return log.flatMap((entry) => (entry.kind === 'command' ? [entry.command] : []));
}

export function resultsOf(log: SiteEntry[]): Result[] {
  return log.flatMap((entry) => (entry.kind === 'result' ? [entry.result] : []));
}

/** When a rollout gave its sites away: its seal, else the end of its last run. */
function overAt(facts: SeedFacts, firstRunId: string): number {
  const rollout = facts.rollouts.find((one) => one.firstRunId === firstRunId);
  const sealed = rollout?.evidence.find((entry) => entry.kind === 'sealed')?.at;
  if (sealed !== undefined) return sealed;
  const runs = facts.runs.filter((run) => run.workflowId === rollout?.workflowId);
  return runs.some((run) => run.running) ? Infinity : Math.max(0, ...runs.map((run) => run.closedAt ?? 0));
}

function judgeOwners(facts: SeedFacts): string[] {
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const commands = commandsOf(log).toSorted((a, b) => a.issuedAt - b.issuedAt);
    const converges = commands.filter(({ verb }) => verb === 'converge');
    const found: string[] = [];
    for (const [index, next] of converges.entries()) {
      const before = converges[index - 1];
      if (!before || ownerOf(before.id) === ownerOf(next.id)) continue;
      const over = overAt(facts, ownerOf(before.id));
      if (next.issuedAt < over) found.push(`${site}: ${next.id} was issued while ${before.rollout} was not over`);
    }
    for (const revert of commands.filter(({ verb }) => verb === 'revert')) {
      const answered = resultsOf(log).find((result) => result.commandId === revert.id)?.at ?? Infinity;
      const between = converges.filter(({ id, issuedAt }) => {
        return ownerOf(id) !== ownerOf(revert.id) && issuedAt > revert.issuedAt && issuedAt < answered;
      });
      found.push(...between.map(({ id }) => `${site}: ${id} was issued while ${revert.id} was owed`));
    }
    return found;
  });
}

function judgeOrder(facts: SeedFacts): string[] {
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const commands = commandsOf(log);
    const reverts = commands.filter(({ verb }) => verb === 'revert');
    return commands.flatMap((converge) => {
      if (converge.verb !== 'converge') return [];
      const own = reverts.filter((revert) => ownerOf(revert.id) === ownerOf(converge.id));
      const first = Math.min(Infinity, ...own.map((revert) => revert.issuedAt));
      return converge.issuedAt > first ? [`${site}: ${converge.id} was issued after the revert of its rollout`] : [];
    });
  });
}

/** Every switch builds on what is live, and every undo goes back to what was live before it: no further. */
function judgeDepth(facts: SeedFacts): string[] {
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const releases = [facts.before];
    const found: string[] = [];
    for (const entry of log) {
      if (entry.kind !== 'switch') continue;
      if (entry.from !== releases.at(-1)) found.push(`${site}: left ${entry.from}, and ${releases.at(-1)} was live`);
      if (entry.why === 'converge') releases.push(entry.to);
      else {
        releases.pop();
        if (entry.to !== releases.at(-1)) {
          found.push(
            `${site}: ${entry.commandId} went back to ${entry.to}, before was ${releases.at(-1) ?? 'nothing'}`,
          );
        }
        const asked = commandsOf(log).find(({ id, verb }) => id === entry.commandId && verb === 'revert');
        if (asked && asked.digest !== entry.from)
          found.push(`${site}: ${asked.id} undid ${entry.from}, which it did not name`);
      }
    }
    return found;
  });
}

const AS_OWED = new Set(['ALREADY_SICK', 'HELD', 'STALE', 'SWITCH_BY_PASSED', 'DEPOT_UNREACHABLE', 'QUARANTINED']);

/** A result that counts against `failed`, by the words of the design and not by the code under test. */
export function isFailure({ verb, result, cause, reason }: Result): boolean {
  if (verb !== 'converge') return false;
  if (result === 'rejected') return !AS_OWED.has(reason?.code ?? '');
  return (result === 'reverted' || result === 'safe-mode') && cause !== 'command';
}

function stageOf({ plan }: RolloutFacts, name: string) {
  return plan.stages.find((stage) => stage.name === name);
}

function sitesIn(rollout: RolloutFacts, stage: string): string[] {
  return stageOf(rollout, stage)?.waves.flatMap((wave) => wave.sites.map((site) => site.id)) ?? [];
}

function limitOf(rollout: RolloutFacts, stage: string): number {
  const budget = stageOf(rollout, stage)?.budget;
  return budget ? sitesOf(budget.failed, sitesIn(rollout, stage).length) : 0;
}

/** Of this rollout, by the sites' own logs. */
function failedSites(facts: SeedFacts, rollout: RolloutFacts, stage: string, until: number): string[] {
  return sitesIn(rollout, stage).filter((site) =>
    resultsOf(facts.sites[site] ?? []).some((result) => {
      return ownerOf(result.commandId) === rollout.firstRunId && isFailure(result) && result.at <= until;
    }),
  );
}

const EXCEEDED = /^(\d+) of (\d+) sites, limit (\d+): (.*)$/;

function judgeBudgets(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) => {
    const found: string[] = [];
    for (const { confirmed, failed, owed, sites, name } of rollout.status.stages) {
      if (confirmed + failed + owed > sites)
        found.push(`${name}: ${confirmed} + ${failed} + ${owed} of ${sites} sites`);
    }
    for (const { kind, data, at } of rollout.evidence) {
      const reason = data['reason'] as { code?: string; detail?: string } | undefined;
      const told = EXCEEDED.exec(reason?.detail ?? '');
      if (kind !== 'decision' || reason?.code !== 'BUDGET_FAILED' || !told) continue;
      const stage = exceededStage(rollout, told[4] ?? '') ?? String(data['stage']);
      const really = failedSites(facts, rollout, stage, at).length;
      if (Number(told[1]) > really)
        found.push(`${stage}: ${told[1]} failures were counted, ${really} sites had failed`);
    }
    return found;
  });
}

/** A decision about one stage may be for the failures of an earlier one: the sites that it names tell. */
function exceededStage(rollout: RolloutFacts, names: string): string | undefined {
  const first = names.split(', ')[0]?.replace(/ …$/, '') ?? '';
  return rollout.plan.stages.find((stage) => sitesIn(rollout, stage.name).includes(first))?.name;
}

function isOverridden({ evidence }: RolloutFacts): boolean {
  return evidence.some(({ kind, data }) => kind === 'verb' && data['verb'] === 'promote');
}

/** In the order of a shard's own history: once more sites failed than may, nothing further is scheduled. */
function judgeStop(facts: SeedFacts): string[] {
  return facts.rollouts
    .filter((rollout) => !isOverridden(rollout))
    .flatMap((rollout) => {
      const shards = facts.shards
        .filter((shard) => shard.firstRunId === rollout.firstRunId)
        .toSorted((a, b) => a.wave - b.wave);
      const failed = new Map<string, Set<string>>();
      return shards.flatMap(({ stage, steps, workflowId }) => {
        const ofStage = failed.get(stage) ?? new Set();
        failed.set(stage, ofStage);
        return steps.flatMap((step) => {
          if (step.kind === 'settled' && isFailure(step.result)) ofStage.add(step.site);
          const late = step.kind === 'scheduled' && ofStage.size > limitOf(rollout, stage);
          return late ? [`${workflowId}: ${step.site} was scheduled after ${[...ofStage].join(', ')} had failed`] : [];
        });
      });
    });
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

function judgeEnd(facts: SeedFacts): string[] {
  const last = facts.rollouts.toSorted((a, b) => a.status.startedAt - b.status.startedAt).at(-1);
  if (!last || last.status.state !== 'sealed') return [];
  const { digest } = last.status.release;
  const { outcome, reason, label } = last.status;
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const live = liveAtEnd(log, facts.before);
    const owes = facts.debtsAtEnd.debts.some((debt) => debt.site === site);
    // A batch of the reconciler decides for its own sites; others have the same release by the rollout before it.
    const commanded = commandsOf(log).some(({ id, verb }) => verb === 'converge' && ownerOf(id) === last.firstRunId);
    if (live !== digest || owes || !commanded) return [];
    const confirmed = resultsOf(log).some(
      ({ result, live: told }) => result === 'confirmed' && told?.digest === digest,
    );
    if (outcome === 'aborted' && !confirmed) return [`${site} runs what ${label} brought and never confirmed it`];
    const all = outcome === 'reverted' && reason?.code === 'REVERT_REQUESTED';
    return all ? [`${site} still runs what ${label} brought, and all of it was reverted`] : [];
  });
}

function liveAtEnd(log: SiteEntry[], before: string): string {
  const last = log.findLast((entry) => entry.kind === 'switch');
  return last?.kind === 'switch' ? last.to : before;
}
