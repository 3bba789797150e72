/**
 * The one revert function (design §5 rule 2). Callers: the guard at boot, the deadline, a failed check, a failed switch,
 * a revert command, a newer command, a person at the site. It asks nobody and ignores windows, freezes and holds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Result } from '../policies/model/command.js';
import type { Component } from '../policies/model/release.js';
import type { Reason } from '../policies/model/verdict.js';
import { advance, atRest, journal, messageOf, rejectPending, resultOf } from './advance.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import { isDirectoryPoint, type DriverTask, type UndoPoint } from './drivers/driver.js';
import { runProgram } from './drivers/program.js';
import { pauseFor } from './pause.js';
import type { CommandRow, HeldRow, StreamRow, Trial, Undo } from './store/rows.js';
import { doubt } from './doubted.js';
import { driverOf, taskFor, verifiedDirectory } from './task.js';
import { wholeTask } from './undo-task.js';
import { bookRoot, wholeBefore } from './whole.js';

export interface Revert {
  trial: Trial;
  undo: Undo;
  /** Components whose switch had begun; absent: any may have. */
  begun?: Set<string>;
  /** The unfinished command that a newer one ends: journaled `superseded` as the undo begins. */
  supersedes?: Result;
  /** The command that was under way with nothing switched: ends `rejected` for this reason as the undo begins. */
  rejects?: { row: CommandRow; reason: Reason };
}

/** Pauses before each further try of an undo that failed; after the last the stream is left in safe mode. */
const RETRY_PAUSES_MS = [200, 1_000];

/** Ends in `reverted`, or in `safe-mode` if what is live could not be verified. Never throws, never loops. */
export async function revertStream(context: SiteContext, stream: string, revert: Revert): Promise<void> {
  await tellEnd(context, stream, await undo(context, stream, revert));
}

/** For the guard: an ending that the disk does not take must not come between another stream and its undo. */
export async function revertAtBoot(context: SiteContext, stream: string, revert: Revert): Promise<void> {
  tellEndOnce(context, stream, await undo(context, stream, revert));
}

async function undo(context: SiteContext, stream: string, revert: Revert): Promise<EndedUndo> {
  const journaled = beginUndo(context, stream, revert);
  context.step('reverting');
  const held = context.store.held(revert.trial.releaseId);
  const made = held
    ? await undoComponents(context, held, revert)
    : { failure: nothingVerified('the release is not on the books') };
  const afterFailed = held ? await runAfter(context, held) : undefined;
  context.step('reverted-all');
  return { ...revert, ...made, afterFailed, journaled };
}

/** One durable write, then the undo. If even that write fails (a full disk), the undo is more urgent than the journal. */
function beginUndo(context: SiteContext, stream: string, revert: Revert): boolean {
  try {
    withReserve(context, () => markReverting(context, stream, revert));
    return true;
  } catch (error) {
    context.storage.note(error, `stream ${stream}, the beginning of an undo`);
    context.log.error({ stream, error: messageOf(error) }, 'the undo could not be journaled; undoing all the same');
    return false;
  }
}

/** A journal entry that finds the disk full even after the journal's own share was used: now the undo's share is given up. */
function withReserve(context: SiteContext, write: () => void): void {
  try {
    context.store.transact(write);
  } catch (error) {
    if (context.storage.note(error, 'the journal of an undo') !== 'full' || !context.storage.reserve.giveUp())
      throw error;
    context.store.transact(write);
  }
}

function markReverting(context: SiteContext, stream: string, { trial, undo, supersedes, rejects }: Revert): void {
  if (rejects) rejectPending(context, rejects.row, rejects.reason);
  advance(context, stream, {
    event: 'undo',
    change: (row) => {
      const marked = { ...row, trial: { ...trial, undo, undoAttempts: trial.undoAttempts + 1 } };
      return supersedes === undefined ? marked : withoutCommand(marked, undo.commandId);
    },
    also: () => {
      if (!supersedes) return;
      journal(context, stream, { kind: 'superseded', commandId: supersedes.commandId, result: supersedes });
    },
    journal: {
      kind: 'reverting',
      commandId: undo.commandId ?? trial.commandId,
      detail: { cause: undo.cause, reason: undo.reason, ...(undo.by === undefined ? {} : { by: undo.by }) },
    },
  });
}

/** The command under way has ended; the queued one takes its place if the undo is what it asked for. */
function withoutCommand({ commandId: _ended, ...row }: StreamRow, asking: string | undefined): StreamRow {
  if (asking === undefined || row.queuedId !== asking) return row;
  const { queuedId, ...rest } = row;
  return { ...rest, commandId: queuedId };
}

