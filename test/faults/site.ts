/**
 * A simulated site: the site door over the real policies (order, admission, work, transitions), with waits in the place
 * of files and programs. It decides as an agent does; what it does is a word in its log.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cause, Command, Envelope, Settled, SiteState } from '../../policies/model/command.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { openEnvelope } from '../../policies/signing/dsse.js';
import { decideAdmission, isPastSwitchBy, judgeCommand } from '../../policies/site/decide-command.js';
import { decideWork, type Work } from '../../policies/site/decide-work.js';
import { isAtRest } from '../../policies/site/transitions.js';
import { SiteBooks, type Held, type KnownCommand } from './site-books.js';

/** How a release goes at this site. `then-revert`: it confirms, and reverts by itself `laterMs` after. */
export type Fate = 'confirm' | 'revert' | 'reject' | 'sick' | 'then-revert';

export interface SiteScript {
  /** By version; a version that is not named confirms. */
  fates: Record<string, Fate>;
  stageMs: number;
  switchMs: number;
  watchMs: number;
  undoMs: number;
  laterMs: number;
}

interface Observer {
  last: SiteState;
  onState: (state: SiteState) => void;
  end: () => void;
}

export class SimulatedSite implements SiteDoor {
  readonly books: SiteBooks;
  private readonly observers = new Map<string, Observer>();
  private running: Promise<void> | undefined;
  private controller = new AbortController();
  private admitting = false;
  private stopped = false;
  private timer: NodeJS.Timeout | undefined;
  private ownUndo: { cause: Cause; code: ReasonCode } | undefined;

  constructor(
    identity: { site: string; stream: string; confirmed: Held[] },
    private readonly script: SiteScript,
    private readonly controlKeyPem: string,
  ) {
    this.books = new SiteBooks(identity.site, identity.stream, identity.confirmed);
    this.books.onEvent((event) => this.tell(event));
  }

  async accept(envelope: Envelope): Promise<{ commandId: string; state: SiteState }> {
    const command = openEnvelope(envelope, [this.controlKeyPem]);
    if (!command || command.site !== this.books.site) {
      throw new MistakeError('SIGNATURE_INVALID', `expected a signed command for ${this.books.site}`);
    }
    this.admitting = true;
    try {
      this.take(command);
    } finally {
      this.admitting = false;
    }
    const known = this.books.commands.get(command.id);
    return { commandId: command.id, state: known ? this.books.stateOf(known) : 'accepted' };
  }

  async observe(commandId: string, signal: AbortSignal, onState: (state: SiteState) => void): Promise<Settled> {
    const known = this.books.commands.get(commandId);
    if (!known) throw new MistakeError('NOT_COMMANDED', `expected a command that was accepted here, got ${commandId}`);
    this.observers.get(commandId)?.end();
    const last = this.books.stateOf(known);
    onState(last);
    if (!known.result && !signal.aborted) await this.attach(commandId, { last, onState }, signal);
    if (!known.result) return { kind: 'unsettled', commandId, state: this.books.stateOf(known) };
    const events = this.unacknowledged(200);
    return { kind: 'result', commandId, result: known.result, report: this.books.report(), events };
  }

  async report(): Promise<SiteReport> {
    return this.books.report();
  }

  unacknowledged(limit: number): SiteEvent[] {
    return this.books.events.filter(({ sequence }) => sequence > this.books.ackedThrough).slice(0, limit);
  }

  observed({ commandId }: SiteEvent): boolean {
    return this.admitting || (commandId !== undefined && this.observers.has(commandId));
  }

  onEvent(listener: (event: SiteEvent) => void): () => void {
    return this.books.onEvent(listener);
  }

  contacted(): void {}

  /** No timer is left behind; what is under way is abandoned. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    this.controller.abort();
    for (const observer of [...this.observers.values()]) observer.end();
    await this.running;
  }

  /** Taken in at once, or refused for good; the order of commands is the policy's alone. */
  private take(command: Command): void {
    const { books } = this;
    const judged = judgeCommand(command, books, books.commands.has(command.id));
    books.log.push({ kind: 'command', at: Date.now(), judged, command });
    if (command.ackedThrough.epoch === 1) {
      books.ackedThrough = Math.max(books.ackedThrough, command.ackedThrough.sequence);
    }
    if (judged === 'same') return this.wake();
    books.commands.set(command.id, { command, acceptedAt: Date.now() });
    if (judged === 'stale') {
      const reason = { code: 'STALE', detail: `above ${books.generation}/${books.try} was expected` } as const;
      const result = books.resultOf(command, { result: 'rejected', changed: false, reason });
      return books.journal('rejected', command.id, { reason }, result);
    }
    books.generation = command.generation;
    books.try = command.try;
    this.admit(command);
  }

