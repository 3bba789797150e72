/**
 * The driver `exec`: a legacy controller that is driven by four programs of the release, run without a shell in the
 * component's rendered directory. `$FOOTHOLD_SAVED` is a path that does not exist before `save`; the program makes a
 * file or a directory there, and `revert` restores from it.
 */
import { lstat, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WorldError } from '../../policies/model/failure.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import type { Component, ExecDriver } from '../../policies/model/release.js';
import { makeDirectory, syncDirectory, syncFile } from '../files/durable.js';
import { captureTree, fileDigest, scanTree, treeDigest, type TreeEntry } from '../files/tree.js';
import type { DriverTask, SiteDriver, UndoPoint } from './driver.js';
import { runProgram, type ProgramEnd } from './program.js';

export const execDriver: SiteDriver = {
  async stageAdoption(task, why) {
    const saved = await save(task, `${task.saved}.adopted`);
    if (saved.ok) return { entries: await savedTree(saved.path, task) };
    why(`component ${task.component.name}: save ${saved.detail}`);
    return undefined;
  },

  async stageUndo(task) {
    const saved = await save(task, task.saved);
    if (!saved.ok) throw new WorldError('STAGE_FAILED', `component ${task.component.name}: save ${saved.detail}`);
    const drifted = hasOwnVerify(task.before) && !(await verifyBefore(task, task.before));
    return { kind: 'saved', path: saved.path, digest: await savedDigest(saved.path), ...(drifted ? { drifted } : {}) };
  },

  async activate(task) {
    await demand(task, 'apply', 'SWITCH_FAILED');
    await demand(task, 'verify', 'SWITCH_FAILED');
  },

  async probeLive(task) {
    return (await run(task, 'verify')).ok;
  },

  async revert(task, point) {
    const { path, digest } = savedOf(point);
    // Restoring from damaged state would make a third thing live: neither the release nor what was before it.
    if ((await savedDigest(path).catch(() => 'nothing')) !== digest) {
      throw new WorldError('NOTHING_VERIFIED', `expected the saved state with digest ${digest} at ${path}`);
    }
    await demand(task, 'revert', 'REVERT_FAILED', path);
  },

  async probeReverted(task, point) {
    const { before } = task;
    // What the books call the last release was not what ran: it is gone back to all the same, and its `verify` cannot say so.
    if (hasOwnVerify(before) && savedOf(point).drifted !== true) return verifyBefore(task, before);
    const again = await save(task, `${task.saved}.after`);
    return again.ok && (await savedDigest(again.path)) === savedOf(point).digest;
  },
};

/** The component of an adopted release: nobody wrote programs for it, so it has no `verify` of its own. */
export function standInFor(component: Component): Component {
  if (component.driver.type !== 'exec') return component;
  return { ...component, driver: { ...component.driver, verify: [STAND_IN] } };
}
const STAND_IN = 'adopted';
export function isStandIn(component: Component): boolean {
  return component.driver.type === 'exec' && component.driver.verify[0] === STAND_IN;
}

type Before = NonNullable<DriverTask['before']>;

function hasOwnVerify(before: Before | undefined): before is Before {
  return before?.component.driver.type === 'exec' && !isStandIn(before.component);
}

async function verifyBefore(task: DriverTask, before: Before): Promise<boolean> {
  return (await run({ ...task, ...before }, 'verify')).ok;
}

type Step = 'save' | 'apply' | 'verify' | 'revert';

async function run(task: DriverTask, step: Step, saved = task.saved): Promise<ProgramEnd> {
  const driver = settings(task);
  const env = { FOOTHOLD_SAVED: saved, FOOTHOLD_SITE: task.site, FOOTHOLD_STREAM: task.stream };
  return runProgram({ argv: driver[step], cwd: task.directory, env, timeout: driver.timeout });
}

async function demand(task: DriverTask, step: Step, code: ReasonCode, saved?: string): Promise<void> {
  const end = await run(task, step, saved);
  if (end.ok) return;
  const argv = settings(task)[step].join(' ');
  throw new WorldError(code, `component ${task.component.name}: ${step} (${argv}): ${end.detail}`);
}

/** `save` writes to a fresh path and its output is renamed into place, so that a cut-short one is never restored from. */
async function save(task: DriverTask, path: string): Promise<{ ok: boolean; detail: string; path: string }> {
  const part = `${path}.part`;
  await rm(part, { recursive: true, force: true });
  await makeDirectory(dirname(path));
  const end = await run(task, 'save', part);
  if (!end.ok) return { ok: false, detail: end.detail, path };
  const made = await lstat(part).catch(() => undefined);
  if (made === undefined) return { ok: false, detail: 'ended well but wrote nothing to $FOOTHOLD_SAVED', path };
  await syncSaved(part);
  await rm(path, { recursive: true, force: true });
  await rename(part, path);
  syncDirectory(dirname(path));
  return { ok: true, detail: end.detail, path };
}

async function syncSaved(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) return syncFile(path);
  for (const entry of (await scanTree(path)).reverse()) {
    if (entry.type === 'file') await syncFile(`${path}/${entry.path}`);
    else if (entry.type === 'directory') syncDirectory(`${path}/${entry.path}`);
  }
}

export async function savedDigest(path: string): Promise<string> {
  return (await lstat(path)).isDirectory() ? treeDigest(await scanTree(path)) : fileDigest(path);
}

async function savedTree(path: string, task: DriverTask): Promise<TreeEntry[]> {
  if ((await lstat(path)).isDirectory()) return captureTree(path, task.blobs);
  const digest = await fileDigest(path);
  await task.blobs.takeFrom(path, digest);
  return [
    { type: 'directory', path: '.', mode: 0o755 },
    { type: 'file', path: 'saved', mode: 0o600, digest },
  ];
}

function settings(task: DriverTask): ExecDriver {
  if (task.component.driver.type !== 'exec') throw new TypeError('not an exec component');
  return task.component.driver;
}

function savedOf(point: UndoPoint): Extract<UndoPoint, { kind: 'saved' }> {
  if (point.kind !== 'saved') throw new TypeError('an exec component goes back by its saved state');
  return point;
}
