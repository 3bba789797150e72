/** With what sites end, and what they still owe once their rollout is promoted. */
import type { RolloutFacts, SeedFacts, SiteEntry } from './facts.js';
import { sitesIn } from './invariants-budget.js';
import { commandsOf, ownerOf, resultsOf } from './site-logs.js';

/** Of every rollout whose word is the last that a site was given: each site is judged by that one alone. */
export function judgeEnd(facts: SeedFacts): string[] {
  return facts.rollouts
    .filter(({ status }) => status.state === 'sealed')
    .flatMap((rollout) => {
      return Object.entries(facts.sites).flatMap(([site, log]) => {
        if (facts.rollouts.some((other) => isLater(other, rollout) && speaksFor(other, site, log))) return [];
        return [
          ...judgeUnconfirmed(rollout, site, log),
          ...judgeUndone(facts, rollout, site, log),
          ...judgePromoted(rollout, site, log),
        ];
      });
    });
}

function isLater(other: RolloutFacts, than: RolloutFacts): boolean {
  return other.status.generation > than.status.generation;
}

/** It commanded the site, or has decided what it is to run. */
function speaksFor(rollout: RolloutFacts, site: string, log: SiteEntry[]): boolean {
  const decided = isPromoted(rollout) && plannedOf(rollout).includes(site);
  return decided || commandsOf(log).some(({ id }) => ownerOf(id) === rollout.firstRunId);
}

function isPromoted({ status }: RolloutFacts): boolean {
  return status.state === 'sealed' && status.outcome === 'promoted';
}

function plannedOf(rollout: RolloutFacts): string[] {
  return rollout.plan.stages.flatMap((stage) => sitesIn(rollout, stage.name));
}

/** What the site last went to, if this rollout's converge brought it there. */
function broughtBy({ firstRunId }: RolloutFacts, log: SiteEntry[]): boolean {
  const last = log.findLast((entry) => entry.kind === 'switch' || entry.kind === 'replaced');
  return last?.kind === 'switch' && last.why === 'converge' && ownerOf(last.commandId) === firstRunId;
}

function lastWord({ firstRunId }: RolloutFacts, log: SiteEntry[]) {
  return resultsOf(log).findLast((one) => one.verb === 'converge' && ownerOf(one.commandId) === firstRunId);
}

/** Whatever became of the rollout: at rest a site has confirmed what it was brought, or has undone it. */
function judgeUnconfirmed(rollout: RolloutFacts, site: string, log: SiteEntry[]): string[] {
  if (!broughtBy(rollout, log) || lastWord(rollout, log)?.result === 'confirmed') return [];
  return [`${site} runs what ${rollout.status.label} brought and never confirmed it`];
}

/** Stages of which every commanded site was to be undone, confirmed or not. */
function undoneStages({ status, evidence, plan }: RolloutFacts): string[] {
  if (status.outcome !== 'reverted') return [];
  if (status.reason?.code === 'REVERT_REQUESTED') return plan.stages.map(({ name }) => name);
  return evidence.flatMap(({ kind, data }) => {
    return kind === 'undo' && data['keepConfirmed'] === false ? (data['stages'] as string[]) : [];
  });
}

function judgeUndone(facts: SeedFacts, rollout: RolloutFacts, site: string, log: SiteEntry[]): string[] {
  const { firstRunId, status } = rollout;
  const stage = undoneStages(rollout).find((name) => sitesIn(rollout, name).includes(site));
  if (stage === undefined || !broughtBy(rollout, log)) return [];
  const owes = facts.debtsAtEnd.debts.some((debt) => {
    return debt.verb === 'revert' && debt.site === site && debt.firstRunId === firstRunId;
  });
  return owes ? [] : [`${site} still runs what ${status.label} brought, and all of ${stage} was reverted`];
}

/** What the seal counts as confirmed has confirmed, and runs it unless it undid it by itself; all others do not have it half. */
function judgePromoted(rollout: RolloutFacts, site: string, log: SiteEntry[]): string[] {
  if (!isPromoted(rollout) || !plannedOf(rollout).includes(site)) return [];
  const { status } = rollout;
  const replacedAt = log.findLastIndex(({ kind }) => kind === 'replaced');
  const last = lastWord(rollout, log);
  const isOfOldBox = log.findLastIndex((entry) => entry.kind === 'result' && entry.result === last) < replacedAt;
  const live = log.findLast((entry) => entry.kind === 'switch' || entry.kind === 'replaced');
  const runsIt = live?.kind === 'switch' && live.to === status.release.digest;
  if (last?.result === 'confirmed' && !isOfOldBox && !runsIt && last.changed)
    return [`${site} confirmed ${status.label}, which was promoted, and runs something else`];
  if (last && last.result !== 'confirmed' && broughtBy(rollout, log))
    return [`${site} ended ${last.result} under ${status.label}, and runs it`];
  const counted = sealedWord(rollout, site) === 'confirmed';
  return counted && last === undefined ? [`${site} counts as confirmed under ${status.label}, and never answered`] : [];
}

export function sealedWord({ evidence }: RolloutFacts, site: string): string | undefined {
  const sites = evidence.findLast(({ kind }) => kind === 'sealed')?.data['sites'] as
    { site: string; outcome?: string }[] | undefined;
  return sites?.find((one) => one.site === site)?.outcome;
}

/**
 * Once a rollout is promoted, a site of its plan that has not answered owes it: a debt row says so for as long as it takes.
 * That its report differs from what it should run is not enough: `owed` and the exported figures are counted from the rows.
 */
export function judgeDebts(facts: SeedFacts): string[] {
  return facts.rollouts.filter(isPromoted).flatMap((rollout) => {
    const sealed = rollout.evidence.findLast(({ kind }) => kind === 'sealed')?.at ?? Infinity;
    return [facts.debtsAtSeal, facts.debtsAtEnd]
      .filter(({ at }) => sealed <= at)
      .flatMap(({ at, debts }) => {
        const missing = plannedOf(rollout).filter((site) => {
          const log = facts.sites[site] ?? [];
          if (hasAnswered(rollout, log, at) || isOvertaken(facts, rollout, site, at)) return false;
          return !debts.some((debt) => {
            return debt.verb === 'converge' && debt.site === site && debt.generation >= rollout.status.generation;
          });
        });
        return missing.map(
          (site) => `${site} has not answered ${rollout.status.label}, and no debt says that it owes it`,
        );
      });
  });
}

function hasAnswered({ firstRunId }: RolloutFacts, log: SiteEntry[], until: number): boolean {
  return resultsOf(log).some((result) => {
    return result.verb === 'converge' && ownerOf(result.commandId) === firstRunId && result.at <= until;
  });
}

/** By a later decision for the site, or by what it has confirmed since. */
function isOvertaken(facts: SeedFacts, rollout: RolloutFacts, site: string, until: number): boolean {
  return facts.rollouts.some((other) => {
    if (!isLater(other, rollout)) return false;
    if (isPromoted(other) && plannedOf(other).includes(site)) return true;
    return resultsOf(facts.sites[site] ?? []).some((result) => {
      return (
        ownerOf(result.commandId) === other.firstRunId &&
        result.verb === 'converge' &&
        result.result === 'confirmed' &&
        result.at <= until
      );
    });
  });
}
