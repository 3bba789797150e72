/** What the site's database holds. Times are epoch ms unless they say elapsed. */
import type { StoredTrial } from '../../policies/site/decide-boot.js';
import type { Acceptance } from '../../policies/site/decide-command.js';
import type { Stranded } from '../../policies/site/decide-undo-again.js';
import type { Cause, Command, Envelope, Result, SiteState } from '../../policies/model/command.js';
import type { Prefetch } from '../../policies/model/prefetch.js';
import type { Release } from '../../policies/model/release.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { Mark } from '../../policies/site/elapsed.js';
import type { UndoPoint } from '../drivers/driver.js';

/** One stream: its state, its floor, and what is under way. */
export interface StreamRow {
  stream: string;
  state: SiteState;
  /** Highest (generation, try) accepted. */
  generation: number;
  try: number;
  /** The command under way. */
  commandId?: string;
  /** Accepted and waiting for the command under way to end. */
  queuedId?: string;
  /** The program `before` was begun, so `after` is owed even if nothing is switched. */
  beforeBegun?: boolean;
  /** Held for the command under way, staged and not switched to. */
  stagedId?: number;
  trial?: Trial;
  /** Since an undo that was not verified; only a person at the site takes it away. */
  safeMode?: { at: number; reason: Reason };
}

/** From the durable switch until confirmed or undone; also while a confirmed release is being undone. */
export interface Trial extends StoredTrial {
  releaseId: number;
  /** What an undo goes back to; absent only for a very first release. */
  lkgId?: number;
  /** The converge that switched. */
  commandId?: string;
  undo?: Undo;
  /** In safe mode, with something to go back to. */
  stranded?: Stranded;
}

/** Why a release is undone. `commandId` is set if a revert command asked; `by` names a person. */
export interface Undo {
  cause: Cause;
  reason: Reason;
  begunAt: number;
  commandId?: string;
  by?: string;
}

export interface CommandRow extends Acceptance {
  command: Command;
  envelope: Envelope;
  result?: Result;
  /** A local undo after this command was confirmed. The result above stays final for its id. */
  later?: Result;
}

/** A release as it lies on disk: rendered for this site, every tree verified when it was made. */
export interface HeldRow {
  id: number;
  stream: string;
  version: string;
  digest: string;
  varsDigest: string;
  release: Release;
  /** Directory below `releases/` in the data directory, one sub-directory a component. */
  root: string;
  /** Tree digest by component name. */
  trees: Record<string, string>;
  /** What going back from this release needs, by component; set when its switch is made durable. */
  undo: Record<string, UndoPoint>;
  adopted: boolean;
  /** The converge that switched to it; its rollout may undo it. Absent: adopted, or switched by an agent that did not note it. */
  switchedBy?: string;
  /** Who has answered which `person` check of this trial. */
  answers?: Record<string, string>;
  confirmedAt?: number;
  /** Since a trial confirmed it: its checks go on for `watchFor`. Absent for what was adopted. */
  confirmed?: Mark;
  /** An undo went back to it, and its required checks have not all been healthy since. `told`: those whose failure was told. */
  doubted?: { told: string[] };
}

/** A wish for files that was taken. */
export interface PrefetchRow {
  wish: Prefetch;
  takenAt: number;
  /** When all of them were there. */
  fetchedAt?: number;
}

export interface QuarantineRow {
  stream: string;
  digest: string;
  version: string;
  code: string;
  at: number;
}

/** A plain directory at a target that is being replaced by a symlink: repaired at boot if it was cut short. */
export interface ConversionRow {
  /** This and `tree` are absent in rows of agents that did not compare what they had moved. */
  stream?: string;
  target: string;
  /** Where the plain directory is moved, beside the target. */
  aside: string;
  /** What the symlink at the target will point at. */
  link: string;
  /** Digest of the copy there. */
  tree?: string;
  /** The symlink was made, or a switch has put another in its place: only what was moved aside is to be looked through. */
  converted?: true;
}
