/** Every update, signal and query, with the words that the Temporal UI shows. Names are contract. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { IssuedCommand } from '../activities/contract.js';
import type { Reason } from '../policies/model/verdict.js';
import type { Delivery } from '../policies/model/inbox.js';
import type { Result } from '../policies/model/command.js';
import type { MessageVerb, RolloutStatus, SiteOutcome, VerbAnswer } from '../policies/model/rollout.js';

const EXAMPLE = '{"by": "your name", "reason": "why"}';

export const VERB_DESCRIPTIONS: Record<MessageVerb, string> = {
  pause: `No new command and no promotion; what is in flight settles. ${EXAMPLE}`,
  resume: `Goes on after a pause. ${EXAMPLE}`,
  promote: `Ends a wait, or the time in which files travel; against a failed verdict it needs "override": true. ${EXAMPLE}`,
  abort: `No new command; sites commanded and not confirmed are reverted, confirmed ones stay. ${EXAMPLE}`,
  revert: `Abort, and every site that was commanded is reverted. ${EXAMPLE}`,
  retry: `While the rollout waits: sites that failed, were rejected or are owed are commanded again, all or "sites": ["id"]. ${EXAMPLE}`,
  supersede: `Ends without an undo, so that another rollout of the stream can begin. {"by": "your name", "reason": "why", "rollout": "who takes over", "leftOut": ["each site of this plan that the new one has not"]}; sent by start --supersede`,
};

export const verbUpdates = {
  pause: defineUpdate<VerbAnswer, [unknown]>('pause'),
  resume: defineUpdate<VerbAnswer, [unknown]>('resume'),
  promote: defineUpdate<VerbAnswer, [unknown]>('promote'),
  abort: defineUpdate<VerbAnswer, [unknown]>('abort'),
  revert: defineUpdate<VerbAnswer, [unknown]>('revert'),
  retry: defineUpdate<VerbAnswer, [unknown]>('retry'),
  supersede: defineUpdate<VerbAnswer, [unknown]>('supersede'),
} as const;

export const verbSignals = {
  pause: defineSignal<[unknown]>('pause'),
  resume: defineSignal<[unknown]>('resume'),
  promote: defineSignal<[unknown]>('promote'),
  abort: defineSignal<[unknown]>('abort'),
  revert: defineSignal<[unknown]>('revert'),
  retry: defineSignal<[unknown]>('retry'),
  supersede: defineSignal<[unknown]>('supersede'),
} as const;

export const statusQuery = defineQuery<RolloutStatus | null>('status');

/** Shard → rollout: outcomes as they come (never `confirmed` ones before the shard ends), or answers of a revert. */
export const siteOutcomesSignal = defineSignal<[ShardNews]>('siteOutcomes');
/** Inbox → rollout: what reached the centre with no observer attached. */
export const lateNewsSignal = defineSignal<[Pick<ShardNews, 'firstRunId' | 'outcomes' | 'answers'>]>('lateNews');
/** Sweeper → rollout: tell how you stand. A run that was reset finds out by telling. */
export const tellSignal = defineSignal('tell');
/** Rollout → shard: schedule nothing more, give up what never started, and say which sites were commanded. */
export const stopSignal = defineSignal('stop');
/** Rollout → shard: no new command until `goOn`. */
export const holdSignal = defineSignal('hold');
export const goOnSignal = defineSignal('goOn');
/**
 * Rollout → shard: these sites have failed, and the rollout need not stop for it. Until then the shard that told of them
 * commands nobody, so that nothing is scheduled once the budget is exceeded.
 */
export const heardSignal = defineSignal<[string[]]>('heard');

/**
 * Activities → shard of owed reverts: these sites were heard of. What their agents had refused is signed anew at once: who
 * speaks for a site may have become clear with that report.
 */
export const signAnewSignal = defineSignal<[unknown]>('signAnew');
/** Sweeper → shard of owed reverts: these sites are retired. Believed only once the registry says so too. */
export const retiredSignal = defineSignal<[unknown]>('retired');

/**
 * Activities → shard of converges: these sites may not be given anything new now. What no agent has begun is withdrawn,
 * once the registry says so too.
 */
export const withdrawSignal = defineSignal<[unknown]>('withdraw');

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

/** A command that was scheduled and has not ended. */
export interface Flight {
  command: IssuedCommand;
  /** False for sites that did not start in time: they are scheduled again, without a slot. */
  hasSlot: boolean;
  /** The agent was heard of having begun it: it is not withdrawn any more. */
  begun?: true;
}

/** What a shard hands to its next run. */
export interface CarriedShard {
  pending: string[];
  deferred: Deferral[];
  refused?: Refusal[];
  /** Said to be retired; the registry was not asked yet. */
  retiring?: string[];
  /** Said to be frozen, held or the like; the registry was not asked yet. */
  withdrawing?: string[];
  /** Their agents may have begun what they were sent by an earlier run, or before it was withdrawn. */
  unsure?: string[];
  /** Observed again by the next run, under the same command as signed. */
  inFlight: Flight[];
  commanded: CommandedSite[];
  outcomes: SiteOutcome[];
  unheard: string[];
  stopped: boolean;
  held: boolean;
  continueAfterEvents: number;
}

/** A site that may not be commanded now (design §2 "deferred"). Times in epoch ms. */
export interface Deferral {
  site: string;
  reason: Reason;
  until?: number;
  /** When it is asked for again, and how long after that if the answer is the same. */
  askAt: number;
  pause: number;
  /** Past it the outcome stays `deferred`. */
  settleBy: number;
  /** Among the pending ones, or being asked for. */
  asking: boolean;
}

/** A site whose agent did not take its revert in: signed anew and sent again. Times in epoch ms. */
export type Refusal = Pick<Deferral, 'site' | 'reason' | 'askAt' | 'pause' | 'asking'>;

/** Activities and people → catchUp: look again. `{ retry: [site] }`: a person wants these tried whatever the back-off says. */
export const wakeSignal = defineSignal<[unknown]>('wake');

/** Site → inbox, its own or the one of arrivals. */
export const deliverSignal = defineSignal<[Delivery]>('deliver');
