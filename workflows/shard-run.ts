/** What a shard knows while it runs. */
import { getExternalWorkflowHandle, log, workflowInfo, type CancellationScope } from '@temporalio/workflow';
import type { IssuedCommand } from '../activities/contract.js';
import type { Settled } from '../policies/model/command.js';
import type { OutlineSite, ShardInput } from '../policies/model/outline.js';
import type { SiteOutcome } from '../policies/model/rollout.js';
import { siteOutcomesSignal, type CommandedSite, type ShardNews } from './messages.js';

export interface ShardRun {
  input: ShardInput;
  /** Not signed yet, in the order of the plan. */
  pending: OutlineSite[];
  /** Signed, not scheduled. */
  issued: IssuedCommand[];
  inSlot: number;
  /** Sites that did not start in time: scheduled again, without a slot. */
  withoutSlot: Set<string>;
  observing: Map<string, CancellationScope>;
  commanded: CommandedSite[];
  outcomes: Map<string, SiteOutcome>;
  unrecorded: Settled[];
  unrecordedDispositions: { site: string; commandId: string; outcome: SiteOutcome }[];
  stopped: boolean;
  held: boolean;
  closing: boolean;
}

export function openShardRun(input: ShardInput): ShardRun {
  return {
    input,
    pending: [...input.sites],
    issued: [],
    inSlot: 0,
    withoutSlot: new Set(),
    observing: new Map(),
    commanded: [],
    outcomes: new Map(),
    unrecorded: [],
    unrecordedDispositions: [],
    stopped: false,
    held: false,
    closing: false,
  };
}

export function isFinished(run: ShardRun): boolean {
  return run.outcomes.size === run.input.sites.length;
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
