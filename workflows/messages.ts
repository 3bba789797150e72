/** Every update, signal and query, with the words that the Temporal UI shows. Names are contract. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { SiteEvent, SiteReport } from '../policies/model/report.js';
import type { Result } from '../policies/model/command.js';
import type { RolloutStatus, RolloutVerb, SiteOutcome, VerbAnswer } from '../policies/model/rollout.js';

const EXAMPLE = '{"by": "your name", "reason": "why"}';

export const VERB_DESCRIPTIONS: Record<RolloutVerb, string> = {
  pause: `No new command and no promotion; what is in flight settles. ${EXAMPLE}`,
  resume: `Goes on after a pause. ${EXAMPLE}`,
  promote: `Ends a wait; against a failed verdict it needs "override": true. ${EXAMPLE}`,
  abort: `No new command; sites commanded and not confirmed are reverted, confirmed ones stay. ${EXAMPLE}`,
  revert: `Abort, and every site that was commanded is reverted. ${EXAMPLE}`,
};

export const verbUpdates = {
  pause: defineUpdate<VerbAnswer, [unknown]>('pause'),
  resume: defineUpdate<VerbAnswer, [unknown]>('resume'),
  promote: defineUpdate<VerbAnswer, [unknown]>('promote'),
  abort: defineUpdate<VerbAnswer, [unknown]>('abort'),
  revert: defineUpdate<VerbAnswer, [unknown]>('revert'),
} as const;

export const verbSignals = {
  pause: defineSignal<[unknown]>('pause'),
  resume: defineSignal<[unknown]>('resume'),
  promote: defineSignal<[unknown]>('promote'),
  abort: defineSignal<[unknown]>('abort'),
  revert: defineSignal<[unknown]>('revert'),
} as const;

export const statusQuery = defineQuery<RolloutStatus | null>('status');

/** Shard → rollout: outcomes as they come (never `confirmed` ones before the shard ends), or answers of a revert. */
export const siteOutcomesSignal = defineSignal<[ShardNews]>('siteOutcomes');
/** Inbox → rollout: what reached the centre with no observer attached. */
export const lateNewsSignal = defineSignal<[Pick<ShardNews, 'firstRunId' | 'outcomes' | 'answers'>]>('lateNews');
/** Rollout → shard: schedule nothing more, give up what never started, and say which sites were commanded. */
export const stopSignal = defineSignal('stop');
/** Rollout → shard: no new command until `goOn`. */
export const holdSignal = defineSignal('hold');
export const goOnSignal = defineSignal('goOn');

export interface ShardNews {
  /** Of the rollout that this is about. */
  firstRunId: string;
  /** Workflow id of the shard. */
  shard: string;
  verb: 'converge' | 'revert';
  outcomes: SiteOutcome[];
  /** Answers to a revert, as journaled. */
  answers?: Result[];
  /** Once stopped: every site for which a command was ever scheduled. */
  stopped?: { commanded: CommandedSite[] };
}

/** A site for which a converge was scheduled, and the instant past which it does not begin to switch (epoch ms). */
export interface CommandedSite {
  site: string;
  switchBy: number;
}

/** How a shard ends: an outcome for each of its sites. */
export interface ShardEnd {
  outcomes: SiteOutcome[];
  commanded: CommandedSite[];
}

/** Site → inbox. */
export const deliverSignal = defineSignal<[{ report: SiteReport; events: SiteEvent[] }]>('deliver');
