/** What a site says of itself: its report and the events of its journal (design §4, §5). */
import type { Result, SiteState } from './command.js';
import type { SignedToken } from './enrolment.js';
import type { Reason } from './verdict.js';

/** A release as a site holds it. */
export interface HeldRelease {
  version: string;
  digest: string;
  confirmedAt?: number;
}

/** A hold as the site keeps it: a person's word that nothing new is to be switched there. */
export interface SiteHold {
  /** Absent: every stream. */
  stream?: string;
  by: string;
  reason: string;
  at: number;
  /** As the person wrote it. */
  until?: number;
  /** Ms that are left, by elapsed time: a site's clock may be wrong. Absent: until it is lifted. */
  endsIn?: number;
}

export type DriftKind = 'added' | 'changed' | 'removed' | 'mode';

/** One path below a target that is not as the release has it; an `exec` component as a whole has the path `.`. */
export interface DriftedPath {
  component: string;
  path: string;
  kind: DriftKind;
  /** Short, for people: what is there against what should be. */
  detail: string;
  /** What the release says is to be done about it. */
  policy: 'alert' | 'repair' | 'accept';
}

/** What was live when it was last compared with a release. Times in epoch ms. */
export interface DriftReport {
  /** What it was compared with: the confirmed release, or one that an observing agent was shown. */
  against: { version: string; digest: string };
  /** When it was last compared. */
  at: number;
  /** When a difference was first seen; absent: there is none that is not accepted. */
  since?: number;
  paths: DriftedPath[];
  /** Paths in all, where `paths` are only the first of them. */
  total: number;
  /** Why it was not put back, where the release says `repair`. */
  repair?: { at: number; result: 'repaired' | 'waits' | 'failed'; why: string };
  /** What could not be compared, and why. */
  unknown?: string;
  /** Only from an observing agent: whether what is live could be adopted. `unknown`: only the program `save` could tell. */
  adoptable?: 'yes' | 'no' | 'unknown';
}

export interface CheckReport {
  name: string;
  need: 'required' | 'wanted';
  healthy: boolean;
  /** The last sample could not be judged. */
  inconclusive?: true;
  detail: string;
  /** When it was sampled last, epoch ms, where the release is watched no longer. Agents of before never say it. */
  sampledAt?: number;
}

export interface StreamReport {
  state: SiteState;
  /** The site is in safe mode for this stream until a person there says otherwise, whatever `state` has become since. */
  safeMode?: {
    at: number;
    reason: Reason;
    /** Ms until the site makes the undo that failed again; absent: it tries nothing more by itself. */
    undoAgainIn?: number;
  };
  drift?: DriftReport;
  live?: HeldRelease;
  /** What an undo of the live (or pending) release goes back to. */
  lkg?: HeldRelease;
  /** Being brought in by an unfinished command. */
  pending?: HeldRelease;
  /** Fetched ahead of its converge; `whole`: every file is there. */
  prefetched?: { version: string; digest: string; whole: boolean };
  /** Highest (generation, try) ever accepted: the floor below which commands are `STALE`. */
  generation: number;
  try: number;
  /** The last samples of what is live. */
  checks: CheckReport[];
  /** Why a staged release is not switched to yet. */
  waits?: Reason;
}

export interface SiteReport {
  site: string;
  /** Times in epoch ms by the site's clock. */
  at: number;
  epoch: number;
  /** Sequence of the last journaled event of this epoch. */
  sequence: number;
  agentVersion: string;
  streams: Record<string, StreamReport>;
  versions: Record<string, string>;
  quarantined: { stream: string; digest: string; version: string; code: string; at: number }[];
  /** Absent: none. */
  holds?: SiteHold[];
  /** The agent only looks: it refuses every converge and changes nothing. */
  observing?: true;
  /**
   * Highest sequence of this epoch that a command has acknowledged. Above what the centre has, it says that the events
   * between were told to a registry that was lost since, and will not be told again.
   */
  acked?: number;
  /** Hash of the event `sequence`: with it, the centre can tell one journal from another. */
  head?: string;
  /** What the site was enrolled with; absent for one that never was. */
  enrolment?: {
    tokenId: string;
    instance: string;
    /** As the centre signed it: what proves the epoch to a registry that was put back. Not kept there with the report. */
    token?: SignedToken;
  };
  /** Ids of the control keys that the site trusts, in order; version 0: those that its agent.yaml pins. */
  keyset?: { version: number; keys: string[] };
  storage?: StorageReport;
}

/** An error of the disk after which nothing is known to be durable: no converge is begun until a person ends it. */
export interface StorageFault {
  code: 'STORAGE_FAULT';
  detail: string;
  at: number;
}

export interface StorageReport {
  fault?: StorageFault;
  freeBytes: number;
  /** False: it was given up for an undo or a journal entry, or there is no room for it; nothing is staged meanwhile. */
  reserveWhole: boolean;
  /** When all that is kept was last read back. */
  scrubbedAt?: number;
  /**
   * Kept releases that read back differently and could not be made anew. `live`: it is in use. `undo`: not the release itself
   * is damaged, but what an undo of this component of it goes back to.
   */
  damaged: { stream: string; version: string; digest: string; live: boolean; undo?: string }[];
}

export type SiteEventKind =
  | 'started'
  | 'adopted'
  | 'moved-aside'
  | 'accepted'
  | 'prefetched'
  | 'staged'
  | 'switching'
  | 'watching'
  | 'answered'
  | 'confirmed'
  | 'rejected'
  | 'reverting'
  | 'reverted'
  | 'superseded'
  | 'safe-mode'
  | 'allowed'
  | 'enrolled'
  | 'keys-adopted'
  | 'held'
  | 'unheld'
  | 'safe-mode-left'
  | 'drifted'
  | 'repaired'
  | 'storage-fault'
  | 'storage-mended'
  | 'damage-found'
  | 'damage-healed'
  | 'scrubbed'
  | 'outbox-gap'
  | 'health';

/** One journaled event. `hash` is sha256 over the JCS form of all other fields; `previous` the hash before it. */
export interface SiteEvent {
  site: string;
  epoch: number;
  sequence: number;
  at: number;
  kind: SiteEventKind;
  stream?: string;
  commandId?: string;
  detail: Record<string, unknown>;
  /** On events that end a command. */
  result?: Result;
  previous: string;
  hash: string;
}
