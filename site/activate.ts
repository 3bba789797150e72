/** The second half of a converge: from `staged` through the durable switch to `watching`, or back. */
import { MistakeError, WorldError } from '../policies/model/failure.js';
import type { Command } from '../policies/model/command.js';
import type { ReasonCode } from '../policies/model/reasons.js';
import type { Release } from '../policies/model/release.js';
import { adoptComponent, confirmAdoption, stageAdoption, type StagedAdoption } from './adopt.js';
import { advance, atRest, liveRelease, messageOf, resultOf } from './advance.js';
import { probeBeforeSwitch } from './checks/watch.js';
import type { SiteContext } from './context.js';
import { endConversions } from './conversions.js';
import type { UndoPoint } from './drivers/driver.js';
import { runProgram } from './drivers/program.js';
import { bytesOf } from './disk/measure.js';
import { demandDisk, demandRoom } from './disk/room.js';
import { revertStream } from './revert.js';
import { refuseHeld, refuseLate, Rejection, rejectionOf, untilLate } from './stage.js';
import type { CommandRow, HeldRow, StreamRow, Trial, Undo } from './store/rows.js';
import { driverOf, noteVerified, probeAllLive, taskFor, verifiedDirectory, verifiedKey } from './task.js';
import { mayBeginSwitch, probeUplink, untilEchoed } from './uplink.js';
import { surroundingsOf } from './watching.js';
import { bookRoot, stageWhole, wholeBefore } from './whole.js';

type Program = NonNullable<Release['before']>;

/**
 * Ends `watching`, `reverted`, `safe-mode`, or `confirmed` with nothing changed; throws Rejection before the switch.
 * `beforeSwitch` is called in the same turn as the durable switch.
 */
export async function activateConverge(
  context: SiteContext,
  row: CommandRow,
  signal: AbortSignal,
  beforeSwitch: () => void,
): Promise<void> {
  const { command } = row;
  refuseHeld(context, command);
  const held = await wholeRelease(context, stagedRelease(context, command.stream));
  await untilEchoed(context, row, held, signal);
  const adoption = await findAdoption(context, held);
  if (held.release.alreadySick === 'reject' && hasSomethingLive(context, held, adoption)) {
    await refuseSick(context, row, held, signal);
  }
  signal.throwIfAborted();
  if (await isLiveAlready(context, held)) return answerLive(context, command, held);
  refuseFault(context);
  const lkg = adoption ? await confirmAdoption(context, command.stream, adoption) : lkgOf(context, command.stream);
  const before = lkg && (await wholeBefore(context, held, lkg));
  const undo = await stageUndo(context, held, before);
  context.step('undo-captured');
  signal.throwIfAborted();
  demandUndoRoom(context, held, undo);
  await prepareSwitch(context, row, held, signal);
  // From here to the durable switch nothing waits: neither a newer command nor the clock can come in between.
  signal.throwIfAborted();
  refuseLate(context, row);
  refuseHeld(context, command);
  refuseFault(context);
  beforeSwitch();
  const trial = beginSwitch(context, command, { ...held, undo }, before);
  await switchComponents(context, command.stream, { ...held, undo }, trial, before);
}

/** `before` may take longer than an echo is good for: then what it did is put back, and the wait begins anew. */
async function prepareSwitch(context: SiteContext, row: CommandRow, held: HeldRow, signal: AbortSignal): Promise<void> {
  for (;;) {
    await untilEchoed(context, row, held, signal);
    await runBefore(context, row.command, held, signal);
    signal.throwIfAborted();
    if (mayBeginSwitch(context, held) || (await probeUplink(context, signal)).echoed) return;
    signal.throwIfAborted();
    await undoBefore(context, held.stream);
    // The program may be what cut the link: not in a busy loop.
    refuseLate(context, row);
  }
}

/** The disk may have failed while what is live was copied, or in a wait before the switch (fault H4). */
function refuseFault(context: SiteContext): void {
  orReject(context, () => demandDisk(context));
}

/** Before whatever the switch waits for: the undo fits. */
function demandUndoRoom(context: SiteContext, held: HeldRow, undo: HeldRow['undo']): void {
  orReject(context, () => demandRoom(context, 0, { ofThis: bytesOf(context, { ...held, undo }) }));
}

function orReject(context: SiteContext, demand: () => void): void {
  try {
    demand();
  } catch (error) {
    throw rejectionOf(context, error);
  }
}

function stagedRelease(context: SiteContext, stream: string): HeldRow {
  const { stagedId } = context.store.stream(stream);
  const held = stagedId === undefined ? undefined : context.store.held(stagedId);
  if (held) return held;
  throw new Rejection({ code: 'STAGE_FAILED', detail: 'the staged release is no longer on the books' });
}

/**
 * What an earlier process staged may have rotted or been torn since: it is read back before it goes live, and made anew
 * from its blobs if it is no longer what was staged.
 */
