/** Gives one stream its turns: one step at a time, each of which begins from the store. What a step does is in stream-work.ts. */
import type { Work } from '../policies/site/decide-work.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { judgeHeldHere } from './holds.js';
import { pauseFor } from './pause.js';
import { StreamWork, type AskedUndo } from './stream-work.js';

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
  private readonly work: StreamWork;

  constructor(
    private readonly context: SiteContext,
    readonly stream: string,
    private readonly onIdle: () => void,
  ) {
    this.work = new StreamWork(context, stream, (watch) => this.whileGuarding(watch));
  }

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
    const { state } = this.work.row();
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
        await this.work.settleBooks();
        for (let work = this.next(); work !== 'nothing' && !this.stopping && !this.lone; work = this.next()) {
          this.controller = new AbortController();
          await this.attempt(work);
        }
      } catch (error) {
        await this.outlive(error);
      }
    }
  }

  /** A store that cannot even be read must not end the process, and with it every watch: looked at again after a pause. */
  private async outlive(error: unknown): Promise<void> {
    this.context.storage.note(error, `stream ${this.stream}, its place in the books`);
    this.context.log.error({ stream: this.stream, error: messageOf(error) }, 'the store cannot be read; trying again');
    await this.pause();
    this.woken = true;
  }

  private next(): Work {
    return this.work.next(this.asked !== undefined);
  }

  private async attempt(work: Exclude<Work, 'nothing'>): Promise<void> {
    const { signal } = this.controller;
    try {
      await this.carryOut(work, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.context.storage.note(error, `stream ${this.stream}, ${work}`);
      const { state, commandId } = this.work.row();
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
      await this.work.reject(error);
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
    if (work !== 'undo-by-person') return this.work.carryOut(work, signal);
    const { asked } = this;
    this.asked = undefined;
    if (asked) await this.work.undoAsked(asked);
  }

  private async whileGuarding<T>(watch: () => Promise<T>): Promise<T> {
    this.guarding = true;
    this.onIdle();
    return watch().finally(() => (this.guarding = false));
  }
}
