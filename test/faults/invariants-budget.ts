/** Budgets: who counts as failed, once, and that nothing goes on after a budget is exceeded. */
import { sitesOf } from '../../policies/cohort/share.js';
import type { Result } from '../../policies/model/command.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { RolloutFacts, SeedFacts, ShardHistory } from './facts.js';
import { ownerOf, resultsOf } from './site-logs.js';

/** By the design, §4 "Budget", and by decision 0001. A quarantine is the site's own word against the release. */
const AS_OWED = new Set([
  ...['ALREADY_SICK', 'HELD', 'STALE', 'SWITCH_BY_PASSED', 'DEPOT_UNREACHABLE'],
  // Answered by an agent that does not speak for the site.
  ...['WRONG_EPOCH', 'ENROLMENT_USED', 'JOURNAL_FORKED'],
]);

/** A result that counts against `failed`, by the words of the design and not by the code under test. */
export function isFailure({ verb, result, cause, reason }: Result): boolean {
  if (verb !== 'converge') return false;
  if (result === 'rejected') return !AS_OWED.has(reason?.code ?? '');
  return (result === 'reverted' || result === 'safe-mode') && cause !== 'command';
}

function stageOf({ plan }: RolloutFacts, name: string) {
  return plan.stages.find((stage) => stage.name === name);
}

export function sitesIn(rollout: RolloutFacts, stage: string): string[] {
  return stageOf(rollout, stage)?.waves.flatMap((wave) => wave.sites.map((site) => site.id)) ?? [];
}

export function limitOf(rollout: RolloutFacts, stage: string): number {
  const budget = stageOf(rollout, stage)?.budget;
  return budget ? sitesOf(budget.failed, sitesIn(rollout, stage).length) : 0;
}

/**
 * When a site was last tried again, by an instant; what it had ended with before that counts no longer. A retry that an
 * abort of the same moment has overtaken is followed by no wave of its own.
 */
export function retriedAt({ evidence }: RolloutFacts, site: string, until: number): number {
  const names = ({ data, at }: EvidenceEntry) => at <= until && ((data['sites'] ?? []) as string[]).includes(site);
  const waves = evidence.filter((entry) => entry.kind === 'wave' && names(entry));
  const retries = evidence.filter((entry) => {
    const { kind, data, sequence } = entry;
    if (kind !== 'verb' || data['verb'] !== 'retry' || !names(entry)) return false;
    return waves.some((wave) => wave.sequence > sequence);
  });
  return Math.max(-Infinity, ...retries.map(({ at }) => at));
}

/** Of this rollout, by the sites' own logs: those that may be counted. */
function failedSites(facts: SeedFacts, rollout: RolloutFacts, stage: string, until: number): string[] {
  return sitesIn(rollout, stage).filter((site) =>
    resultsOf(facts.sites[site] ?? []).some((result) => {
      const own = ownerOf(result.commandId) === rollout.firstRunId && isFailure(result);
      if (!own || result.at > until) return false;
      return result.at > retriedAt(rollout, site, until) || wasRetryLost(facts, rollout, result);
    }),
  );
}

/** A retry that came to the run which a reset threw away, and to nobody else: what the site had ended with counts on. */
function wasRetryLost(
  facts: SeedFacts,
  { evidence, firstRunId }: RolloutFacts,
  { site, try: number }: Result,
): boolean {
  const retry = evidence.find(({ kind, data }) => kind === 'verb' && data['verb'] === 'retry');
  const isReset = evidence.some(({ kind, sequence }) => kind === 'reset' && sequence > (retry?.sequence ?? Infinity));
  const again = (facts.sites[site] ?? []).some(
    (entry) => entry.kind === 'command' && ownerOf(entry.command.id) === firstRunId && entry.command.try > number,
  );
  return isReset && !again;
}

/** A run that was reset notes what it had decided before it learns what the lost run had done since. */
function knewNoBetter({ evidence }: RolloutFacts, { runId, sequence }: EvidenceEntry): boolean {
  return evidence.some((entry) => entry.kind === 'reset' && entry.runId === runId && entry.sequence > sequence);
}

const EXCEEDED = /^(\d+) of (\d+) sites, limit (\d+): (.*)$/;

