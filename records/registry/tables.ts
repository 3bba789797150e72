/** The tables of the registry, as the query builder sees them. Times are epoch ms; JSON is text. */
import type { Kysely, Transaction } from 'kysely';
import type { IdentityTables } from './identity-tables.js';
import type { Verb } from '../../policies/model/command.js';

export type Db = Kysely<Tables>;
/** What a write needs: it can be had only inside a transaction. */
export type Tx = Transaction<Tables>;

export interface Tables extends IdentityTables {
  foothold_schema: { version: number; name: string; applied_at: number };
  /** Who took the worker's lock last: only meaningful while the lock is held. */
  worker: { id: number; owner: string; since: number };

  documents: { kind: string; name: string; digest: string; body: string };
  /** The latest import of each name. */
  document_names: { kind: string; name: string; digest: string; imported_at: number };

  plans: { digest: string; body: string; frozen_at: number };
  streams: { stream: string; next_generation: number };
  rollouts: RolloutRow;
  runs: { first_run_id: string; continuation: number; run_id: string };
  findings: { first_run_id: string; body: string };

  commands: CommandRow;
  reports: {
    site: string;
    epoch: number;
    sequence: number;
    at: number;
    received_at: number;
    body: string;
    /** Of the body, ready to be compared; null in rows of before, until they are filled. */
    versions: string | null;
  };
  /** One a stream that the latest report of a site tells of. */
  reported: ReportedRow;
  site_events: SiteEventRow;
  /** `contiguous`: the last sequence without a gap before it. */
  site_outbox: SiteOutboxRow;
  site_gaps: SiteGapRow;
  site_lanes: SiteLaneRow;
  site_epochs: { site: string; epoch: number; contiguous: number };
  site_anomalies: {
    site: string;
    epoch: number;
    sequence: number;
    kind: string;
    /** Tells two conflicts at one sequence apart. */
    hash: string;
    detail: string;
    at: number;
  };

  blocks: { stream: string; digest: string; version: string; rollout: string; at: number };
  allowances: { stream: string; digest: string; site: string; at: number; by: string; reason: string };
  samples: {
    first_run_id: string;
    stage: string;
    wave: number;
    metric: string;
    scheduled_at: number;
    body: string;
  };

  evidence: {
    first_run_id: string;
    sequence: number;
    run_id: string;
    activity_id: string;
    /** Which entry of which call of the activity: what makes a retry repeat it. */
    slot: string;
    kind: string;
    body: string;
    /** Null in entries of before, until they are filled. */
    at: number | null;
    /** The site that it tells of, if it is one; the person who did it, if one did. */
    site: string | null;
    who: string | null;
  };
  evidence_heads: { first_run_id: string; sequence: number; hash: string; at: number };

  debts: DebtRow;
  /** The highest converge of a stream that a site is known to have confirmed, or to have gone beyond. */
  converged: { stream: string; site: string; generation: number };
  desired: DesiredRow;
  /** What a site of which no plan has spoken should run. */
  stream_desired: Omit<DesiredRow, 'site' | 'stage'>;
  /** One a site of a rollout that was commanded or has a disposition: what `commands` make of it, ready to be counted. */
  standings: StandingRow;
  freezes: FreezeRow;
  site_holds: SiteHoldRow;
  counters: { name: string; value: number };
}

/** What a report says of a stream, as far as it decides whether the site runs what it should. */
export interface ReportedRow {
  site: string;
  stream: string;
  state: string;
  /** Of what is live; null: nothing is. */
  digest: string | null;
  generation: number;
  /** 1: the report says of it what a person should know. */
  noted: number;
}

/** Debts that a newer one of the site hides stay: they show again if the newer rollout is not promoted. */
export interface DebtRow {
  stream: string;
  site: string;
  verb: Verb;
  first_run_id: string;
  stage: string;
  wave: number;
  generation: number;
  try: number;
  command_id: string | null;
  carrier: string | null;
  owner: string;
  reason: string;
  since: number;
  /** As in `commands`. */
  state: string | null;
  until: number | null;
}

