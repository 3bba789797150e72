/** Who watches which command. One observer a command: a newer one ends the older, `unsettled`. */
import type { Settled, SiteState } from '../policies/model/command.js';
import { MistakeError } from '../policies/model/failure.js';
import type { SiteEvent } from '../policies/model/report.js';
import { bytesOf, fits, leading, PAYLOAD_BYTES } from '../policies/site/plan-outbox.js';
import { stateOf } from './accept.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { reportOf } from './report.js';

interface Observer {
  commandId: string;
  stream: string;
  last: SiteState;
  onState: (state: SiteState) => void;
  end: () => void;
}

/** Events that go with a result; what is left over comes with the next one or through the inbox. */
const WITH_RESULT = { entries: 200, bytes: PAYLOAD_BYTES };

export class Observers {
  private readonly byCommand = new Map<string, Observer>();

  constructor(private readonly context: SiteContext) {}

  /**
   * True if the result of an observed command is still to come and will carry the event: an adoption names none. `isAdmitted`:
   * it was journaled while a command was taken in, which is observed next.
   */
  willCarry({ commandId, sequence, stream }: SiteEvent, isAdmitted = false): boolean {
    // Behind a long journal it would not be among them, and come an hour later with the next report.
    if (!this.hasRoomFor(sequence)) return false;
    if (isAdmitted) return true;
    if (commandId !== undefined) return this.byCommand.has(commandId);
    return [...this.byCommand.values()].some((observer) => observer.stream === stream);
  }

  private hasRoomFor(sequence: number): boolean {
    const { store } = this.context;
    const acked = store.number('ackedThrough');
    const entries = sequence - acked;
    // Not read where their number tells: it is asked at every event.
    return entries <= WITH_RESULT.entries && fits({ entries, bytes: store.eventBytes(acked, sequence) }, WITH_RESULT);
  }

  /** Throws MistakeError if the command was never accepted here. */
  async observe(commandId: string, signal: AbortSignal, onState: (state: SiteState) => void): Promise<Settled> {
    const { store } = this.context;
    const row = store.command(commandId);
    if (!row) throw new MistakeError('NOT_COMMANDED', `expected a command that was accepted here, got ${commandId}`);
    this.byCommand.get(commandId)?.end();
    const first = stateOf(this.context, row);
    onState(first);
    if (!row.result && !signal.aborted) await this.attach(commandId, row.command.stream, first, signal, onState);
    return this.settledOf(commandId);
  }

  private async attach(
    commandId: string,
    stream: string,
    last: SiteState,
    signal: AbortSignal,
    onState: (state: SiteState) => void,
  ): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = () => {
        signal.removeEventListener('abort', end);
        if (this.byCommand.get(commandId) === observer) this.byCommand.delete(commandId);
        resolve();
      };
      const observer: Observer = { commandId, stream, last, onState, end };
      this.byCommand.set(commandId, observer);
      signal.addEventListener('abort', end, { once: true });
    });
  }

  private async settledOf(commandId: string): Promise<Settled> {
    const { store } = this.context;
    const row = store.command(commandId);
    if (!row?.result) {
      return { kind: 'unsettled', commandId, state: row ? stateOf(this.context, row) : 'idle' };
    }
    const report = await reportOf(this.context);
    const events = store.eventsAfter(store.number('ackedThrough'), WITH_RESULT.entries);
    const carried = events.slice(0, leading(events.map(bytesOf), WITH_RESULT));
    return { kind: 'result', commandId, result: row.result, report, events: carried };
  }

  /** Called after each commit, once everybody else has heard of the event: `willCarry` still answers for it. */
  tell(event: SiteEvent): void {
    for (const observer of [...this.byCommand.values()]) {
      if (observer.stream !== event.stream) continue;
      const row = this.context.store.command(observer.commandId);
      if (!row) continue;
      const state = stateOf(this.context, row);
      if (state !== observer.last) this.show(observer, state);
      if (row.result) observer.end();
    }
  }

  private show(observer: Observer, state: SiteState): void {
    observer.last = state;
    try {
      observer.onState(state);
    } catch (error) {
      this.context.log.warn({ error: messageOf(error) }, 'an observer failed to take a state');
    }
  }

  endAll(): void {
    for (const observer of [...this.byCommand.values()]) observer.end();
  }
}
