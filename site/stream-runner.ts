/** Carries out one stream's commands, one step at a time: every step begins from the store and ends with a durable change. */
import { setTimeout as sleep } from 'node:timers/promises';
import { decideWork, mayUndoLive, type Work } from '../policies/site/decide-work.js';
import { timeToUndoAgain, type Stranded } from '../policies/site/decide-undo-again.js';
import { isAtRest } from '../policies/site/transitions.js';
import type { Reason } from '../policies/model/verdict.js';
import {
  advance,
  dropStaged,
  ended,
  journal,
  liveAtRest,
  liveRelease,
  messageOf,
  rejectPending,
  resultOf,
} from './advance.js';
import { activateConverge, undoBefore } from './activate.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import { judgeHeldHere } from './holds.js';
import { watchBeside, type PendingWork } from './pending.js';
import { revertStream, tellEnd } from './revert.js';
import { rejectionOf, stageConverge } from './stage.js';
import type { CommandRow, HeldRow, StreamRow, Trial, Undo } from './store/rows.js';
import { isUndoneUnbooked } from './unbooked.js';
import { guardedRelease, watchConfirmed, watchRelease } from './watching.js';

/** How often it is looked whether an undo is due again: the elapsed clock counts while the machine sleeps, a timer does not. */
const LOOK_EVERY_MS = 1_000;

/** By a person at the site, or by a command that the store could not take. */
export interface AskedUndo {
  /** What was live when it was asked: an undo of its own accord meanwhile must not make it go back one further. */
  live: HeldRow;
  undo: Undo;
}

export class StreamRunner {
  private running: Promise<void> | undefined;
  private controller = new AbortController();
  private woken = false;
  private stopping = false;
  /** Under way is only the watch over what is confirmed: whatever is wanted ends it. */
  private guarding = false;
  /** What is no command has the stream. */
  private lone = false;
  private asked: AskedUndo | undefined;
  /** Whether the books were held against what is live. */
  private looked = false;

  constructor(
    private readonly context: SiteContext,
    readonly stream: string,
    private readonly onIdle: () => void,
  ) {}

  /** Looks for work, unless it is at work already. */
  wake(): void {
    this.woken = true;
    if (this.stopping || this.lone) return;
    if (this.guarding) this.controller.abort();
    this.running ??= this.run().finally(() => {
      if (this.lone) return;
      this.running = undefined;
      if (this.woken && !this.stopping) this.wake();
      else this.onIdle();
    });
  }

  /** Ends the step under way, as far as it can be ended: a switch and an undo come to their own end. */
  interrupt(): void {
    this.controller.abort();
    this.wake();
  }

  /** A hold was placed: a change that is fetched or waits begins its step anew, and asks about it. */
  refusePending(): void {
    const { state } = this.row();
    const isPending = state === 'accepted' || state === 'staged';
    if (isPending && judgeHeldHere(this.context, this.stream)) this.interrupt();
  }

  undoAsked(asked: AskedUndo): void {
    this.asked = asked;
    this.interrupt();
  }

  /** Ends once no step is under way; what is unfinished goes on at the next start. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.controller.abort();
    await this.running;
  }

  /** Runs `work` in the place of a command; those that come meanwhile wait until it has ended. False if one is under way. */
  async alone(work: () => Promise<void>): Promise<boolean> {
    if (this.busy || this.stopping) return false;
    this.lone = true;
    // The watch over what is confirmed gives way, and goes on afterwards.
    this.woken = this.guarding;
    this.controller.abort();
    const ended = (this.running ?? Promise.resolve()).then(work);
    const settle = () => {
      this.lone = false;
      this.running = undefined;
      if (this.woken && !this.stopping) this.wake();
      else this.onIdle();
    };
    this.running = ended.then(settle, settle);
    await ended;
    return true;
  }

  get busy(): boolean {
    return this.lone || (this.running !== undefined && !this.guarding);
  }

  private async run(): Promise<void> {
    while (this.woken && !this.stopping && !this.lone) {
      this.woken = false;
      try {
        await this.tellUntold();
        await this.finishUnbooked();
        for (let work = this.next(); work !== 'nothing' && !this.stopping && !this.lone; work = this.next()) {
          this.controller = new AbortController();
          await this.attempt(work);
        }
      } catch (error) {
        await this.outlive(error);
      }
    }
  }

  /** Of an undo that the guard made: nothing of this stream begins before it is told. */
  private async tellUntold(): Promise<void> {
    const ended = this.context.untold.get(this.stream);
    if (ended) await tellEnd(this.context, this.stream, ended);
  }

