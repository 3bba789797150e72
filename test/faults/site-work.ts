/** What a simulated site carries out: waits in the place of files and programs, in the order that the real policies say. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cause, Command } from '../../policies/model/command.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import type { Reason } from '../../policies/model/verdict.js';
import { isPastSwitchBy } from '../../policies/site/decide-command.js';
import { decideWork, mayUndoLive, type Work } from '../../policies/site/decide-work.js';
import { isAtRest } from '../../policies/site/transitions.js';
import type { Held, KnownCommand, SiteBooks } from './site-books.js';

/**
 * How a release goes at this site. `then-revert`: it confirms, and reverts by itself `laterMs` after. `revert-once`,
 * `reject-once`: so goes its first try, and a later one confirms.
 */
export type Fate = 'confirm' | 'revert' | 'reject' | 'sick' | 'then-revert' | 'revert-once' | 'reject-once';

export interface SiteScript {
  /** By version; a version that is not named confirms. */
  fates: Record<string, Fate>;
  stageMs: number;
  switchMs: number;
  watchMs: number;
  undoMs: number;
  laterMs: number;
}

export class SiteWork {
  private running: Promise<void> | undefined;
  private controller = new AbortController();
  private stopped = false;
  private timer: NodeJS.Timeout | undefined;
  private ownUndo: { cause: Cause; code: ReasonCode } | undefined;

  /** `found`: what is live where nothing was ever confirmed. */
  constructor(
    private readonly books: SiteBooks,
    private readonly script: SiteScript,
    private readonly found: Held | undefined,
  ) {}

  wake(): void {
    if (this.stopped) return;
    this.running ??= this.run().finally(() => {
      this.running = undefined;
      if (this.next() !== 'nothing') this.wake();
    });
  }

  interrupt(): void {
    this.controller.abort();
  }

  /** No timer is left behind; what is under way is abandoned. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.controller.abort();
    await this.running;
  }

  private next(): Work {
    const { books } = this;
    const verb = books.underWay()?.command.verb;
    const queued = books.queuedId !== undefined;
    return decideWork({ state: books.state, ...(verb ? { verb } : {}), queued, person: this.ownUndo !== undefined });
  }

  private async run(): Promise<void> {
    for (let work = this.next(); work !== 'nothing' && !this.stopped; work = this.next()) {
      this.controller = new AbortController();
      await this.carryOut(work, this.controller.signal);
    }
  }

  private async carryOut(work: Work, signal: AbortSignal): Promise<void> {
    const { books } = this;
    const known = books.underWay();
    if (work === 'undo-by-person') return this.undoOwn();
    if (work === 'begin-queued') return this.beginQueued();
    if (!known) throw new Error(`${books.site}: ${work} with no command under way`);
    switch (work) {
      case 'supersede':
        books.endSuperseded(known, books.queuedId ?? '');
        return this.beginQueued();
      case 'stage':
        return this.stage(known, signal);
      case 'activate':
        return this.activate(known);
      case 'watch':
        return this.watch(known, signal);
      case 'undo-superseded':
        return this.undoSuperseded(known);
      case 'carry-out-revert':
        return this.carryOutRevert(known);
      case 'watch-confirmed':
      case 'undo-again':
      case 'undo-crash':
      case 'finish-undo':
      case 'nothing':
        throw new Error(`${books.site}: a simulated site neither crashes nor watches on, got ${work}`);
    }
  }

  private async stage(known: KnownCommand, signal: AbortSignal): Promise<void> {
    const { books } = this;
    const { command } = known;
    if (!(await pause(this.script.stageMs, signal))) return;
    const refused = this.refusalOf(known);
    if (refused) return this.reject(command, refused);
    books.advance('stage');
    books.journal('staged', command.id, {});
  }

  private refusalOf({ command, acceptedAt }: KnownCommand): Reason | undefined {
    const now = Date.now();
    const moment = { now, timeFloor: command.issuedAt, elapsedSinceAccepted: now - acceptedAt };
    if (isPastSwitchBy(command, moment)) return { code: 'SWITCH_BY_PASSED', detail: 'too late to switch' };
    const held = this.books.quarantine.some((one) => one.digest === command.digest);
    if (held && !command.allowed) return { code: 'QUARANTINED', detail: 'it failed here before' };
    const fate = this.fateOf(command);
    if (fate === 'reject') return { code: 'REQUIRES_UNMET', detail: 'the script of the site says so' };
    return fate === 'sick' ? { code: 'ALREADY_SICK', detail: 'the script of the site says so' } : undefined;
  }

  private async activate(known: KnownCommand): Promise<void> {
    const { books } = this;
    const { command } = known;
    if (books.live?.digest === command.digest) {
      const result = books.resultOf(command, { result: 'confirmed', changed: false });
      books.advance('answer-confirmed');
      books.rest();
      return books.journal('confirmed', command.id, { changed: false }, result);
    }
    const refused = this.refusalOf(known);
    if (refused) return this.reject(command, refused);
    if (!books.confirmed[0] && this.found) this.adopt(this.found);
    const release = { version: command.releaseVersion, digest: command.digest };
    books.advance('switch');
    books.trial = { release, commandId: command.id, switchedAt: Date.now() };
    books.journal('switching', command.id, {});
    books.logSwitch(books.confirmed[0], release, command.id, 'converge');
    await sleep(this.script.switchMs);
    books.advance('watch');
    books.journal('watching', command.id, {});
  }

  private async watch({ command }: KnownCommand, signal: AbortSignal): Promise<void> {
    const { books } = this;
    if (!(await pause(this.script.watchMs, signal)) || !books.trial) return;
    const fate = this.fateOf(command);
    if (fate === 'revert') return this.undo('check', 'CHECK_FAILED', command);
    const { release } = books.trial;
    books.advance('confirm');
    books.rest();
    books.confirm(release);
    books.journal('confirmed', command.id, {}, books.resultOf(command, { result: 'confirmed', changed: true }));
    if (fate === 'then-revert') this.revertLater(release);
  }

  /** A confirmed release that turns bad: the site undoes it alone, as its watch would, also beside what is only under way. */
  private revertLater(release: Held): void {
    this.timer = setTimeout(() => {
      const { books } = this;
      if (books.live?.digest !== release.digest || !mayUndoLive(books.state, books.underWay()?.command.verb)) return;
      this.ownUndo = { cause: 'check', code: 'CHECK_FAILED' };
      this.interrupt();
      this.wake();
    }, this.script.laterMs);
  }