export function judgeBudgets(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) => {
    const found: string[] = [];
    for (const { confirmed, failed, owed, sites, name } of rollout.status.stages) {
      if (confirmed + failed + owed > sites)
        found.push(`${name}: ${confirmed} + ${failed} + ${owed} of ${sites} sites`);
    }
    for (const entry of rollout.evidence) {
      const { kind, data, at } = entry;
      const reason = data['reason'] as { code?: string; detail?: string } | undefined;
      const told = EXCEEDED.exec(reason?.detail ?? '');
      if (kind !== 'decision' || reason?.code !== 'BUDGET_FAILED' || !told || knewNoBetter(rollout, entry)) continue;
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

/** Waits whose end is no word about sites: which run goes on, and whether it has the stream. */
const OF_NO_SITE = new Set(['RUN_WAS_RESET', 'LOCK_LOST']);

/**
 * When a person last promoted against what stood, by an instant: whatever had failed by then is answered for, with the try
 * that failed, and no more than that. Without an override nothing that failed is.
 */
export function forgivenAt({ evidence }: RolloutFacts, until: number): number | undefined {
  const ended = evidence.filter(({ kind, data, at, sequence }) => {
    if (kind !== 'wait-ended' || data['end'] !== 'promoted' || at > until) return false;
    if (OF_NO_SITE.has(String(data['reason']))) return false;
    const said = evidence.findLast((one) => {
      return one.kind === 'verb' && one.data['verb'] === 'promote' && one.sequence < sequence;
    });
    return said?.data['override'] === true;
  });
  return ended.at(-1)?.at;
}

export const keyOf = ({ site, try: number }: Pick<Result, 'site' | 'try'>): string => `${site}/${number}`;

/** In the order of a shard's own history: once more sites failed than may, nothing further is scheduled. */
export function judgeStop(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) => {
    const shards = facts.shards
      .filter((shard) => shard.firstRunId === rollout.firstRunId)
      .toSorted((a, b) => a.wave - b.wave || a.startedAt - b.startedAt);
    const stages = new Map<string, StageSoFar>();
    for (const { stage } of shards) stages.set(stage, { failed: new Map(), seen: new Map() });
    return shards.flatMap((shard) => lateIn(rollout, shard, stages));
  });
}

interface StageSoFar {
  /** When each site failed. */
  failed: Map<string, number>;
  /** The run of a shard that scheduled a command first. */
  seen: Map<string, ShardHistory>;
}

function lateIn(rollout: RolloutFacts, shard: ShardHistory, stages: Map<string, StageSoFar>): string[] {
  const { failed, seen } = stages.get(shard.stage) ?? {
    failed: new Map<string, number>(),
    seen: new Map<string, ShardHistory>(),
  };
  return shard.steps.flatMap((step) => {
    if (step.kind === 'settled') {
      if (isFailure(step.result)) failed.set(step.site, step.at);
      return [];
    }
    const before = seen.get(step.commandId) ?? shard;
    seen.set(step.commandId, before);
    // A shard that continued as new observes again what it had in flight.
    if (before !== shard && before.workflowId === shard.workflowId) return [];
    const against =
      exceededBy(rollout, shard.stage, failed, step.at) ?? exceededElsewhere(rollout, shard, stages, step.at);
    return against ? [`${shard.workflowId}: ${step.site} was scheduled after ${against.join(', ')} had failed`] : [];
  });
}

/** Those that stand at an instant, if they are more than may be and no person has answered for all of them. */
function exceededBy(
  rollout: RolloutFacts,
  stage: string,
  failed: Map<string, number>,
  now: number,
): string[] | undefined {
  const standing = [...failed].filter(([site, at]) => at > retriedAt(rollout, site, now));
  const answeredFor = forgivenAt(rollout, now) ?? -Infinity;
  if (standing.length <= limitOf(rollout, stage) || standing.every(([, at]) => at <= answeredFor)) return undefined;
  return standing.map(([site]) => site);
}

/** A stage that was begun after another had failed. */
function exceededElsewhere(
  rollout: RolloutFacts,
  { stage, startedAt }: ShardHistory,
  stages: Map<string, StageSoFar>,
  now: number,
): string[] | undefined {
  for (const [name, { failed }] of stages) {
    if (name === stage) continue;
    const before = new Map([...failed].filter(([, at]) => at < startedAt));
    const against = exceededBy(rollout, name, before, now);
    if (against) return against;
  }
  return undefined;
}

/** Whatever was tried again, each site is counted once, and by its last word. */
export function judgeRetried(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) => {
    const { status, rows } = rollout;
    const twice = rows.filter((row, index) => rows.findIndex(({ site }) => site === row.site) !== index);
    const found = twice.map(({ site }) => `${status.label}: ${site} has two outcomes`);
    if (status.state !== 'sealed') return found;
    for (const { name, confirmed, failed } of status.stages) {
      const really = failedSites(facts, rollout, name, Infinity).length;
      if (failed > really) found.push(`${status.label} ${name}: ${failed} sites count as failed, ${really} had`);
      const well = sitesIn(rollout, name).filter((site) => {
        return resultsOf(facts.sites[site] ?? []).some(({ commandId, result }) => {
          return ownerOf(commandId) === rollout.firstRunId && result === 'confirmed';
        });
      }).length;
      if (confirmed > well) found.push(`${status.label} ${name}: ${confirmed} sites count as confirmed, ${well} had`);
    }
    return found;
  });
}
