/** What a shard knows while it runs, what it tells its rollout, and what it hands to its next run. */
import { getExternalWorkflowHandle, log, workflowInfo, type CancellationScope } from '@temporalio/workflow';
import type { DeferredCommand, IssuedCommand } from '../activities/contract.js';
import type { Settled } from '../policies/model/command.js';
import { commandIdOf } from '../policies/model/command-id.js';
import type { LinkClass } from '../policies/model/fleet.js';
import type { OutlineSite, ShardInput } from '../policies/model/outline.js';
import type { SiteOutcome, SiteOutcomeWord } from '../policies/model/rollout.js';
import {
  siteOutcomesSignal,
  type CarriedShard,
  type CommandedSite,
  type Deferral,
  type Flight,
  type Refusal,
  type ShardNews,
} from './messages.js';

export interface ShardRun {
  input: ShardInput;
  sites: Map<string, OutlineSite>;
  /** Not signed yet, in the order of the plan. */
  pending: OutlineSite[];
  /** May not be commanded now. */
  deferred: Map<string, Deferral>;
  /** Reverts that the agent did not take in; kept until it answers. */
  refused: Map<string, Refusal>;
  /** Said to be retired: asked about, then given up. */
  retiring: Set<string>;
  /** Said to be frozen, held or the like: asked about, then their commands are withdrawn. */
  withdrawing: Set<string>;
  /** In flight, and called off: what ends the flight says whether an agent has begun it. */
  calledOff: Map<string, DeferredCommand>;
  /** Their agents may have begun a command, although Temporal takes it for one that was never started. */
  unsure: Set<string>;
  /** A page is being signed: what comes of it is not known yet. */
  signing: boolean;
  /** Signed, not scheduled. */
  issued: IssuedCommand[];
  inFlight: Map<string, Flight>;
  inSlot: number;
  observing: Map<string, CancellationScope>;
  commanded: Map<string, CommandedSite>;
  outcomes: Map<string, SiteOutcome>;
  /** Sites whose failure the rollout has been told of and has not answered. */
  unheard: Set<string>;
  unrecorded: Settled[];
  unrecordedDispositions: { site: string; commandId: string; outcome: SiteOutcome }[];
  stopped: boolean;
  /** What is in flight is let go of. */
  cancelled: boolean;
  held: boolean;
  closing: boolean;
  continueAfterEvents: number;
}

export function openShardRun(input: ShardInput, carried?: CarriedShard | null): ShardRun {
  const sites = new Map(input.sites.map((site) => [site.id, site]));
  const pending = carried ? carried.pending.flatMap((id) => sites.get(id) ?? []) : [...input.sites];
  return {
    input,
    sites,
    pending,
    deferred: new Map((carried?.deferred ?? []).map((one) => [one.site, one])),
    refused: new Map((carried?.refused ?? []).map((one) => [one.site, one])),
    retiring: new Set(carried?.retiring ?? []),
    withdrawing: new Set(carried?.withdrawing ?? []),
    calledOff: new Map(),
    unsure: new Set([...(carried?.unsure ?? []), ...(carried?.inFlight ?? []).map(({ command }) => command.site)]),
    signing: false,
    issued: [],
    inFlight: new Map(),
    inSlot: 0,
    observing: new Map(),
    commanded: new Map((carried?.commanded ?? []).map((one) => [one.site, one])),
    outcomes: new Map((carried?.outcomes ?? []).map((one) => [one.site, one])),
    unheard: new Set(carried?.unheard ?? []),
    unrecorded: [],
    unrecordedDispositions: [],
    stopped: carried?.stopped ?? false,
    cancelled: false,
    held: carried?.held ?? false,
    closing: false,
    continueAfterEvents: carried?.continueAfterEvents ?? 4_096,
  };
}

/** Only once everything is recorded. Signed commands that were never scheduled are signed anew. */
export function carriedOf(run: ShardRun): CarriedShard {
  return {
    pending: [...run.issued.map((command) => command.site), ...run.pending.map((site) => site.id)],
    deferred: [...run.deferred.values()],
    refused: [...run.refused.values()],
    retiring: [...run.retiring],
    withdrawing: [...run.withdrawing, ...run.calledOff.keys()],
    unsure: [...run.unsure],
    inFlight: [...run.inFlight.values()],
    commanded: [...run.commanded.values()],
    outcomes: [...run.outcomes.values()],
    unheard: [...run.unheard],
    stopped: run.stopped,
    held: run.held,
    continueAfterEvents: run.continueAfterEvents,
  };
}

export function isFinished(run: ShardRun): boolean {
  return run.outcomes.size === run.input.sites.length;
}

export function tryFor(run: ShardRun, site: string): number {
  return run.input.tries?.[site] ?? run.input.try;
}

/** A disposition of a site of this shard. */
export function dispositionOf(run: ShardRun, site: string, outcome: SiteOutcomeWord): SiteOutcome {
  const { stage, wave } = run.input;
  const number = tryFor(run, site);
  return { site, outcome, stage, wave, ...(number > 1 ? { try: number } : {}) };
}

/** The disposition goes to the registry under the id that the site's command has, issued or not. */
export function recordDisposition(run: ShardRun, outcome: SiteOutcome): void {
  const { firstRunId, release, verb } = run.input;
  const { site } = outcome;
  const commandId = commandIdOf({ firstRunId, site, stream: release.stream, verb, try: tryFor(run, site) });
  run.unrecordedDispositions.push({ site, commandId, outcome });
}

export function linkOf(run: ShardRun, id: string): LinkClass {
  const name = run.sites.get(id)?.link;
  const link = name === undefined ? undefined : run.input.links[name];
  if (!link) throw new TypeError(`site ${id} of shard ${workflowInfo().workflowId} has no link class`);
  return link;
}

/** News for the rollout. It may be sealed already (an owed revert outlives it): then the registry alone is told. */
export function tellRollout(run: ShardRun, news: Pick<ShardNews, 'outcomes' | 'answers' | 'stopped'>): void {
  getExternalWorkflowHandle(run.input.workflowId)
    .signal(siteOutcomesSignal, {
      firstRunId: run.input.firstRunId,
      shard: workflowInfo().workflowId,
      verb: run.input.verb,
      ...news,
    })
    .catch((error: unknown) => log.info('the rollout could not be told', { error: String(error) }));
}