  /** Once in the life of a process, before anything else: the books are what all the rest goes by. */
  private async finishUnbooked(): Promise<void> {
    if (this.looked || this.context.observing) return;
    this.looked = true;
    const row = this.row();
    const live = row.trial || !mayUndoLive(row.state, this.command(row)?.command.verb) ? undefined : this.live();
    if (!live?.confirmedAt || !(await isUndoneUnbooked(this.context, live)) || this.stopping) return;
    const detail = `${live.version} had been undone, and the disk had not let it be written down`;
    const undo = { cause: 'boot', reason: { code: 'NOT_LIVE', detail }, begunAt: this.context.clock.now() } as const;
    await this.undoLive(live, undo, { code: 'ALREADY_SICK', detail });
  }

  private live(): HeldRow | undefined {
    return liveAtRest(this.context, this.row());
  }

  /** A store that cannot even be read must not end the process, and with it every watch: looked at again after a pause. */
  private async outlive(error: unknown): Promise<void> {
    this.context.storage.note(error, `stream ${this.stream}, its place in the books`);
    this.context.log.error({ stream: this.stream, error: messageOf(error) }, 'the store cannot be read; trying again');
    await this.pause();
    this.woken = true;
  }

  private next(): Work {
    const row = this.row();
    const verb = this.command(row)?.command.verb;
    return decideWork({
      state: row.state,
      ...(verb ? { verb } : {}),
      queued: row.queuedId !== undefined,
      person: this.asked !== undefined,
      guarded: this.guarded() !== undefined,
      undoAgain:
        !this.context.observing && timeToUndoAgain(strandedOf(row), momentOf(this.context.clock)) !== undefined,
    });
  }

  /** Who only observes undoes nothing, whatever becomes of what is live. */
  private guarded(): HeldRow | undefined {
    return this.context.observing ? undefined : guardedRelease(this.context, this.stream);
  }

