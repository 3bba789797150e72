/** What each kind of work does to one stream. The runner decides which, and when; every step ends with a durable change. */
import { decideWork, mayUndoLive, type Work } from '../policies/site/decide-work.js';
import { timeToUndoAgain } from '../policies/site/decide-undo-again.js';
import { isAtRest } from '../policies/site/transitions.js';
import type { Reason } from '../policies/model/verdict.js';
import {
  advance,
  commandUnderWay,
  dropStaged,
  ended,
  journal,
  liveAtRest,
  liveRelease,
  rejectPending,
  resultOf,
} from './advance.js';
import { activateConverge, undoBefore } from './activate.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import { pauseFor } from './pause.js';
import { watchBeside, type PendingWork } from './pending.js';
import { revertStream, tellEnd } from './revert.js';
import { isUndoneBy, notLive } from './revert-command.js';
import { rejectionOf, stageConverge } from './stage.js';
import type { CommandRow, HeldRow, StreamRow, Undo } from './store/rows.js';
import { strandedOf, strandedRelease, trialOf } from './trial.js';
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

export class StreamWork {
  /** Whether the books were held against what is live. */
  private looked = false;

  /** `whileGuarding` runs what only guards, and gives way to whatever is wanted. */
  constructor(
    private readonly context: SiteContext,
    private readonly stream: string,
    private readonly whileGuarding: <T>(watch: () => Promise<T>) => Promise<T>,
  ) {}

  /** `person`: an undo was asked for. */
  next(person: boolean): Work {
    const row = this.row();
    const verb = this.command(row)?.command.verb;
    const { clock, observing } = this.context;
    return decideWork({
      state: row.state,
      ...(verb ? { verb } : {}),
      queued: row.queuedId !== undefined,
      person,
      guarded: this.guarded() !== undefined,
      undoAgain: !observing && timeToUndoAgain(strandedOf(row), momentOf(clock)) !== undefined,
    });
  }

  /** Before anything else of the stream: what the guard undid is told, and what the books have missed. */
  async settleBooks(): Promise<void> {
    const ended = this.context.untold.get(this.stream);
    if (ended) await tellEnd(this.context, this.stream, ended);
    await this.finishUnbooked();
  }

  async carryOut(work: Exclude<Work, 'nothing' | 'undo-by-person'>, signal: AbortSignal): Promise<void> {
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
      case 'undo-crash':
        return this.undoCrash();
      case 'finish-undo':
        return this.finishUndo();
    }
  }

  /** Ends the command under way with nothing switched. Throws `error` if there is none. */
  async reject(error: unknown): Promise<void> {
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

  async undoAsked(asked: AskedUndo): Promise<void> {
    const { context, stream } = this;
    const live = this.live();
    if (!live) return;
    if (live.id !== asked.live.id) {
      const detail = { stream, asked: asked.live.version, live: live.version };
      return context.log.warn(detail, 'an undo was asked for of what is no longer live; nothing is undone for it');
    }
    await this.undoLive(live, asked.undo, asked.undo.reason);
  }

  /** Once in the life of a process: the books are what all the rest goes by. */
  private async finishUnbooked(): Promise<void> {
    if (this.looked || this.context.observing) return;
    this.looked = true;
    const live = this.undoable();
    if (!live?.confirmedAt || !(await isUndoneUnbooked(this.context, live))) return;
    // A revert that was taken in meanwhile undoes it itself, and is answered.
    if (this.undoable()?.id !== live.id) return;
    const detail = `${live.version} had been undone, and the disk had not let it be written down`;
    const undo = { cause: 'boot', reason: { code: 'NOT_LIVE', detail }, begunAt: this.context.clock.now() } as const;
    await this.undoLive(live, undo, { code: 'ALREADY_SICK', detail });
  }

  private async watchConfirmed(signal: AbortSignal): Promise<void> {
    const held = this.guarded();
    if (!held) return;
    const reason = await this.whileGuarding(() => watchConfirmed(this.context, held, signal));
    // A command that has begun meanwhile is carried out with a watch of its own.
    if (!reason || !isAtRest(this.row().state)) return;
    await this.undoSick(held, reason);
  }

  /** Whatever is wanted meanwhile ends the wait. */
  private async undoAgain(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.context;
    const left = () => timeToUndoAgain(strandedOf(this.row()), momentOf(clock)) ?? 0;
    await this.whileGuarding(async () => {
      while (!signal.aborted && left() > 0) await pauseFor(Math.min(left(), LOOK_EVERY_MS), signal);
    });
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
    await revertStream(context, stream, { trial: trialOf(context, live), undo, ...(rejects ? { rejects } : {}) });
  }

  private async carryOutRevert(row: CommandRow): Promise<void> {
    const { context, stream } = this;
    const { command } = row;
    const live = strandedRelease(context, this.row()) ?? liveRelease(context, this.row());
    if (live && isUndoneBy(command, this.row(), live)) {
      const undo: Undo = {
        cause: 'command',
        reason: { code: 'COMMANDED', detail: `rollout ${command.rollout} commanded the undo of ${live.version}` },
        begunAt: context.clock.now(),
        commandId: command.id,
      };
      return revertStream(context, stream, { trial: trialOf(context, live), undo });
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
    // A revert of something else may have taken the place of a converge that waited: it is answered by itself then.
    const asked =
      newer.command.verb === 'revert' && isUndoneBy(newer.command, row, context.store.held(trial.releaseId));
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

  /** Who only observes undoes nothing, whatever becomes of what is live. */
  private guarded(): HeldRow | undefined {
    return this.context.observing ? undefined : guardedRelease(this.context, this.stream);
  }

  /** What is live, if it may be undone beside whatever is under way; not what an undo left stranded. */
  private undoable(): HeldRow | undefined {
    const row = this.row();
    return row.trial || !mayUndoLive(row.state, this.command(row)?.command.verb) ? undefined : this.live();
  }

  private live(): HeldRow | undefined {
    return liveAtRest(this.context, this.row());
  }

  row(): StreamRow {
    return this.context.store.stream(this.stream);
  }

  private command(row: StreamRow): CommandRow | undefined {
    return commandUnderWay(this.context.store, row);
  }

  private demandCommand(): CommandRow {
    const found = this.command(this.row());
    if (!found) throw new Error(`stream ${this.stream} has no command under way`);
    return found;
  }
}