async function wholeRelease(context: SiteContext, held: HeldRow): Promise<HeldRow> {
  const { holdings, store, verified } = context;
  const parts = Object.entries(held.trees);
  if (parts.every(([name, tree]) => verified.has(verifiedKey(holdings.directory(held.root, name), tree)))) return held;
  const root = await stageWhole(context, held).catch((error: unknown) => {
    throw rejectionOf(context, error);
  });
  if (root === undefined) throw new Rejection({ code: 'STAGE_FAILED', detail: 'the list of its files is gone' });
  noteVerified(context, { ...held, root });
  if (root === held.root) return held;
  store.transact(() => store.putHeld({ ...held, root }));
  return { ...held, root };
}

function lkgOf(context: SiteContext, stream: string): HeldRow | undefined {
  return context.store.confirmed(stream)[0];
}

/** What to adopt if nothing of the stream was ever confirmed here; undefined also for a first release with nothing there. */
async function findAdoption(context: SiteContext, held: HeldRow): Promise<StagedAdoption | undefined> {
  if (lkgOf(context, held.stream)) return undefined;
  const found = await stageAdoption(context, held).catch((error: unknown) => {
    throw rejectionOf(context, error);
  });
  if ('adoption' in found) return found.adoption;
  if (held.release.first) return undefined;
  const detail = `nothing was ever confirmed here and nothing can be adopted: ${found.missing}`;
  throw new Rejection({ code: 'LKG_MISSING', detail });
}

/** The checks of a very first release cannot pass before it is there: then nothing is sampled beforehand. */
function hasSomethingLive(context: SiteContext, held: HeldRow, adoption: StagedAdoption | undefined): boolean {
  return adoption !== undefined || liveRelease(context, context.store.stream(held.stream)) !== undefined;
}

async function refuseSick(context: SiteContext, row: CommandRow, held: HeldRow, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const late = untilLate(context, row, AbortSignal.any([signal, over.signal]));
  const around = surroundingsOf(context, held);
  const sick = await probeBeforeSwitch(held.release, around, AbortSignal.any([signal, late])).finally(() =>
    over.abort(),
  );
  if (!sick || signal.aborted) return;
  if (sick.open) {
    refuseLate(context, row, `, and check ${sick.name} is neither healthy nor failed: ${sick.detail}`);
  }
  const detail = `check ${sick.name} failed before anything was switched: ${sick.detail}`;
  throw new Rejection({ code: 'ALREADY_SICK', detail });
}

async function isLiveAlready(context: SiteContext, held: HeldRow): Promise<boolean> {
  const live = lkgOf(context, held.stream);
  const same = live?.digest === held.digest && live.varsDigest === held.varsDigest;
  if (!live || !same || context.store.stream(held.stream).trial) return false;
  if (!(await probeAllLive(context, live))) return false;
  for (const { name } of live.release.components) {
    const directory = context.holdings.directory(live.root, name);
    const tree = live.trees[name];
    if (tree === undefined || (await context.holdings.wholeDirectory(directory, tree)) !== directory) return false;
  }
  return true;
}

function answerLive(context: SiteContext, command: Command, held: HeldRow): void {
  const result = resultOf(context, command, { result: 'confirmed', changed: false, live: held });
  advance(context, command.stream, {
    event: 'answer-confirmed',
    change: atRest,
    also: () => context.store.dropHeld(held.id),
    journal: { kind: 'confirmed', commandId: command.id, detail: { changed: false }, result },
  });
}

/** Makes going back possible for every component, with last-known-good directories that were read back whole. */
async function stageUndo(
  context: SiteContext,
  held: HeldRow,
  lkg: HeldRow | undefined,
): Promise<Record<string, UndoPoint>> {
  const points: Record<string, UndoPoint> = {};
  for (const component of held.release.components) {
    try {
      points[component.name] = await stagePoint(context, held, component, lkg);
    } catch (error) {
      // A first release has nothing to go back to by its own word: what cannot be saved is then not needed.
      if (lkg || !held.release.first) throw rejectionOf(context, error);
    }
  }
  return points;
}

async function stagePoint(
  context: SiteContext,
  held: HeldRow,
  component: HeldRow['release']['components'][number],
  lkg: HeldRow | undefined,
): Promise<UndoPoint> {
  const stranded = strandedPoint(context, held.stream, component.name);
  if (stranded) return stranded;
  const task = taskFor(context, held, component, lkg);
  const adopted = task.before ? undefined : await adoptComponent(context, held, component);
  if (adopted) return adopted;
  if (component.driver.type === 'directory' && task.before) {
    const whole = await verifiedDirectory(context, task.before.directory, task.before.tree);
    if (whole === undefined) {
      const detail = `${task.before.directory} is damaged and cannot be made anew from what is on disk`;
      throw new Rejection({ code: 'LKG_MISSING', detail });
    }
    task.before = { ...task.before, directory: whole };
  }
  return driverOf(context, component).stageUndo(task);
}

