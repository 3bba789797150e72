/**
 * The site agent (design §5); open-agent.ts makes one. `start` guards, then carries on; the door takes commands. Nothing here
 * waits for a link, and nothing here knows which link there is.
 */
import type { Envelope, Result, Settled, SiteState } from '../policies/model/command.js';
import { MistakeError, WorldError } from '../policies/model/failure.js';
import type { LinkState } from '../policies/model/link.js';
import type { SiteEvent, SiteHold, SiteReport } from '../policies/model/report.js';
import type { PrefetchEnvelope } from '../policies/model/prefetch.js';
import type { SiteDoor } from '../policies/model/site-door.js';
import type { Reason } from '../policies/model/verdict.js';
import { acceptEnvelope, stateOf, type Accepted } from './accept.js';
import { adoptAtRequest, type AdoptRequest, type Adopted } from './adopt-request.js';
import { mayUndoLive } from '../policies/site/decide-work.js';
import { commandUnderWay, liveAtRest, messageOf } from './advance.js';
import { makeReserveWhole, watchDisk } from './disk/monitor.js';
import { namedIfBroken } from './disk/trouble.js';
import type { SiteContext } from './context.js';
import { DriftWatch, showRelease, type DriftRequest } from './drift.js';
import { guardAtBoot } from './guard.js';
import {
  holdsReport,
  liftHold,
  placeHold,
  tendHolds,
  type HoldRequest,
  type Unheld,
  type UnholdRequest,
} from './holds.js';
import { beginObserving, lookForDrift, refuseObserving } from './observing.js';
import type { AgentStatus } from './local/protocol.js';
import { serveLocal, type LocalServer } from './local/server.js';
import { answerCheck, type Answered, type PersonalAnswer } from './answer-check.js';
import { Prefetcher } from './prefetch/prefetcher.js';
import { takePrefetch } from './prefetch/take.js';
import { demandNoneSince, readBackWhole } from './scrub/mended.js';
import { scheduleScrub } from './scrub/schedule.js';
import { scrub } from './scrub/scrub.js';
import { metricsText, serveMetrics } from './metrics.js';
import { Observers } from './observers.js';
import type { AgentOptions } from './options.js';
import { reportOf } from './report.js';
import { pollKeyset } from './keyset-poll.js';
import { tendMarks } from './marks.js';
import { StreamRunner } from './stream-runner.js';

/** Who wants something undone or said to be well, and why. */
export interface PersonalUndo {
  by: string;
  reason: string;
}

const KEEP_CONTACT_EVERY_MS = 60_000;
const TIDY_AFTER_MS = 5_000;

export class Agent {
  readonly door: SiteDoor;
  private readonly observers: Observers;
  private readonly drifts: DriftWatch;
  private readonly prefetcher: Prefetcher;
  private readonly runners = new Map<string, StreamRunner>();
  private readonly listeners = new Set<(event: SiteEvent) => void>();
  /** Answers to commands that were not believed: kept for whoever asks next, never stored under the claimed id. */
  private readonly refused = new Map<string, Settled>();
  private readonly closers: (() => Promise<void>)[] = [];
  private contactKept = 0;
  /** While a command is taken in: whoever handed it in observes it next. */
  private admitting = false;
  private stopped = false;
  private tidyTimer: NodeJS.Timeout | undefined;
  private readonly closing = new AbortController();