/** Components go back in reverse order; those that fail are tried again. Tells why it is not as it was, if it is not. */
async function undoComponents(
  context: SiteContext,
  held: HeldRow,
  revert: Revert,
): Promise<Pick<EndedUndo, 'failure' | 'root'>> {
  let lkg = revert.trial.lkgId === undefined ? undefined : context.store.held(revert.trial.lkgId);
  if (!lkg) return { failure: nothingVerified('this was the first release, nothing was live before it') };
  let open = held.release.components.filter((one) => revert.begun?.has(one.name) ?? true).reverse();
  for (let attempt = 0; ; attempt++) {
    lkg = await wholeBefore(context, held, lkg);
    const failures = await undoOnce(context, { held, lkg, again: attempt > 0 }, open);
    if (failures.size === 0) return { failure: undefined, root: lkg.root };
    // Whatever it says: a program that found the disk full says it in words of its own.
    if (context.storage.reserve.giveUp())
      context.log.warn({ stream: held.stream }, 'the reserve of the disk was given up for an undo');
    const [first] = failures.values();
    const pause = RETRY_PAUSES_MS[attempt];
    if (pause === undefined) return { failure: first };
    context.log.warn({ stream: held.stream, reason: first }, 'an undo failed, trying again');
    open = open.filter((one) => failures.has(one.name));
    await sleep(pause);
  }
}

async function undoOnce(
  context: SiteContext,
  { held, lkg, again }: { held: HeldRow; lkg: HeldRow; again: boolean },
  components: Component[],
): Promise<Map<string, Reason>> {
  const failures = new Map<string, Reason>();
  const undone = new Map<string, { task: DriverTask; point: UndoPoint }>();
  for (const component of components) {
    try {
      const point = await usablePoint(context, held, component, lkg);
      const tree = held.trees[component.name];
      const task = await wholeTask(context, { task: taskFor(context, held, component, lkg), tree, point }, again);
      undone.set(component.name, { task, point });
      await driverOf(context, component).revert(task, point);
      context.step('reverted-one');
    } catch (error) {
      context.storage.note(error, `stream ${held.stream}, component ${component.name}, an undo`);
      failures.set(component.name, {
        code: 'REVERT_FAILED',
        detail: `component ${component.name}: ${messageOf(error)}`,
      });
    }
  }
  // Verified only after all have gone back: the sooner the last of them serves again, the better.
  for (const component of components) {
    const one = undone.get(component.name);
    if (failures.has(component.name) || !one) continue;
    const back = await driverOf(context, component)
      .probeReverted(one.task, one.point)
      .catch(() => false);
    const detail = `component ${component.name}: what was live before could not be verified after the undo`;
    if (!back) failures.set(component.name, { code: 'REVERT_FAILED', detail });
  }
  return failures;
}

/** Where the release before is now: since the switch it may have been made anew, whatever the point says. */
async function usablePoint(
  context: SiteContext,
  held: HeldRow,
  component: Component,
  lkg: HeldRow,
): Promise<UndoPoint> {
  const point = held.undo[component.name];
  if (!point) throw new Error('nothing was kept to go back to');
  if (!isDirectoryPoint(point)) return point;
  const { before } = taskFor(context, held, component, lkg);
  const now = before?.tree === point.tree ? before.directory : point.to;
  const to =
    (await verifiedDirectory(context, now, point.tree)) ?? (await verifiedDirectory(context, point.to, point.tree));
  if (to === undefined) throw new Error(`${point.to} is damaged and cannot be made anew`);
  return { ...point, to };
}

/** `after` runs after an undo too; that it fails then changes nothing any more, and is told. */
async function runAfter(context: SiteContext, held: HeldRow): Promise<string | undefined> {
  const { after } = held.release;
  if (!after) return undefined;
  const cwd = context.holdings.directory(held.root);
  const end = await runProgram({ argv: after.exec, cwd, timeout: after.timeout });
  return end.ok ? undefined : `${after.exec.join(' ')}: ${end.detail}`;
}

/** An undo that has been made; its end may not have been told yet. */
export type EndedUndo = Omit<Revert, 'begun'> & {
  failure: Reason | undefined;
  /** Of the release that is live again: made anew perhaps, and then on no books yet. */
  root?: string;
  afterFailed: string | undefined;
  /** `reverting` is in the journal. */
  journaled: boolean;
};

/** The site is as it was; only the telling of it is owed. Nothing else of this stream begins before it is told. */
export async function tellEnd(context: SiteContext, stream: string, ended: EndedUndo): Promise<void> {
  while (!tellEndOnce(context, stream, ended) && !context.closing.aborted) {
    await pauseFor(1_000, context.closing);
  }
}

/** False: it is kept in `context.untold`, and the stream's runner tells it as soon as the disk takes it. */
function tellEndOnce(context: SiteContext, stream: string, ended: EndedUndo): boolean {
  try {
    withReserve(context, () => {
      if (!ended.journaled) markReverting(context, stream, ended);
      markEnded(context, stream, ended);
    });
  } catch (error) {
    context.storage.note(error, `stream ${stream}, the end of an undo`);
    context.log.error({ stream, error: messageOf(error) }, 'the end of an undo could not be journaled; trying again');
    context.untold.set(stream, ended);
    return false;
  }
  context.untold.delete(stream);
  context.step('reverted');
  return true;
}

