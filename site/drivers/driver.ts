/**
 * What a driver is. To add one: give its `type` a schema in policies/model/release.ts, write a file beside this one that
 * makes a SiteDriver, enter it in `openContext` of site/open-context.ts, and go on as docs/recipes/add-a-driver.md says.
 *
 * The rules a driver keeps, because the agent may be killed between any two instructions:
 * - every method can be repeated, and `revert` can be called when `activate` was never begun;
 * - nothing of the site changes in `stageUndo` and the probes;
 * - what `stageUndo` returns is enough to go back after a power cut: it is durable before it is returned;
 * - every program has a time limit; a failure is a WorldError that says what was run and how it ended.
 */
import type { Component } from '../../policies/model/release.js';
import type { Blobs } from '../files/blobs.js';
import type { TreeEntry } from '../files/tree.js';

/** One component of one release at this site. */
export interface DriverTask {
  site: string;
  stream: string;
  /** Every string rendered. */
  component: Component;
  /** Its rendered directory, verified. */
  directory: string;
  /** Where `stageUndo` keeps live state: a path of this switch alone. */
  saved: string;
  blobs: Blobs;
  /** To be called before something at a target, which the agent did not put there, is moved to `aside`. Never throws. */
  tellAside(target: string, aside: string): void;
  /** The same component (`directory`: of the same target) as it is in the release that an undo goes back to. */
  before?: { component: Component; directory: string; tree: string };
}

/**
 * What going back needs. `link`: the symlink at `target` pointed at `to` (absent: nothing was there); with `tree`, `to` is
 * the agent's own directory and has to hold that tree. `saved`: a file or directory with saved state, and its digest;
 * `drifted`: it is not the state of the release before, whose own `verify` said no when it was saved.
 */
export type UndoPoint =
  | { kind: 'link'; target: string; to?: string; tree?: string }
  | { kind: 'saved'; path: string; digest: string; drifted?: boolean };

/** Goes back to a directory whose tree is known: it can be read back, and made anew. */
export type DirectoryPoint = Extract<UndoPoint, { kind: 'link' }> & { to: string; tree: string };

export function isDirectoryPoint(point: UndoPoint): point is DirectoryPoint {
  return point.kind === 'link' && point.to !== undefined && point.tree !== undefined;
}

/** What is live at the places that a component names, copied. */
export interface Adoption {
  entries: TreeEntry[];
  /** A plain directory at this target has to become a symlink to the copy. */
  target?: string;
}

export interface SiteDriver {
  /** Copies what is live, without changing it; undefined if nothing is there, with the reason in `why`. */
  stageAdoption(task: DriverTask, why: (reason: string) => void): Promise<Adoption | undefined>;
  /** Makes going back possible; called after the new release is staged and before anything is switched. */
  stageUndo(task: DriverTask): Promise<UndoPoint>;
  /** Makes the release live. */
  activate(task: DriverTask): Promise<void>;
  /** True only if the release is live. */
  probeLive(task: DriverTask): Promise<boolean>;
  /** Goes back. A directory named by the point was verified by the caller. */
  revert(task: DriverTask, point: UndoPoint): Promise<void>;
  /** True only if what the undo point names is live again. */
  probeReverted(task: DriverTask, point: UndoPoint): Promise<boolean>;
}
