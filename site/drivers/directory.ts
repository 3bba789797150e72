/** The driver `directory`: the target is a symlink to a complete rendered directory, switched by rename. */
import { rmSync, type Stats } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WorldError } from '../../policies/model/failure.js';
import type { DirectoryDriver } from '../../policies/model/release.js';
import {
  asideOf,
  linkDestination,
  makeDirectory,
  moveAside,
  plainAt,
  switchLink,
  syncDirectory,
} from '../files/durable.js';
import { captureTree } from '../files/tree.js';
import type { DriverTask, SiteDriver, UndoPoint } from './driver.js';
import { demandProgram } from './program.js';

export const directoryDriver: SiteDriver = {
  async stageAdoption(task, why) {
    const { target } = settings(task);
    const found = await lstat(target).catch(() => undefined);
    const live = found?.isSymbolicLink() ? await realpath(target).catch(() => undefined) : target;
    const is = live === undefined ? undefined : await lstat(live).catch(() => undefined);
    if (live === undefined || !is?.isDirectory()) {
      why(found === undefined ? `nothing is at ${target}` : `what is at ${target} is not a directory`);
      return undefined;
    }
    return { entries: await captureTree(live, task.blobs), target };
  },

  async stageUndo(task) {
    const { target } = settings(task);
    // Whatever is there now, the books say what ran: a target that was replaced is moved aside by the switch.
    if (task.before) return { kind: 'link', target, to: task.before.directory, tree: task.before.tree };
    const to = linkDestination(target);
    if (to !== undefined) return { kind: 'link', target, to };
    const there = plainAt(target);
    if (there === undefined) return { kind: 'link', target };
    throw new WorldError('SWITCH_FAILED', `expected a symlink or nothing at ${target}, got a ${kindOf(there)}`);
  },

  async activate(task) {
    const { target } = settings(task);
    await makeDirectory(dirname(target));
    clearTarget(task, target);
    switchLink(target, task.directory);
    await reload(task, 'SWITCH_FAILED');
  },

  async probeLive(task) {
    return linkDestination(settings(task).target) === task.directory;
  },

  async revert(task, point) {
    const { target, to } = linkOf(point);
    clearTarget(task, target);
    if (to !== undefined) switchLink(target, to);
    else removeLink(target);
    await reloadForUndo(task);
  },

  async probeReverted(_task, point) {
    const { target, to } = linkOf(point);
    return linkDestination(target) === to && plainAt(target) === undefined;
  },
};

/**
 * A person, or a package, may have put a directory or a file where the symlink was. A power cut between this and the switch
 * leaves nothing at the target: the stream is `switching` or `reverting` then, and the guard puts the symlink there.
 */
function clearTarget(task: DriverTask, target: string): void {
  if (plainAt(target) === undefined) return;
  const aside = asideOf(target);
  task.tellAside(target, aside);
  moveAside(target, aside);
}

async function reload(task: DriverTask, code: 'SWITCH_FAILED' | 'REVERT_FAILED'): Promise<void> {
  const { reload: argv, timeout } = settings(task);
  if (argv === undefined) return;
  const what = `component ${task.component.name}: reload`;
  await demandProgram({ argv, cwd: task.directory, timeout }, code, what);
}

/**
 * What goes live again is reloaded its own way: a wrong `reload` may be what is being undone. An adopted release has
 * none of its own, only that of the release that had it adopted: if that is the wrong one, this one's is tried.
 */
async function reloadForUndo(task: DriverTask): Promise<void> {
  const own = { ...task, ...task.before };
  const other = settings(task).reload;
  try {
    await reload(own, 'REVERT_FAILED');
  } catch (error) {
    if (other === undefined || other.join('\0') === settings(own).reload?.join('\0')) throw error;
    await reload(task, 'REVERT_FAILED');
  }
}

function removeLink(target: string): void {
  if (linkDestination(target) === undefined) return;
  rmSync(target, { force: true });
  syncDirectory(dirname(target));
}

function settings(task: DriverTask): DirectoryDriver {
  if (task.component.driver.type !== 'directory') throw new TypeError('not a directory component');
  return task.component.driver;
}

function linkOf(point: UndoPoint): Extract<UndoPoint, { kind: 'link' }> {
  if (point.kind !== 'link') throw new TypeError('a directory component goes back by its link');
  return point;
}

function kindOf(stats: Stats): string {
  return stats.isDirectory() ? 'plain directory' : 'file';
}