  private async attempt(work: Exclude<Work, 'nothing'>): Promise<void> {
    const { signal } = this.controller;
    try {
      await this.carryOut(work, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.context.storage.note(error, `stream ${this.stream}, ${work}`);
      const { state, commandId } = this.row();
      if (state === 'accepted' || state === 'staged') await this.rejectPatiently(error);
      else {
        // A fault of the store or a bug: the state on disk decides what happens next, after a pause.
        const detail = { stream: this.stream, commandId, work, error: messageOf(error) };
        this.context.log.error(detail, 'a step failed; trying again');
        await this.pause();
      }
    }
  }

  /** A disk that takes nothing does not take the rejection either: told once it can be. Nothing was switched. */
  private async rejectPatiently(error: unknown): Promise<void> {
    try {
      await this.reject(error);
    } catch (again) {
      this.context.storage.note(again, `stream ${this.stream}, a rejection`);
      this.context.log.error({ stream: this.stream, error: messageOf(again) }, 'a rejection could not be journaled');
      await this.pause();
    }
  }

  private async pause(): Promise<void> {
    await pauseFor(1_000, this.context.closing);
  }

  private async carryOut(work: Exclude<Work, 'nothing'>, signal: AbortSignal): Promise<void> {
    switch (work) {
      case 'stage':
        return this.beside(signal, (over) => stageConverge(this.context, this.demandCommand(), over));
      case 'activate':
        return this.beside(signal, (over, beforeSwitch) =>
          activateConverge(this.context, this.demandCommand(), over, beforeSwitch),
        );
      case 'watch':
        return watchRelease(this.context, this.stream, signal);
      case 'watch-confirmed':
        return this.watchConfirmed(signal);
      case 'undo-again':
        return this.undoAgain(signal);
      case 'carry-out-revert':
        return this.carryOutRevert(this.demandCommand());
      case 'supersede':
        return this.supersede();
      case 'begin-queued':
        return this.beginQueued();
      case 'undo-superseded':
        return this.undoSuperseded();
      case 'undo-by-person':
        return this.undoAskedFor();
      case 'undo-crash':
        return this.undoCrash();
      case 'finish-undo':
        return this.finishUndo();
    }
  }

  private async watchConfirmed(signal: AbortSignal): Promise<void> {
    const held = this.guarded();
    if (!held) return;
    this.guarding = true;
    this.onIdle();
    const reason = await watchConfirmed(this.context, held, signal).finally(() => (this.guarding = false));
    // A command that has begun meanwhile is carried out with a watch of its own.
    if (!reason || !isAtRest(this.row().state)) return;
    await this.undoSick(held, reason);
  }

  /** Whatever is wanted meanwhile ends the wait. */
  private async undoAgain(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.context;
    const left = () => timeToUndoAgain(strandedOf(this.row()), momentOf(clock)) ?? 0;
    this.guarding = true;
    this.onIdle();
    while (!signal.aborted && left() > 0) await pauseFor(Math.min(left(), LOOK_EVERY_MS), signal);
    this.guarding = false;
    const row = this.row();
    const stranded = strandedOf(row);
    if (signal.aborted || !stranded || !row.trial?.undo) return;
    const tries = stranded.tries + 1;
    log.info({ stream: this.stream, tries }, 'an undo that failed is made again');
    const trial = { ...row.trial, undoAttempts: 0, stranded: { ...stranded, tries } };
    await revertStream(this.context, this.stream, { trial, undo: row.trial.undo });
  }

  /** Until the switch the guard over what is live goes on; it ends a change that is only under way. */
  private async beside(signal: AbortSignal, work: PendingWork): Promise<void> {
    const guarded = this.guarded();
    // A stranded trial is live perhaps, not what was confirmed before it: there is nothing to be sure of.
    if (!guarded || this.row().trial) return work(signal, () => undefined);
    const reason = await watchBeside(this.context, guarded, signal, work);
    if (reason) await this.undoSick(guarded, reason);
  }

  private async undoSick(held: HeldRow, reason: Reason): Promise<void> {
    const undo = { cause: 'check', reason, begunAt: this.context.clock.now() } as const;
    const detail = `${held.version} was live, failed its own checks and was undone: ${reason.detail}`;
    await this.undoLive(held, undo, { code: 'ALREADY_SICK', detail });
  }

  /** Undoes what is live. A change that was under way, with nothing switched, ends `rejected` in the same write. */
  private async undoLive(live: HeldRow, undo: Undo, rejection: Reason): Promise<void> {
    const { context, stream } = this;
    const row = this.row();
    const pending = isAtRest(row.state) || row.state === 'watching' ? undefined : this.command(row);
    if (pending) await undoBefore(context, stream);
    const rejects = pending && { row: pending, reason: rejection };
    await revertStream(context, stream, { trial: this.trialOf(live), undo, ...(rejects ? { rejects } : {}) });
  }

  private async reject(error: unknown): Promise<void> {
    const { context, stream } = this;
    const row = this.command(this.row());
    if (!row) throw error;
    const { reason } = rejectionOf(context, error);
    await undoBefore(context, stream);
    if (reason.code === 'DISK_FULL') {
      context.holdings.discardIncoming = true;
      context.untidy = true;
    }
    rejectPending(context, row, reason);
  }

  private async carryOutRevert(row: CommandRow): Promise<void> {
    const { context, stream } = this;
    const { command } = row;
    const live = this.strandedRelease() ?? liveRelease(context, this.row());
    if (live?.digest === command.digest) {
      const undo: Undo = {
        cause: 'command',
        reason: { code: 'COMMANDED', detail: `rollout ${command.rollout} commanded the undo of ${live.version}` },
        begunAt: context.clock.now(),
        commandId: command.id,
      };
      return revertStream(context, stream, { trial: this.trialOf(live), undo });
    }
    const result = notLive(context, row, live);
    advance(context, stream, {
      event: 'answer-reverted',
      change: ended,
      journal: { kind: 'reverted', commandId: command.id, detail: { changed: false }, result },
    });
  }

  private async supersede(): Promise<void> {
    const { context, stream } = this;
    const old = this.command(this.row());
    await undoBefore(context, stream);
    context.store.transact(() => {
      const { stagedId } = this.row();
      if (old) {
        const result = this.superseded(old);
        journal(context, stream, { kind: 'superseded', commandId: old.command.id, result });
      }
      dropStaged(context, stagedId);
      this.beginQueued();
    });
  }

  private beginQueued(): void {
    advance(this.context, this.stream, {
      event: 'accept',
      change: ({ queuedId, stagedId: _staged, beforeBegun: _before, ...row }) => ({
        ...row,
        ...(queuedId === undefined ? {} : { commandId: queuedId }),
      }),
    });
  }

  private superseded(old: CommandRow, switchedAt?: number) {
    const newer = this.row().queuedId ?? 'a newer command';
    const reason = { code: 'SUPERSEDED', detail: `${newer} was accepted` } as const;
    const live = this.context.store.confirmed(this.stream)[0];
    return resultOf(this.context, old.command, { result: 'superseded', changed: false, reason, live, switchedAt });
  }

  private async undoSuperseded(): Promise<void> {
    const { context, stream } = this;
    const row = this.row();
    const old = this.command(row);
    const newer = row.queuedId === undefined ? undefined : context.store.command(row.queuedId);
    const { trial } = row;
    if (!trial || !newer) throw new Error(`stream ${stream} has no release on trial, or nothing queued`);
    const asked = newer.command.verb === 'revert';
    const undo: Undo = {
      cause: 'command',
      reason: asked
        ? { code: 'COMMANDED', detail: `rollout ${newer.command.rollout} commanded the undo` }
        : { code: 'SUPERSEDED', detail: `${newer.command.id} was accepted before this one was confirmed` },
      begunAt: context.clock.now(),
      ...(asked ? { commandId: newer.command.id } : {}),
    };
    const supersedes = old && this.superseded(old, trial.switchedAt);
    await revertStream(context, stream, { trial, undo, ...(supersedes ? { supersedes } : {}) });
  }

  private async undoAskedFor(): Promise<void> {
    const { asked, context, stream } = this;
    this.asked = undefined;
    const live = this.live();
    if (!asked || !live) return;
    if (live.id !== asked.live.id) {
      const detail = { stream, asked: asked.live.version, live: live.version };
      return context.log.warn(detail, 'an undo was asked for of what is no longer live; nothing is undone for it');
    }
    await this.undoLive(live, asked.undo, asked.undo.reason);
  }

  private async undoCrash(): Promise<void> {
    const { trial } = this.row();
    if (!trial) throw new Error(`stream ${this.stream} is switching and has no release on trial`);
    const reason = { code: 'CRASH_IN_SWITCH', detail: 'the switch ended neither way' } as const;
    const undo: Undo = { cause: 'boot', reason, begunAt: this.context.clock.now() };
    await revertStream(this.context, this.stream, { trial, undo });
  }

  private async finishUndo(): Promise<void> {
    const { trial } = this.row();
    if (!trial?.undo) throw new Error(`stream ${this.stream} is reverting and the store does not say what`);
    await revertStream(this.context, this.stream, { trial, undo: trial.undo });
  }

  /** The trial under way, or one made of a confirmed release that is to be undone. */
  private trialOf(live: HeldRow): Trial {
    const { clock, store } = this.context;
    const { trial } = this.row();
    if (trial?.releaseId === live.id) return { ...trial, undoAttempts: 0 };
    const confirmed = store.confirmed(this.stream);
    const lkg = confirmed[confirmed.findIndex((one) => one.id === live.id) + 1];
    const brought = live.adopted ? undefined : store.latestConverge(this.stream, live.digest);
    return {
      releaseId: live.id,
      ...(lkg ? { lkgId: lkg.id } : {}),
      ...(brought ? { commandId: brought.command.id } : {}),
      bootId: clock.bootId(),
      switchedAt: live.confirmedAt ?? clock.now(),
      switchedElapsed: clock.elapsed(),
      within: 0,
      restarts: 0,
      undoAttempts: 0,
    };
  }

  /** What an undo left that did not succeed: it may be live still, whatever was confirmed before it. */
  private strandedRelease(): HeldRow | undefined {
    const { safeMode, trial } = this.row();
    return safeMode && trial ? this.context.store.held(trial.releaseId) : undefined;
  }

  private row(): StreamRow {
    return this.context.store.stream(this.stream);
  }

  private command(row: StreamRow): CommandRow | undefined {
    return row.commandId === undefined ? undefined : this.context.store.command(row.commandId);
  }

  private demandCommand(): CommandRow {
    const found = this.command(this.row());
    if (!found) throw new Error(`stream ${this.stream} has no command under way`);
    return found;
  }
}

/** A person who let the stream out of safe mode has seen what is live, and left it. */
function strandedOf({ safeMode, state, trial }: StreamRow): Stranded | undefined {
  return safeMode && state === 'safe-mode' ? trial?.stranded : undefined;
}

async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

/** The answer to a revert of what is not live: nothing is changed, and the result of the converge that is known repeated. */
export function notLive(context: SiteContext, { command }: Pick<CommandRow, 'command'>, live: HeldRow | undefined) {
  const known = context.store.latestConverge(command.stream, command.digest);
  const detail = `${command.releaseVersion} is not live here${live ? `, ${live.version} is` : ''}`;
  return resultOf(context, command, {
    result: 'reverted',
    changed: false,
    cause: 'command',
    reason: { code: 'NOT_LIVE', detail },
    live,
    previous: known?.later ?? known?.result,
  });
}