/** One a rollout that has spoken of the site; the highest generation counts. */
export interface DesiredRow {
  stream: string;
  site: string;
  first_run_id: string;
  label: string;
  generation: number;
  version: string;
  digest: string;
  plan_digest: string;
  stage: string | null;
  since: number;
}

export interface StandingRow {
  first_run_id: string;
  site: string;
  stage: string;
  wave: number;
  /** `unsettled` while no command has an outcome. */
  outcome: string;
  /** The lower, the sooner a person should look. */
  rank: number;
  /** 1: a later command of the rollout has no outcome yet. */
  pending: number;
}

export interface SiteHoldRow {
  number: number;
  site: string;
  /** Empty: every stream. */
  stream: string;
  /** Null: until it is lifted. */
  until: number | null;
  by: string;
  reason: string;
  at: number;
  lifted_at: number | null;
  lifted_by: string | null;
  lifted_reason: string | null;
}

export interface FreezeRow {
  number: number;
  /** Canonical JSON of the selector; empty: every site. */
  only: string;
  until: number;
  by: string;
  reason: string;
  at: number;
  lifted_at: number | null;
  lifted_by: string | null;
  lifted_reason: string | null;
}

/** `attempt` 0: has a status, but no plan was frozen. */
export interface RolloutRow {
  first_run_id: string;
  workflow_id: string;
  label: string;
  stream: string;
  version: string;
  attempt: number;
  generation: number;
  plan_digest: string;
  started_at: number;
  updated_at: number;
  sealed: number;
  status: string | null;
  /** Of the release; null in rows of before there were debts, until they are filled. */
  digest: string | null;
  /** A catch-up batch: first run id of the rollout that it belongs to. */
  catch_up_of: string | null;
  /** 1: its plan was narrowed by `only`. */
  narrowed: number | null;
  /** The outcome that it was handed over with; null before. */
  handed_outcome: string | null;
  /** JSON: the answer of handing over. */
  handed_over: string | null;
  /** The namespace of Temporal that it runs in; null where nobody has said. */
  namespace: string | null;
  /** Another one of the same name, of a database of Temporal that was made anew, has another id. */
  namespace_id: string | null;
}

export interface CommandRow {
  first_run_id: string;
  site: string;
  command_id: string;
  verb: Verb;
  try: number;
  stage: string;
  wave: number;
  switch_by: number | null;
  /** Null: it was never scheduled (a site left untouched). */
  scheduled_at: number | null;
  /** Null: nothing recorded; empty: never received. */
  state: string | null;
  /** The first and final result. */
  result: string | null;
  /** A local revert after the result. */
  later: string | null;
  disposition: string | null;
  recorded_at: number;
  carrier: string | null;
}

/** Samples and log lines of a site, as it sent them. */
export interface SiteOutboxRow {
  site: string;
  epoch: number;
  priority: string;
  sequence: number;
  hash: string;
  recorded_at: number;
  body: string;
}

/** Entries that a site dropped before they could be recorded: from its journal. */
export interface SiteGapRow {
  site: string;
  epoch: number;
  priority: string;
  first: number;
  last: number;
  count: number;
  previous: string;
  hash: string;
}

/** Up to where nothing of the outbox is missing but what a gap spans. */
export interface SiteLaneRow {
  site: string;
  epoch: number;
  priority: string;
  contiguous: number;
  hash: string;
}

export interface SiteEventRow {
  site: string;
  epoch: number;
  sequence: number;
  hash: string;
  at: number;
  command_id: string | null;
  recorded_at: number;
  /** 1: it changed the outcome of a site, and no observer tells the rollout. */
  tells: number;
  /** The delivery that told the rollout. */
  told_by: string | null;
  body: string;
}
