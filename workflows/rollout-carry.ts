/**
 * The seam of continue-as-new. Its input is one payload, which Temporal takes up to 2 MiB: plan and outcomes of 10,000
 * sites are more. So only what the registry cannot tell is carried, and the next run reads the rest.
 */
import type { FrozenRef } from '../activities/contract.js';
import type { PlanOutline } from '../policies/model/outline.js';
import type { SiteOutcome, SiteOutcomeWord, UndoScope } from '../policies/model/rollout.js';
import { patient } from './proxies.js';
import { placeOf, takeOutcome } from './rollout-news.js';
import type { Carried, RolloutRun } from './rollout-run.js';

/** Characters of JSON. */
const CARRIED_ROOM = 256 * 1024;
const SEALED_ROOM = 512 * 1024;

export function carriedOf(run: RolloutRun, outline: PlanOutline, stageIndex: number, waveIndex: number): Carried {
  const unconfirmed = [...run.outcomes.values()].filter(({ outcome }) => outcome !== 'confirmed');
  const outcomes = firstWithin(unconfirmed, CARRIED_ROOM);
  const { planDigest, label, generation } = outline;
  return {
    continuation: run.identity.continuation + 1,
    startedAt: run.startedAt,
    frozen: { planDigest, label, generation },
    stageIndex,
    waveIndex,
    outcomes,
    commanded: outcomes.flatMap(({ site }) => run.commanded.get(site) ?? []),
    tries: [...run.tries],
    stages: run.stages,
    paused: run.paused,
    forgiven: run.forgiven,
    drafts: [...run.inFlight, ...run.drafts],
    continueAfterEvents: run.continueAfterEvents,
  };
}

/**
 * Reads what was not carried, however long the registry is away. The plan comes first: news of a site that is not in it
 * is refused, and what was refused before is in the registry when the outcomes are read.
 */
export async function takeUp(run: RolloutRun, frozen: FrozenRef): Promise<PlanOutline> {
  const outline = await patient.readOutline(frozen);
  run.outline = outline;
  await takeKnown(run);
  run.reading = false;
  run.dirty = true;
  return outline;
}

interface Known {
  commanded: number;
  outcomes: number;
  undos: UndoScope[];
  /** Stages of which sites were sent a revert. */
  reverting: string[];
}

/** Takes in what the registry knows of this rollout's commands, page by page. */
export async function takeKnown(run: RolloutRun): Promise<Known> {
  const taken = { commanded: 0, outcomes: 0 };
  for (let after = ''; ;) {
    const {
      commanded,
      outcomes,
      next,
      undos = [],
      reverting = [],
    } = await patient.knownCommands(run.identity.firstRunId, after);
    for (const { site, switchBy, try: number } of commanded) {
      run.commanded.set(site, { site, switchBy: Math.max(switchBy, run.commanded.get(site)?.switchBy ?? 0) });
      if (number > (run.tries.get(site) ?? 1)) run.tries.set(site, number);
    }
    for (const outcome of outcomes) {
      // Of a shard that was stopped once: who counts as owed since then, its shard lost, has no newer row.
      if (outcome.outcome === 'untouched' && run.outcomes.has(outcome.site)) continue;
      takeOutcome(run, { ...outcome, ...placeOf(run, outcome.site) });
    }
    taken.commanded += commanded.length;
    taken.outcomes += outcomes.length;
    if (next === undefined) return { ...taken, undos, reverting };
    after = next;
  }
}

/** What the seal says of the sites: all by number, and by name those that did not confirm before those that did. */
export function sealedSites(outcomes: SiteOutcome[]) {
  const counts: Partial<Record<SiteOutcomeWord, number>> = {};
  for (const { outcome } of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  const isConfirmed = ({ outcome }: SiteOutcome) => outcome === 'confirmed';
  const inOrder = [...outcomes.filter((one) => !isConfirmed(one)), ...outcomes.filter(isConfirmed)];
  const sites = firstWithin(inOrder, SEALED_ROOM);
  // Those that are not named have their rows in the registry.
  return { counts, sites, unnamed: outcomes.length - sites.length };
}

function firstWithin(outcomes: SiteOutcome[], room: number): SiteOutcome[] {
  let left = room;
  const end = outcomes.findIndex((outcome) => (left -= JSON.stringify(outcome).length + 1) < 0);
  return end === -1 ? outcomes : outcomes.slice(0, end);
}