  private admit(command: Command): void {
    const { books } = this;
    const pending = [books.queued(), books.underWay()].find((one) => one?.command.verb === 'converge')?.command.digest;
    // From its durable switch on a release counts as live, however far the switch has come.
    const live = books.trial?.release.digest === command.digest ? command.digest : books.live?.digest;
    const situation = { state: books.state, ...(live ? { live } : {}), ...(pending ? { pending } : {}) };
    const admission = decideAdmission(command, situation, books.queuedId !== undefined);
    if (admission === 'begin') {
      books.advance('accept');
      books.commandId = command.id;
    }
    books.journal('accepted', command.id, { verb: command.verb, generation: command.generation, try: command.try });
    if (admission === 'begin') return this.wake();
    if (admission === 'answer') return this.answerNotLive(command);
    const replaced = books.queued();
    if (replaced) this.endSuperseded(replaced, command.id);
    books.queuedId = command.id;
    if (admission === 'interrupt') this.controller.abort();
    this.wake();
  }

  private wake(): void {
    if (this.stopped) return;
    this.running ??= this.run().finally(() => {
      this.running = undefined;
      if (this.next() !== 'nothing') this.wake();
    });
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
        this.endSuperseded(known, books.queuedId ?? '');
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
    if (refused) return this.reject(command, refused.code, refused.detail);
    books.advance('stage');
    books.journal('staged', command.id, {});
  }

  private refusalOf({ command, acceptedAt }: KnownCommand): { code: ReasonCode; detail: string } | undefined {
    const now = Date.now();
    const moment = { now, timeFloor: command.issuedAt, elapsedSinceAccepted: now - acceptedAt };
    if (isPastSwitchBy(command, moment)) return { code: 'SWITCH_BY_PASSED', detail: 'too late to switch' };
    const held = this.books.quarantine.some((one) => one.digest === command.digest);
    if (held && !command.allowed) return { code: 'QUARANTINED', detail: 'it failed here before' };
    const fate = this.script.fates[command.releaseVersion];
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
    if (refused) return this.reject(command, refused.code, refused.detail);
    const release = { version: command.releaseVersion, digest: command.digest };
    books.advance('switch');
    books.trial = { release, commandId: command.id, switchedAt: Date.now() };
    books.journal('switching', command.id, {});
    this.logSwitch(books.confirmed[0], release, command.id, 'converge');
    await sleep(this.script.switchMs);
    books.advance('watch');
    books.journal('watching', command.id, {});
  }

  private async watch({ command }: KnownCommand, signal: AbortSignal): Promise<void> {
    const { books } = this;
    if (!(await pause(this.script.watchMs, signal)) || !books.trial) return;
    const fate = this.script.fates[command.releaseVersion] ?? 'confirm';
    if (fate === 'revert') return this.undo('check', 'CHECK_FAILED', command);
    const { release } = books.trial;
    books.advance('confirm');
    books.rest();
    books.confirm(release);
    books.journal('confirmed', command.id, {}, books.resultOf(command, { result: 'confirmed', changed: true }));
    if (fate === 'then-revert') this.revertLater(release);
  }

  /** A confirmed release that turns bad: the site undoes it alone, as its watch would. */
  private revertLater(release: Held): void {
    this.timer = setTimeout(() => {
      if (this.books.live?.digest !== release.digest || !isAtRest(this.books.state)) return;
      this.ownUndo = { cause: 'check', code: 'CHECK_FAILED' };
      this.wake();
    }, this.script.laterMs);
  }

  private async undoOwn(): Promise<void> {
    const { books, ownUndo } = this;
    this.ownUndo = undefined;
    const { live } = books;
    const converge = live && books.latestConverge(live.digest)?.command;
    if (!live || !ownUndo || !converge || books.confirmed.length < 2) return;
    books.trial = { release: live, commandId: converge.id, switchedAt: Date.now() };
    await this.undo(ownUndo.cause, ownUndo.code, converge);
  }

