/** What shards and inbox tell of sites, taken into what the rollout knows; idempotent. */
import { CancellationScope, condition, log, sleep } from '@temporalio/workflow';
import type { Result } from '../policies/model/command.js';
import type { PlanOutline } from '../policies/model/outline.js';
import type { SiteOutcome } from '../policies/model/rollout.js';
import { tallyOf } from '../policies/rollout/budget.js';
import { readCommanded, readNews } from '../policies/rollout/news.js';
import { mergeOutcome, outcomeOf, repeatedResult } from '../policies/rollout/outcomes.js';
import {
  asHeard,
  countWatched,
  isUplinkLoss,
  TOGETHER_WITHIN_MS,
  wasLostTogether,
  type WatchedShard,
} from '../policies/rollout/uplink.js';
import { leavesRevertOwed } from '../policies/site/not-taken.js';
import type { ShardNews } from './messages.js';
import {
  failingStages,
  isUplinkInDoubt,
  note,
  openConverges,
  undecidedUplinks,
  type OpenShard,
  type RolloutRun,
} from './rollout-run.js';

/** Returns in words what was wrong with it, if anything. */
export function takeNews(run: RolloutRun, input: unknown): string | undefined {
  const { firstRunId } = run.identity;
  const news = readNews(input, { firstRunId, placeOf: (site) => placeOf(run, site) });
  if ('refused' in news) return news.refused;
  for (const outcome of news.outcomes) takeOutcome(run, outcome);
  for (const answer of news.answers) takeAnswer(run, answer);
  const { shard } = input as Partial<ShardNews>;
  if (typeof shard !== 'string') return undefined;
  const open = run.shards.get(shard);
  const failed = news.outcomes.filter((outcome) => tallyOf(outcome) === 'failed').map(({ site }) => site);
  if (!open) {
    if (failed.length > 0) run.unheardEarly.set(shard, [...(run.unheardEarly.get(shard) ?? []), ...failed]);
    return undefined;
  }
  const commanded = readCommanded(input);
  if (commanded) open.commanded = commanded;
  open.unheard.push(...failed);
  return undefined;
}

/**
 * A shard that told of a failure commands nobody until it hears that the rollout goes on. Decided once everything of a
 * workflow task is taken in, so that two failures told at once are judged together.
 */
export async function keepHearing(run: RolloutRun): Promise<void> {
  const waiting = () => [...run.shards.values()].filter((shard) => shard.unheard.length > 0);
  const goesOn = () =>
    run.stop === undefined && !run.wasReset && failingStages(run).length === 0 && !isUplinkInDoubt(run);
  for (;;) {
    await condition(() => waiting().length > 0 && goesOn());
    for (const shard of waiting()) {
      const sites = shard.unheard.splice(0);
      if (shard.closed) continue;
      shard.hear(sites).catch((error: unknown) => log.info('a shard has closed', { error: String(error) }));
    }
  }
}

export function takeOutcome(run: RolloutRun, outcome: SiteOutcome): void {
  const known = run.outcomes.get(outcome.site);
  const merged = mergeOutcome(known, outcome);
  if (merged === known) return;
  run.outcomes.set(outcome.site, merged === outcome ? asHeard(merged) : merged);
  run.judged += 1;
  run.dirty = true;
  if (isUplinkLoss(merged)) void decideUplink(run);
}

/** Once for all that are heard of within a minute. An undo for a lost uplink that a restart finds is decided anew. */
async function decideUplink(run: RolloutRun): Promise<void> {
  if (run.decidingUplink) return;
  run.decidingUplink = true;
  // At the first: a shard that closes within the minute leaves none in flight, and those of it that confirmed were watched.
  const atFirst = watchedNow(run);
  await CancellationScope.nonCancellable(() => sleep(TOGETHER_WITHIN_MS));
  const undecided = undecidedUplinks(run);
  const watched = Math.max(atFirst, watchedNow(run));
  const together = wasLostTogether(undecided.length, watched);
  const sites = undecided.map(({ site }) => site).sort();
  for (const { uplink: _, ...counted } of undecided) {
    run.outcomes.set(counted.site, together ? { ...counted, uplink: 'together' } : counted);
  }
  run.decidingUplink = false;
  run.judged += 1;
  note(run, 'uplink', { sites, watched, together });
}

function watchedNow(run: RolloutRun): number {
  const shards = openConverges(run).map((open) => watchedShard(run, open));
  return countWatched(shards, undecidedUplinks(run).length);
}

function watchedShard(run: RolloutRun, { input }: OpenShard): WatchedShard {
  const outcomes = input.sites.map(({ id }) => run.outcomes.get(id));
  const isUnknown = (one: SiteOutcome | undefined) => one === undefined || one.outcome === 'untouched';
  return {
    lost: outcomes.filter((one) => one?.uplink === 'undecided').length,
    unknown: outcomes.filter(isUnknown).length,
    concurrency: input.concurrency,
  };
}

/** A revert's answer repeats the result of the converge: a local revert is counted, whoever brings the news. */
function takeAnswer(run: RolloutRun, answer: Result): void {
  if (leavesRevertOwed(answer)) return;
  run.answers.set(answer.site, answer);
  const repeated = repeatedResult(answer);
  const place = repeated && placeOf(run, repeated.site);
  if (repeated && place) takeOutcome(run, outcomeOf(repeated, place.stage, place.wave));
  run.dirty = true;
}

export interface Place {
  stage: string;
  wave: number;
}

/** Where the plan has a site: from an index that is made once. */
export function placeOf(run: RolloutRun, site: string): Place | undefined {
  if (run.outline && !run.places) run.places = placesOf(run.outline);
  return run.places?.get(site);
}

function placesOf(outline: PlanOutline): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const { name, waves } of outline.stages) {
    for (const [wave, { sites }] of waves.entries()) {
      for (const { id } of sites) places.set(id, { stage: name, wave });
    }
  }
  return places;
}