/** After an undo that failed, live state is anything: what was saved before that switch is still what to go back to. */
function strandedPoint(context: SiteContext, stream: string, component: string): UndoPoint | undefined {
  const { trial } = context.store.stream(stream);
  const point = trial && context.store.held(trial.releaseId)?.undo[component];
  return point?.kind === 'saved' ? point : undefined;
}

async function runBefore(context: SiteContext, command: Command, held: HeldRow, signal: AbortSignal): Promise<void> {
  const { before } = held.release;
  if (!before) return;
  const { store } = context;
  store.transact(() => store.putStream({ ...store.stream(command.stream), beforeBegun: true }));
  await demandProgram(context, held, before, 'BEFORE_FAILED', signal);
  context.step('before-done');
}

async function demandProgram(
  context: SiteContext,
  held: HeldRow,
  program: Program,
  code: ReasonCode,
  signal?: AbortSignal,
): Promise<void> {
  const cwd = context.holdings.directory(held.root);
  const call = { argv: program.exec, cwd, timeout: program.timeout, ...(signal ? { signal } : {}) };
  const end = await runProgram(call);
  if (!end.ok) throw new Rejection({ code, detail: `${program.exec.join(' ')}: ${end.detail}` });
}

/** Target, last-known-good (with the root that it has now) and deadline, durable before anything is switched (design §5 rule 1). */
function beginSwitch(context: SiteContext, command: Command, held: HeldRow, lkg: HeldRow | undefined): Trial {
  const { clock, store } = context;
  const trial: Trial = {
    releaseId: held.id,
    ...(lkg ? { lkgId: lkg.id } : {}),
    commandId: command.id,
    bootId: clock.bootId(),
    switchedAt: clock.now(),
    switchedElapsed: clock.elapsed(),
    within: held.release.confirm.within,
    restarts: 0,
    undoAttempts: 0,
  };
  advance(context, command.stream, {
    event: 'switch',
    change: ({ stagedId: _staged, beforeBegun: _before, ...row }: StreamRow) => ({ ...row, trial }),
    also: () => {
      store.putHeld({ ...held, switchedBy: command.id });
      endConversions(context, held);
      const booked = lkg && store.held(lkg.id);
      if (booked) bookRoot(context, { from: booked.root, to: lkg.root });
    },
    journal: {
      kind: 'switching',
      commandId: command.id,
      detail: {
        target: { version: held.version, digest: held.digest },
        lkg: lkg ? { version: lkg.version, digest: lkg.digest } : null,
        withinMs: trial.within,
      },
    },
  });
  context.switched.add(held.id);
  context.step('switching');
  // Whatever becomes of the log from here on, the next start knows that something was switched, and goes back.
  context.store.checkpoint();
  return trial;
}

async function switchComponents(
  context: SiteContext,
  stream: string,
  held: HeldRow,
  trial: Trial,
  lkg: HeldRow | undefined,
): Promise<void> {
  const begun = new Set<string>();
  try {
    for (const component of held.release.components) {
      begun.add(component.name);
      await driverOf(context, component).activate(taskFor(context, held, component, lkg));
      context.step('activated');
    }
    context.step('all-activated');
    await runAfter(context, held);
  } catch (error) {
    const reason = { code: switchCode(error), detail: messageOf(error) };
    const undo: Undo = { cause: 'switch', reason, begunAt: context.clock.now() };
    return revertStream(context, stream, { trial, undo, begun });
  }
  context.tallies.delete(stream);
  advance(context, stream, { event: 'watch', journal: { kind: 'watching', commandId: trial.commandId } });
  context.step('watching');
}

async function runAfter(context: SiteContext, held: HeldRow): Promise<void> {
  if (held.release.after) await demandProgram(context, held, held.release.after, 'AFTER_FAILED');
}

function switchCode(error: unknown): ReasonCode {
  if (error instanceof Rejection) return error.reason.code;
  return error instanceof WorldError || error instanceof MistakeError ? error.code : 'SWITCH_FAILED';
}

/** `before` was begun and nothing was switched: `after` puts back what it may have done (traffic drained, say). */
export async function undoBefore(context: SiteContext, stream: string): Promise<void> {
  const { beforeBegun, stagedId } = context.store.stream(stream);
  const held = stagedId === undefined ? undefined : context.store.held(stagedId);
  if (!beforeBegun || !held?.release.after) return;
  const { exec, timeout } = held.release.after;
  const end = await runProgram({ argv: exec, cwd: context.holdings.directory(held.root), timeout });
  if (!end.ok) context.log.warn({ stream, detail: end.detail }, 'after failed once the command had been given up');
}
