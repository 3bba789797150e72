/** What a site says of itself: its report and the events of its journal (design §4, §5). */
import type { Result, SiteState } from './command.js';
import type { SignedToken } from './enrolment.js';

/** A release as a site holds it. */
export interface HeldRelease {
  version: string;
  digest: string;
  confirmedAt?: number;
}

export interface StreamReport {
  state: SiteState;
  live?: HeldRelease;
  /** What an undo of the live (or pending) release goes back to. */
  lkg?: HeldRelease;
  /** Being brought in by an unfinished command. */
  pending?: HeldRelease;
  /** Highest (generation, try) ever accepted: the floor below which commands are `STALE`. */
  generation: number;
  try: number;
  checks: { name: string; need: 'required' | 'wanted'; healthy: boolean; detail: string }[];
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
  /** Kept releases that read back differently and could not be made anew. `live`: it is in use. */
  damaged: { stream: string; version: string; digest: string; live: boolean }[];
}

export type SiteEventKind =
  | 'started'
  | 'adopted'
  | 'accepted'
  | 'staged'
  | 'switching'
  | 'watching'
  | 'confirmed'
  | 'rejected'
  | 'reverting'
  | 'reverted'
  | 'superseded'
  | 'safe-mode'
  | 'allowed'
  | 'enrolled'
  | 'keys-adopted'
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
