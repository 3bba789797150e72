/** What sites should run and still owe, whose it is, and what freezes hold. */
import type { CentralHold } from '../../policies/model/hold.js';
import type { Commanded } from '../../policies/catch-up/owed-site.js';
import type { Verb } from '../../policies/model/command.js';
import type { Debt, Desired, Freeze, HandedOver } from '../../policies/model/debt.js';
import type { RolloutOutcome, RolloutStatus } from '../../policies/model/rollout.js';
import type { Selector } from '../../policies/model/strategy.js';
import type { Namespace } from './known-rollouts.js';

/** `status`: absent while it has told nothing. `namespace`: absent where nobody has said in which one it runs. */
export interface UnsealedRollout {
  firstRunId: string;
  workflowId: string;
  label: string;
  stream: string;
  release: { version: string; digest: string };
  planDigest: string;
  generation: number;
  startedAt: number;
  namespace?: Namespace;
  status?: RolloutStatus;
  /** A batch of the reconciler: the first run id of the rollout whose decision it brings. */
  catchUpOf?: string;
}

/** `carrier`: workflow id of its shard. */
export interface OpenConverge {
  firstRunId: string;
  stream: string;
  planDigest: string;
  site: string;
  commandId: string;
  switchBy: number;
  carrier: string;
}

export interface KnownDebts {
  /**
   * Debts, owed reverts first, then the oldest. Opened where commands and dispositions are recorded (a revert when it is
   * commanded, a converge when it is owed or deferred), closed by the result, wherever that comes from.
   */
  debts(filter?: {
    stream?: string;
    site?: string;
    /** At most 500. */
    sites?: string[];
    owner?: string;
    verb?: Verb;
    firstRunId?: string;
    limit?: number;
  }): Promise<Debt[]>;
  /** Reverts that retired sites owed, until it is recorded that they were given up: `debts` shows none of them. */
  retiredReverts(): Promise<Debt[]>;
  /** How many are open, by stream and verb: counted by the database. */
  debtTotals(): Promise<{ stream: string; verb: Verb; owner: string; count: number }[]>;
  /**
   * Sealing, by compare-and-set on the owner, in one transaction with `desired`. *promoted*: sites that were
   * commanded and have not answered owe the release from here on, converge debts pass to `catchUp`, and every site of the
   * plan should run the release (a plan without `only` sets it for the whole stream, so that new sites get it). Any other
   * outcome: converge debts are cancelled, and the sites that confirmed and were sent no revert keep what they have as
   * desired, also those that confirm only later. Owed reverts always pass. A catch-up batch leaves what is desired as it is. *halted* is no seal and changes nothing. Repeating it changes nothing and gives the
   * same answer, until the rollout goes on after all: by `adoptRun`, or by a status that is not sealed. Throws MistakeError `ROLLOUT_NOT_FOUND`.
   */
  handOver(firstRunId: string, outcome: RolloutOutcome, now: number): Promise<HandedOver>;
  /** By site: the later of its own and the stream's. Sites for which nothing was ever decided are absent. */
  desired(stream: string, sites: string[]): Promise<Map<string, Desired>>;
  /** What a site of which no plan has spoken should run: by the latest promoted rollout without `only`. */
  streamDesired(stream: string): Promise<Omit<Desired, 'site'> | undefined>;
  /** Streams for which anything is desired. */
  desiredStreams(): Promise<string[]>;
  /**
   * The site is known to have gone beyond what the registry knows (it was restored to an earlier point): what it reports
   * becomes what it should run, and the stream's generation is raised above its own. Never the reverse.
   */
  adoptLive(
    site: string,
    stream: string,
    live: { version: string; digest: string },
    generation: number,
    now: number,
  ): Promise<void>;
  /**
   * Every rollout that is not sealed or has not been handed over, oldest first; also one whose plan is frozen and that
   * has told nothing yet.
   */
  unsealedRollouts(): Promise<UnsealedRollout[]>;
  /** Its workflow was found in this namespace. One that is known already stays. */
  placeRollout(firstRunId: string, namespace: Namespace): Promise<void>;
  /** The latest catch-up batch that brought what the rollout `of` (its first run id) had decided. */
  latestBatch(of: string): Promise<RolloutStatus | undefined>;
  /**
   * Commands that were scheduled, over all rollouts of the stream, in that order. Without `sites`: to every site, which
   * with many rollouts is a long answer; name the `version` then.
   */
  commandsOf(stream: string, filter: { sites?: string[]; version?: string }): Promise<Commanded[]>;
  /** Commands of rollouts that are not sealed, that may still be begun at `now`: without a result, whatever their disposition. */
  openConverges(now: number): Promise<OpenConverge[]>;
  /** Returns it with its id. */
  putFreeze(freeze: Omit<Freeze, 'id' | 'lifted'>): Promise<Freeze>;
  /** Lifts those whose `only` is the same (absent: those without one); returns them. */
  liftFreezes(only: Selector | undefined, lifted: { at: number; by: string; reason: string }): Promise<Freeze[]>;
  /** In force at `now`. */
  freezes(now: number): Promise<Freeze[]>;
  /** Returns it with its id. The hold of the same site and stream that is in force ends with it. */
  putHold(hold: Omit<CentralHold, 'id' | 'lifted'>): Promise<CentralHold>;
  /** Lifts that of the same stream (absent: that of every stream); returns what it lifted. */
  liftHolds(
    site: string,
    stream: string | undefined,
    lifted: { at: number; by: string; reason: string },
  ): Promise<CentralHold[]>;
  /** In force at `now`, of every site. */
  holds(now: number): Promise<CentralHold[]>;
}
