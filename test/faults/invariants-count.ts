/** That nothing is left out: a failure, or a site, of which the rollout was told and which it does not count. */
import type { Result } from '../../policies/model/command.js';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { RolloutFacts, SeedFacts } from './facts.js';
import { forgivenAt, isFailure, keyOf, limitOf, retriedAt, sitesIn } from './invariants-budget.js';
import { sealedWord } from './invariants-end.js';
import { ownerOf, resultsOf } from './site-logs.js';

/** A delivery of a site is recorded first, and told to the rollout after that. */
const TELLS_WITHIN_MS = 10_000;

/** A wave, or the seal of a promotion, that comes after more failures than may be. */
export function judgeLeftOut(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) => {
    const { evidence, plan, status } = rollout;
    return evidence.flatMap((entry) => {
      const isPromotion = entry.kind === 'sealed' && entry.data['outcome'] === 'promoted';
      const goesOn = isPromotion || (entry.kind === 'wave' && hasCommanded(facts, rollout, entry));
      // Noted only once that was recorded, and so after all that had been recorded before it.
      const decided = evidence.findLast(({ kind, sequence }) => kind === 'decision' && sequence < entry.sequence);
      if (!goesOn || !decided) return [];
      return plan.stages.flatMap(({ name }) => {
        const failed = knownFailures(facts, rollout, name, decided, entry.at);
        const forgiven = forgivenAt(rollout, entry.at);
        const open = failed.filter((result) => result.at > (forgiven ?? -Infinity));
        if (failed.length <= limitOf(rollout, name) || open.length === 0) return [];
        const what =
          entry.kind === 'wave'
            ? `wave ${Number(entry.data['wave']) + 1} of ${String(entry.data['stage'])}`
            : 'the promotion';
        return [`${status.label}: ${what} came after ${failed.map(keyOf).join(', ')} of ${name} had failed`];
      });
    });
  });
}

/** A wave that is noted and stopped in the same moment commands nobody. */
function hasCommanded({ shards }: SeedFacts, { firstRunId }: RolloutFacts, { at, data }: EvidenceEntry): boolean {
  const own = shards.filter((shard) => shard.firstRunId === firstRunId);
  const ofWave = own.filter(({ stage, wave }) => stage === data['stage'] && wave === data['wave']);
  return ofWave.some(({ steps }) => steps.some((step) => step.kind === 'scheduled' && step.at >= at));
}

/** What the seal says of each site is at least what was known by then, and a promoted rollout counts every one. */
export function judgeSeal(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) => {
    const { status, evidence } = rollout;
    const sealed = evidence.findLast(({ kind }) => kind === 'sealed');
    if (status.state !== 'sealed' || !sealed || !Array.isArray(sealed.data['sites'])) return [];
    const horizon = horizonOf(evidence, sealed);
    if (!horizon) return [];
    return status.stages.flatMap((stage) => {
      const at = `${status.label} ${stage.name}`;
      const failures = knownFailures(facts, rollout, stage.name, horizon, Infinity);
      const lost = failures.filter(
        ({ site }) => !['rejected', 'reverted', 'safe-mode'].includes(sealedWord(rollout, site) ?? ''),
      );
      const found = lost.map(
        ({ site, result }) =>
          `${at}: ${site} ended ${result}, and the seal says ${sealedWord(rollout, site) ?? 'nothing'}`,
      );
      if (stage.failed < failures.length)
        found.push(`${at}: ${stage.failed} sites count as failed, of ${failures.length} that was known`);
      const well = sitesIn(rollout, stage.name).filter(
        (site) =>
          known(facts, rollout, site, horizon)?.result === 'confirmed' &&
          latest(facts, rollout, site)?.result === 'confirmed',
      );
      if (stage.confirmed < well.length)
        found.push(`${at}: ${stage.confirmed} sites count as confirmed, of ${well.length} that was known`);
      return status.outcome === 'promoted' ? [...found, ...judgeSum(facts, rollout, stage)] : found;
    });
  });
}

/** Told to undo, or given another command: counted nowhere, by design. */
function judgeSum(facts: SeedFacts, rollout: RolloutFacts, stage: RolloutFacts['status']['stages'][number]): string[] {
  const { name, sites, confirmed, failed, owed } = stage;
  const uncounted = sitesIn(rollout, name).filter((site) => {
    const last = latest(facts, rollout, site);
    return last?.result === 'superseded' || (last?.result === 'reverted' && last.cause === 'command');
  }).length;
  const counted = confirmed + failed + owed;
  if (counted + uncounted >= sites) return [];
  return [
    `${rollout.status.label} ${name}: ${counted} of ${sites} sites are counted, and ${sites - counted - uncounted} nowhere`,
  ];
}

function latest(facts: SeedFacts, { firstRunId }: RolloutFacts, site: string): Result | undefined {
  return resultsOf(facts.sites[site] ?? []).findLast(
    (one) => one.verb === 'converge' && ownerOf(one.commandId) === firstRunId,
  );
}

function knownFailures(
  facts: SeedFacts,
  rollout: RolloutFacts,
  stage: string,
  before: EvidenceEntry,
  until: number,
): Result[] {
  return sitesIn(rollout, stage).flatMap((site) => {
    const result = known(facts, rollout, site, before);
    return result && isFailure(result) && result.at > retriedAt(rollout, site, until) ? [result] : [];
  });
}

/**
 * The last word of a site, in its own words, that had reached the registry: through an observer, whose shard tells the
 * rollout before it is recorded, or by the site's own delivery, of which the rollout hears a moment later.
 */
function known(facts: SeedFacts, rollout: RolloutFacts, site: string, before: EvidenceEntry): Result | undefined {
  const heard = rollout.evidence.flatMap((entry) => {
    if (entry.sequence >= before.sequence || entry.data['site'] !== site) return [];
    if (entry.kind === 'result' && entry.data['counted'] === true) return [entry.data['result'] as Result];
    if (entry.kind !== 'site-event' || entry.at > before.at - TELLS_WITHIN_MS) return [];
    const { result } = entry.data['event'] as { result?: Result };
    return result ? [result] : [];
  });
  const told = heard.findLast(({ verb }) => verb === 'converge');
  const own = resultsOf(facts.sites[site] ?? []);
  return own.find((one) => one.commandId === told?.commandId && one.result === told.result && one.at === told.at);
}

/**
 * A page of a rollout's own entries is written once the one before is, and noted meanwhile: what was recorded before the
 * last but one was known when this was noted.
 */
function horizonOf(evidence: EvidenceEntry[], entry: EvidenceEntry): EvidenceEntry | undefined {
  const own = evidence.filter(({ kind, sequence }) => OWN.has(kind) && sequence <= entry.sequence);
  const pages = [...new Set(own.map(pageOf))];
  const page = pages.at(-3);
  return own.findLast((one) => pageOf(one) === page);
}

const pageOf = ({ runId, activityId }: EvidenceEntry): string => `${runId}/${activityId}`;
const OWN = new Set([
  'wave',
  'gate',
  'decision',
  'wait',
  'wait-ended',
  'verb',
  'undo',
  'owed-reverts',
  'superseded',
  'reset',
  'sealed',
]);