  private async undoOwn(): Promise<void> {
    const { books, ownUndo } = this;
    this.ownUndo = undefined;
    const { live } = books;
    const converge = live && books.latestConverge(live.digest)?.command;
    const pending = isAtRest(books.state) ? undefined : books.underWay();
    if (pending) this.reject(pending.command, { code: 'ALREADY_SICK', detail: 'what was live failed and is undone' });
    if (!live || !ownUndo || !converge || books.confirmed.length < 2) return;
    books.trial = { release: live, commandId: converge.id, switchedAt: Date.now() };
    await this.undo(ownUndo.cause, ownUndo.code, converge);
  }

  private async undoSuperseded(known: KnownCommand): Promise<void> {
    const { books } = this;
    const queued = books.queued();
    if (!queued) return;
    books.endSuperseded(known, queued.command.id);
    const asked = queued.command.verb === 'revert' ? queued.command : undefined;
    if (asked) {
      books.commandId = asked.id;
      books.queuedId = undefined;
    }
    await this.undo('command', asked ? 'COMMANDED' : 'SUPERSEDED', asked);
  }

  private async carryOutRevert({ command }: KnownCommand): Promise<void> {
    const { books } = this;
    const { live } = books;
    if (live?.digest !== command.digest) {
      books.advance('answer-reverted');
      books.rest();
      const result = books.notLive(command);
      return books.journal('reverted', command.id, { changed: false }, result);
    }
    const converge = books.latestConverge(live.digest)?.command.id;
    books.trial = { release: live, switchedAt: Date.now(), ...(converge === undefined ? {} : { commandId: converge }) };
    await this.undo('command', 'COMMANDED', command);
  }

  /** The one undo. `of`: the command whose result it is; without one it only makes room for a newer converge. */
  private async undo(cause: Cause, code: ReasonCode, of: Command | undefined): Promise<void> {
    const { books } = this;
    const { trial } = books;
    if (!trial) throw new Error(`${books.site}: nothing to undo`);
    const reason = { code, detail: `undone by ${cause}` };
    const previous = of?.verb === 'revert' ? books.lastWordOn(trial.commandId) : undefined;
    books.advance('undo');
    books.journal('reverting', of?.id ?? trial.commandId, { cause, reason });
    await sleep(this.script.undoMs);
    books.confirmed = books.confirmed.filter((one) => one.digest !== trial.release.digest);
    if (cause !== 'command') {
      const { version, digest } = trial.release;
      books.quarantine.push({ stream: books.stream, version, digest, code, at: Date.now() });
    }
    books.logSwitch(trial.release, books.confirmed[0], of?.id ?? trial.commandId ?? '', cause);
    books.advance('undone');
    books.rest();
    const result =
      of && books.resultOf(of, { result: 'reverted', changed: of.verb === 'revert', cause, reason, previous });
    books.journal('reverted', of?.id ?? trial.commandId, { cause, reason }, result);
  }

  private reject(command: Command, reason: Reason): void {
    const { books } = this;
    const result = books.resultOf(command, { result: 'rejected', changed: false, reason });
    books.advance('reject');
    books.rest();
    books.journal('rejected', command.id, { reason }, result);
  }

  private beginQueued(): void {
    const { books } = this;
    books.advance('accept');
    books.commandId = books.queuedId;
    books.queuedId = undefined;
  }

  /** Before its first switch of the stream a site adopts what it finds, so that there is something to go back to. */
  private adopt(found: Held): void {
    const { version, digest } = found;
    this.books.confirm(found);
    this.books.journal('adopted', undefined, { version, digest });
  }

  private fateOf({ releaseVersion, try: number }: Command): Fate {
    const fate = this.script.fates[releaseVersion] ?? 'confirm';
    if (fate !== 'revert-once' && fate !== 'reject-once') return fate;
    if (number > 1) return 'confirm';
    return fate === 'revert-once' ? 'revert' : 'reject';
  }
}

/** False if it was ended early. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, undefined, { signal }).then(
    () => true,
    () => false,
  );
}