function markEnded(context: SiteContext, stream: string, ended: EndedUndo): void {
  const { trial, undo, failure } = ended;
  const { store } = context;
  const held = store.held(trial.releaseId);
  const lkg = trial.lkgId === undefined ? undefined : store.held(trial.lkgId);
  const live = failure ? held : lkg;
  const result = resultOfUndo(context, ended, live);
  // A lost uplink is no fault of the release: the centre may have been down.
  if (held && undo.cause !== 'command' && undo.cause !== 'uplink') {
    const { version, digest } = held;
    store.putQuarantine({ stream, version, digest, code: undo.reason.code, at: context.clock.now() });
  }
  advance(context, stream, {
    event: failure ? 'strand' : 'undone',
    // A stranded release keeps its trial: the undo can be asked for again.
    change: (row) => (failure ? stranded(row, ended, failure, context) : undone(row, undo)),
    also: () => {
      if (failure) return;
      if (lkg) store.putHeld(doubt(lkg));
      if (!held) return;
      store.dropHeld(held.id);
      if (lkg && ended.root !== undefined) bookRoot(context, { from: lkg.root, to: ended.root });
      context.untidy = true;
    },
    journal: {
      kind: failure ? 'safe-mode' : 'reverted',
      commandId: result?.commandId ?? trial.commandId,
      detail: {
        cause: undo.cause,
        reason: undo.reason,
        undone: held && { version: held.version, digest: held.digest },
        begunAt: undo.begunAt,
        ...(failure ? { failure } : {}),
        ...(ended.afterFailed === undefined ? {} : { afterFailed: ended.afterFailed }),
        ...(undo.by === undefined ? {} : { by: undo.by }),
      },
      ...(result ? { result } : {}),
    },
  });
}

/** The result that this undo is: of the revert command that asked, else of the converge whose trial it ended. */
function resultOfUndo(context: SiteContext, ended: EndedUndo, live: HeldRow | undefined): Result | undefined {
  const { trial, undo, failure } = ended;
  const { store } = context;
  const result = failure ? 'safe-mode' : 'reverted';
  const reason = failure ?? undo.reason;
  const converge = trial.commandId === undefined ? undefined : store.command(trial.commandId);
  if (undo.commandId !== undefined) {
    const asked = store.command(undo.commandId)?.command;
    const previous = converge?.later ?? converge?.result;
    return asked && resultOf(context, asked, { result, changed: !failure, cause: 'command', reason, live, previous });
  }
  // Undone for a newer converge: the older one is journaled `superseded` already. Not so where a revert asked that the disk
  // did not take: it has no command here that would answer for it.
  if (!converge || (undo.cause === 'command' && converge.result !== undefined)) return undefined;
  // It has its last word: that an undo which failed was made good later is told by the event.
  const told = converge.later ?? converge.result;
  if (told && told.result !== 'confirmed') return undefined;
  const words = {
    result,
    changed: failure !== undefined,
    cause: undo.cause,
    reason,
    live,
    switchedAt: trial.switchedAt,
  } as const;
  return resultOf(context, converge.command, words);
}

function stranded(row: StreamRow, ended: EndedUndo, reason: Reason, { clock }: SiteContext): StreamRow {
  const { trial, undo } = ended;
  const { stranded: before, ...rest } = trial;
  // Interrupted for ever or failed: tries count on from those made already, so that no number of restarts makes it a loop.
  const again = trial.lkgId === undefined ? undefined : { at: momentOf(clock), tries: before?.tries ?? 0 };
  return {
    ...atRest(row),
    trial: { ...rest, undo, ...(again ? { stranded: again } : {}) },
    safeMode: row.safeMode ?? { at: clock.now(), reason },
  };
}

/** An undo that was asked for from afar is no look at the site: only a person's own ends safe mode. */
function undone(row: StreamRow, { cause }: Undo): StreamRow {
  const { safeMode, ...rest } = atRest(row);
  return safeMode === undefined || cause === 'person' ? rest : { ...rest, safeMode };
}

/** Leaves the stream as it is found, in safe mode, until it is tried again: for the guard, when an undo never came to an end. */
export function strandStream(context: SiteContext, stream: string, trial: Trial, failure: Reason): void {
  const undo = trial.undo ?? { cause: 'boot', reason: failure, begunAt: context.clock.now() };
  tellEndOnce(context, stream, { trial, undo, failure, afterFailed: undefined, journaled: true });
}

function nothingVerified(detail: string): Reason {
  return { code: 'NOTHING_VERIFIED', detail };
}