  constructor(
    private readonly context: SiteContext,
    private readonly unlock: () => void,
    private readonly options: Pick<
      AgentOptions,
      'keysetEveryMs' | 'driftEveryMs' | 'diskEveryMs' | 'marksEveryMs' | 'scrubEveryMs' | 'prefetchRetryMs'
    > = {},
  ) {
    context.closing = this.closing.signal;
    this.drifts = new DriftWatch(context, (stream, work) => this.runner(stream).alone(work));
    this.observers = new Observers(context);
    this.prefetcher = new Prefetcher(context, () => !this.busy, options.prefetchRetryMs);
    context.standAside = () => this.prefetcher.standAside();
    context.store.onEvent((event) => this.tell(event));
    this.door = {
      accept: (envelope) => this.accept(envelope),
      observe: (commandId, signal, onState) => this.observe(commandId, signal, onState),
      prefetch: (envelope) => this.prefetch(envelope),
      report: () => this.report(),
      unacknowledged: (limit, after = 0) =>
        context.store.eventsAfter(Math.max(context.store.number('ackedThrough'), after), limit),
      observed: (event) => this.observers.willCarry(event, this.admitting),
      onEvent: (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
      contacted: (at) => this.contacted(at),
      outbox: {
        waiting: (priority, after, limit) => context.outbox.waiting(priority, after, limit),
        page: (entries) => context.outbox.page(entries),
        acknowledge: (acks) => context.outbox.acknowledge(acks),
      },
    };
  }

  /** Ends when every stream is at rest or carries on by itself; connections are tried only after it. */
  async start(): Promise<void> {
    // Before the guard asks what has passed: whoever asks after it asks no wall clock.
    this.closers.push(tendMarks(this.context, this.options.marksEveryMs));
    await (this.context.observing ? beginObserving(this.context) : guardAtBoot(this.context)).catch(namedIfBroken);
    for (const { stream } of this.context.store.streams()) this.runner(stream).wake();
    if (this.context.storage.fault) this.readBackBeside();
    this.makeReserve();
    const stopPolling = pollKeyset(this.context, this.options.keysetEveryMs);
    const stopScrubbing = scheduleScrub(this.context, () => !this.busy, this.options.scrubEveryMs);
    this.closers.push(stopScrubbing, () => this.prefetcher.stop());
    this.prefetcher.start();
    const stopWatching = watchDisk(this.context, () => !this.busy, this.options.diskEveryMs);
    const stopTending = tendHolds(this.context);
    const stopLooking = lookForDrift(this.drifts, this.options.driftEveryMs);
    this.closers.push(async () => {
      stopPolling();
      stopTending();
      stopWatching();
      await stopLooking();
    });
  }

  /**
   * What was not known to be durable is believed only by its digest (fault H4). Nothing waits for it but `stop`: it may take
   * minutes, in which an undo may be asked for, and the fault keeps away what is new.
   */
  private readBackBeside(): void {
    const { context } = this;
    const reading = scrub(context, { goOn: () => !this.stopped, hurry: true }).catch((error: unknown) => {
      context.storage.note(error, 'what is kept');
      context.log.error({ error: messageOf(error) }, 'what is kept could not be read back');
    });
    this.closers.push(async () => void (await reading));
  }

  /**
   * A person says that the disk was mended; everything is read back first. Throws MistakeError STORAGE_FAULT while the
   * disk takes nothing or something that is kept cannot be healed.
   */
  async mended(person: PersonalUndo): Promise<{ read: number; healed: number }> {
    const { context } = this;
    const { broken: before, fault } = context.storage;
    if (fault === undefined) return { read: 0, healed: 0 };
    const round = await readBackWhole(context, () => !this.stopped);
    // Nothing may wait from here to `forget`: an error in between would go with the fault that it came under (fault H4).
    demandNoneSince(context, before.count);
    context.store.transact(() => context.store.append({ kind: 'storage-mended', detail: { ...person, fault } }));
    context.storage.forget(context.store);
    this.makeReserve();
    for (const runner of this.runners.values()) runner.wake();
    this.prefetcher.wake();
    return { read: round.read, healed: round.healed };
  }

  /** After the guard: an undo at boot is what the reserve is for. */
  private makeReserve(): void {
    const { storage } = this.context;
    try {
      if (storage.fault === undefined) makeReserveWhole(this.context);
    } catch (error) {
      storage.note(error, 'the reserve');
      this.context.log.warn({ error: messageOf(error) }, 'the reserve of the disk could not be made');
    }
  }

  private get busy(): boolean {
    return [...this.runners.values()].some((runner) => runner.busy);
  }

  /** Ends what can be ended, waits for a switch or an undo in progress, and gives the data directory back. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    this.closing.abort();
    clearTimeout(this.tidyTimer);
    await Promise.all(this.closers.map((close) => close()));
    await Promise.all([...this.runners.values()].map((runner) => runner.stop()));
    this.observers.endAll();
    this.context.recorder.flush(this.context);
    await this.context.holdings.swept();
    this.context.store.close();
    this.unlock();
  }

  async report(): Promise<SiteReport> {
    return reportOf(this.context);
  }

  async status(): Promise<AgentStatus> {
    const { store, link } = this.context;
    const unacknowledged = (store.lastEvent()?.sequence ?? 0) - store.number('ackedThrough');
    const outbox = this.context.outbox.stored();
    const known = { lastContact: this.context.lastContact, unacknowledged, outbox, ...(link && { link }) };
    return { ...(await this.report()), ...known };
  }

  /** What the link says of itself: shown, and nothing else. */
  linkStands(state: LinkState): void {
    this.context.link = state;
  }

  /** The journal, newest last. */
  history(limit: number): SiteEvent[] {
    const last = this.context.store.lastEvent()?.sequence ?? 0;
    return this.context.store.eventsAfter(Math.max(0, last - limit), limit);
  }

  /** A person keeps anything new from being switched here; needs no network. */
  hold(request: HoldRequest): { holds: SiteHold[] } {
    placeHold(this.context, request);
    // What is under way and not switched asks about the hold once more, however long it would have waited.
    for (const runner of this.runners.values()) runner.refusePending();
    return { holds: holdsReport(this.context) };
  }

  /** A person lifts a hold, and lets a stream that is named out of safe mode. */
  unhold(request: UnholdRequest): Unheld & { holds: SiteHold[] } {
    const ended = liftHold(this.context, request);
    return { ...ended, holds: holdsReport(this.context) };
  }

  /** Looks now, and answers with what it found. `like`: a release for an observing agent to compare with. */
  async drift({ like }: DriftRequest): Promise<AgentStatus> {
    if (like) await showRelease(this.context, like);
    await this.drifts.look();
    return this.status();
  }

  /** Takes over what is live at the places that a release names. Throws MistakeError LKG_MISSING, AGENT_BUSY. */
  async adopt(request: AdoptRequest): Promise<Adopted> {
    refuseObserving(this.context);
    const runner = this.runner(request.stream);
    if (runner.busy) {
      throw new MistakeError('AGENT_BUSY', `stream ${request.stream} has a command under way; adopt once it has ended`);
    }
    return adoptAtRequest(this.context, request);
  }

  /** A person at the site undoes what is live; needs no network. Throws MistakeError LKG_MISSING, AGENT_BUSY. */
  revert(stream: string, { by, reason }: PersonalUndo): void {
    const { clock, store } = this.context;
    refuseObserving(this.context);
    const row = store.stream(stream);
    const live = liveAtRest(this.context, row);
    const hasBefore = store.confirmed(stream).some((one) => one.id !== live?.id);
    if (!live || !hasBefore) {
      const instead = `to keep what is under way from being switched to: foothold agent hold ${stream}`;
      throw new MistakeError('LKG_MISSING', `stream ${stream} has nothing to go back to; ${instead}`);
    }
    if (!mayUndoLive(row.state, commandUnderWay(store, row)?.command.verb)) {
      throw new MistakeError('AGENT_BUSY', `stream ${stream} is ${row.state}; ask again once that has ended`);
    }
    const undo = { cause: 'person', reason: { code: 'PERSON', detail: reason }, by, begunAt: clock.now() } as const;
    this.runner(stream).undoAsked({ live, undo });
  }

  /** A person at the site answers a `person` check of the release on trial. Throws MistakeError CHECK_NOT_ASKED. */
  confirm(request: PersonalAnswer): Answered {
    return answerCheck(this.context, request);
  }

  async metricsText(): Promise<string> {
    return metricsText(this.context);
  }

  /** Returns the address in use (port 0 asks for a free one). */
  async serveMetrics(address: string): Promise<string> {
    const server = await serveMetrics(this.context, address);
    this.closers.push(() => server.close());
    return server.address;
  }

  /** The socket in the data directory through which `foothold agent status|adopt|…` speak. */
  async serveLocal(): Promise<LocalServer> {
    const server = await serveLocal(this, this.context.dataDirectory);
    this.closers.push(() => server.close());
    return server;
  }

  private async accept(envelope: Envelope): Promise<{ commandId: string; state: SiteState }> {
    const accepted = this.admit(envelope);
    if (accepted.kind === 'refused') {
      const { result } = accepted;
      if (!this.context.store.command(result.commandId)) await this.refuse(result);
      return { commandId: result.commandId, state: 'rejected' };
    }
    if (accepted.kind === 'unjournaled') {
      this.runner(accepted.command.stream).undoAsked(accepted.asked);
      const message = `the undo was begun, the command could not be journaled: ${messageOf(accepted.error)}`;
      throw new WorldError('STORE_BROKEN', message, { cause: accepted.error });
    }
    const { command, then } = accepted;
    this.refused.delete(command.id);
    if (then === 'interrupt') this.runner(command.stream).interrupt();
    else if (then === 'wake') this.runner(command.stream).wake();
    if (this.context.store.prefetch(command.stream)) this.prefetcher.look();
    const row = this.context.store.command(command.id);
    return { commandId: command.id, state: row ? stateOf(this.context, row) : 'accepted' };
  }

  private async prefetch(envelope: PrefetchEnvelope): Promise<Reason | undefined> {
    const refused = await takePrefetch(this.context, envelope);
    if (refused) this.context.log.warn({ ...refused }, 'a prefetch was not taken');
    else this.prefetcher.wake();
    return refused;
  }

  private admit(envelope: Envelope): Accepted {
    this.admitting = true;
    try {
      return acceptEnvelope(this.context, envelope);
    } finally {
      this.admitting = false;
    }
  }

  private async refuse(result: Result): Promise<void> {
    const report = await this.report();
    const [oldest] = this.refused.keys();
    if (oldest !== undefined && this.refused.size >= 32) this.refused.delete(oldest);
    this.refused.set(result.commandId, { kind: 'result', commandId: result.commandId, result, report, events: [] });
  }

  private async observe(commandId: string, signal: AbortSignal, onState: (state: SiteState) => void): Promise<Settled> {
    const refused = this.refused.get(commandId);
    if (!refused) return this.observers.observe(commandId, signal, onState);
    onState('rejected');
    return refused;
  }

  private tell(event: SiteEvent): void {
    for (const listener of this.listeners) listener(event);
    this.observers.tell(event);
  }

  private contacted(at: number): void {
    const { context } = this;
    // No floor: a clock that was ahead and is set right would say for as long that contact is to come.
    context.lastContact = at;
    if (Math.abs(at - this.contactKept) < KEEP_CONTACT_EVERY_MS) return;
    this.contactKept = at;
    try {
      context.store.transactSpare(() => context.store.putFact('lastContact', at));
    } catch (error) {
      // The site goes on reporting from a disk that takes nothing.
      context.log.warn({ error: messageOf(error) }, 'the last contact could not be kept');
    }
  }

  private runner(stream: string): StreamRunner {
    const known = this.runners.get(stream);
    if (known) return known;
    const made = new StreamRunner(this.context, stream, () => this.tidyLater());
    this.runners.set(stream, made);
    return made;
  }

  private async tidy(): Promise<void> {
    const { context } = this;
    try {
      context.untidy = false;
      // Whatever is being staged beside the commands ends soon.
      if (await context.holdings.sweep()) return;
      context.untidy = true;
      this.tidyLater();
    } catch (error) {
      context.log.warn({ error: messageOf(error) }, 'old releases could not be removed');
    }
  }

  /** Old releases are removed some time after a command has ended, and only while nothing is under way. */
  private tidyLater(): void {
    if (this.stopped || !this.context.untidy || this.tidyTimer) return;
    this.tidyTimer = setTimeout(() => {
      this.tidyTimer = undefined;
      if (this.stopped || this.busy) return;
      void this.tidy();
    }, TIDY_AFTER_MS);
    this.tidyTimer.unref();
  }
}
