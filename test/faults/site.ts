/**
 * A simulated site: the site door over the real policies (signatures, epoch, order, admission), with what is carried out
 * in `site-work.ts`. It decides as an agent does; what it does is a word in its log.
 */
import type { Command, Envelope, Result, Settled, SiteState } from '../../policies/model/command.js';
import type { SignedToken } from '../../policies/model/enrolment.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { decideAdmission, judgeCommand } from '../../policies/site/decide-command.js';
import type { NotTaken } from '../../policies/site/not-taken.js';
import type { SiteEntry } from './facts.js';
import { SiteBooks, type Held } from './site-books.js';
import { SiteSelf } from './site-self.js';
import { SiteWork, type SiteScript } from './site-work.js';

export type { Fate, SiteScript } from './site-work.js';

export interface SimulatedIdentity {
  site: string;
  stream: string;
  /** Newest first; empty for a new box. */
  confirmed: Held[];
  /** What is live where nothing was ever confirmed. */
  found?: Held;
  /** Taken in before it starts, as at a box that was put in the place of another. */
  token?: { token: SignedToken; instance: string };
  /** Of the place, which outlives its box. */
  log?: SiteEntry[];
}

interface Observer {
  last: SiteState;
  onState: (state: SiteState) => void;
  end: () => void;
}

export class SimulatedSite implements SiteDoor {
  readonly books: SiteBooks;
  private readonly self: SiteSelf;
  private readonly work: SiteWork;
  private readonly observers = new Map<string, Observer>();
  /** Answers to commands that were not taken in: nothing of them is on the books. */
  private readonly refused = new Map<string, Result>();
  private admitting = false;

  constructor(identity: SimulatedIdentity, script: SiteScript, controlKeyPem: string) {
    const { site, stream, confirmed, found, token, log } = identity;
    this.books = new SiteBooks(site, stream, confirmed, log);
    this.self = new SiteSelf(site, [controlKeyPem]);
    this.work = new SiteWork(this.books, script, found);
    this.books.onEvent((event) => this.tell(event));
    if (!token) return;
    this.self.enrol(token.token, token.instance);
    this.books.epoch = this.self.epoch;
  }

  async accept(envelope: Envelope): Promise<{ commandId: string; state: SiteState }> {
    const { books } = this;
    const journal = { sequence: books.events.length, hashAt: (sequence: number) => books.hashAt(sequence) };
    const { command, refused } = this.self.open(envelope, journal);
    if (refused) return this.refuse(command, refused);
    this.refused.delete(command.id);
    this.admitting = true;
    try {
      this.take(command, envelope);
    } finally {
      this.admitting = false;
    }
    const known = books.commands.get(command.id);
    return { commandId: command.id, state: known ? books.stateOf(known) : 'accepted' };
  }

  async observe(commandId: string, signal: AbortSignal, onState: (state: SiteState) => void): Promise<Settled> {
    const refused = this.refused.get(commandId);
    if (refused) {
      onState('rejected');
      return { kind: 'result', commandId, result: refused, report: await this.report(), events: [] };
    }
    const known = this.books.commands.get(commandId);
    if (!known) throw new MistakeError('NOT_COMMANDED', `expected a command that was accepted here, got ${commandId}`);
    this.observers.get(commandId)?.end();
    const last = this.books.stateOf(known);
    onState(last);
    if (!known.result && !signal.aborted) await this.attach(commandId, { last, onState }, signal);
    if (!known.result) return { kind: 'unsettled', commandId, state: this.books.stateOf(known) };
    const events = this.unacknowledged(200);
    return { kind: 'result', commandId, result: known.result, report: await this.report(), events };
  }

  async report(): Promise<SiteReport> {
    return { ...this.books.report(), ...this.self.reported() };
  }

  unacknowledged(limit: number, after = 0): SiteEvent[] {
    const told = Math.max(this.books.ackedThrough, after);
    return this.books.events.filter(({ sequence }) => sequence > told).slice(0, limit);
  }

  observed({ commandId }: SiteEvent): boolean {
    return this.admitting || (commandId !== undefined && this.observers.has(commandId));
  }

  onEvent(listener: (event: SiteEvent) => void): () => void {
    return this.books.onEvent(listener);
  }

  contacted(): void {}

  /** Who observes it is told nothing more. */
  async stop(): Promise<void> {
    const stopped = this.work.stop();
    for (const observer of [...this.observers.values()]) observer.end();
    await stopped;
  }

  /** Under the id of a command that was taken in before, that one's own result is the answer. */
  private refuse(command: Command, reason: NotTaken): { commandId: string; state: SiteState } {
    const { books } = this;
    books.log.push({ kind: 'refused', at: Date.now(), epoch: books.epoch, command, reason });
    const result = books.resultOf(command, { result: 'rejected', changed: false, reason });
    if (!books.commands.has(command.id)) this.refused.set(command.id, { ...result, site: books.site });
    return { commandId: command.id, state: 'rejected' };
  }

  /** Taken in at once, or refused for good; the order of commands is the policy's alone. */
  private take(command: Command, { signatures }: Envelope): void {
    const { books } = this;
    const judged = judgeCommand(command, books, books.commands.has(command.id));
    const signedBy = signatures.map(({ keyid }) => keyid);
    books.log.push({ kind: 'command', at: Date.now(), judged, command, epoch: books.epoch, signedBy });
    if (command.ackedThrough.epoch === books.epoch) {
      books.ackedThrough = Math.max(books.ackedThrough, command.ackedThrough.sequence);
    }
    if (judged === 'same') return this.work.wake();
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
    if (admission === 'begin') return this.work.wake();
    if (admission === 'answer') {
      return books.journal('reverted', command.id, { changed: false }, books.notLive(command));
    }
    const replaced = books.queued();
    if (replaced) books.endSuperseded(replaced, command.id);
    books.queuedId = command.id;
    if (admission === 'interrupt') this.work.interrupt();
    this.work.wake();
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