  private async undoSuperseded(known: KnownCommand): Promise<void> {
    const queued = this.books.queued();
    if (!queued) return;
    this.endSuperseded(known, queued.command.id);
    const asked = queued.command.verb === 'revert' ? queued.command : undefined;
    if (asked) {
      this.books.commandId = asked.id;
      this.books.queuedId = undefined;
    }
    await this.undo('command', asked ? 'COMMANDED' : 'SUPERSEDED', asked);
  }

  private async carryOutRevert({ command }: KnownCommand): Promise<void> {
    const { books } = this;
    const { live } = books;
    if (live?.digest !== command.digest) {
      books.advance('answer-reverted');
      books.rest();
      const result = this.notLive(command);
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
    const previous = of?.verb === 'revert' ? this.lastWordOn(trial.commandId) : undefined;
    books.advance('undo');
    books.journal('reverting', of?.id ?? trial.commandId, { cause, reason });
    await sleep(this.script.undoMs);
    books.confirmed = books.confirmed.filter((one) => one.digest !== trial.release.digest);
    if (cause !== 'command') {
      const { version, digest } = trial.release;
      books.quarantine.push({ stream: books.stream, version, digest, code, at: Date.now() });
    }
    this.logSwitch(trial.release, books.confirmed[0], of?.id ?? trial.commandId ?? '', cause);
    books.advance('undone');
    books.rest();
    const result =
      of && books.resultOf(of, { result: 'reverted', changed: of.verb === 'revert', cause, reason, previous });
    books.journal('reverted', of?.id ?? trial.commandId, { cause, reason }, result);
  }

  private lastWordOn(commandId: string | undefined) {
    const converge = commandId === undefined ? undefined : this.books.commands.get(commandId);
    return converge?.later ?? converge?.result;
  }

  private reject(command: Command, code: ReasonCode, detail: string): void {
    const reason = { code, detail };
    const result = this.books.resultOf(command, { result: 'rejected', changed: false, reason });
    this.books.advance('reject');
    this.books.rest();
    this.books.journal('rejected', command.id, { reason }, result);
  }

  private answerNotLive(command: Command): void {
    this.books.journal('reverted', command.id, { changed: false }, this.notLive(command));
  }

  private notLive(command: Command) {
    const known = this.books.latestConverge(command.digest);
    const reason = { code: 'NOT_LIVE', detail: `${command.releaseVersion} is not live here` } as const;
    const previous = known?.later ?? known?.result;
    return this.books.resultOf(command, { result: 'reverted', changed: false, cause: 'command', reason, previous });
  }

  private endSuperseded({ command }: KnownCommand, newer: string): void {
    const reason = { code: 'SUPERSEDED', detail: `${newer} was accepted` } as const;
    const result = this.books.resultOf(command, { result: 'superseded', changed: false, reason });
    this.books.journal('superseded', command.id, {}, result);
  }

  private beginQueued(): void {
    const { books } = this;
    books.advance('accept');
    books.commandId = books.queuedId;
    books.queuedId = undefined;
  }

  private logSwitch(from: Held | undefined, to: Held | undefined, commandId: string, why: string): void {
    const words = { from: from?.digest ?? 'nothing', to: to?.digest ?? 'nothing', commandId, why };
    this.books.log.push({ kind: 'switch', at: Date.now(), ...words });
  }

  private async attach(
    commandId: string,
    { last, onState }: Pick<Observer, 'last' | 'onState'>,
    signal: AbortSignal,
  ): Promise<void> {
    await new Promise<void>((resolve) => {
      const observer: Observer = { last, onState, end: () => end() };
      const end = (): void => {
        signal.removeEventListener('abort', end);
        if (this.observers.get(commandId) === observer) this.observers.delete(commandId);
        resolve();
      };
      this.observers.set(commandId, observer);
      signal.addEventListener('abort', end, { once: true });
    });
  }

  /** After whoever else listens: `observed` must still answer for the event. */
  private tell(event: SiteEvent): void {
    queueMicrotask(() => {
      for (const [commandId, observer] of [...this.observers]) {
        const known = this.books.commands.get(commandId);
        if (!known || event.stream !== this.books.stream) continue;
        const state = this.books.stateOf(known);
        if (state !== observer.last) observer.onState((observer.last = state));
        if (known.result) observer.end();
      }
    });
  }
}

/** False if it was ended early. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, undefined, { signal }).then(
    () => true,
    () => false,
  );
}
