/**
 * Fetches what is wished for, in the background: one file at a time, within the bandwidth that came with the wish, and only
 * while nothing is being changed. It has no result, and no failure: what is not there is fetched when the site converges.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { judgeRoom } from '../../policies/site/judge-disk.js';
import { WorldError } from '../../policies/model/failure.js';
import { wantsFiles } from '../../policies/site/judge-prefetch.js';
import { liveRelease, messageOf } from '../advance.js';
import type { SiteContext } from '../context.js';
import { roomFor } from '../disk/room.js';
import type { Depot } from '../fetch/depot.js';
import { stageRelease } from '../fetch/fetch-release.js';
import { Pace } from '../fetch/pace.js';
import type { PrefetchRow } from '../store/rows.js';

/** After a failure; doubled for each further one. */
const RETRY_MS = 60_000;
const LONGEST_MS = 3_600_000;
/** A depot that is away, or lacks a file, may be whole again at any time. */
const LONGEST_FOR_DEPOT_MS = 30_000;
/** While others wait, a longer pause than this within one attempt ends it. */
const PATIENCE_MS = 2_000;
const LOOK_MS = 1_000;

export class Prefetcher {
  private running: Promise<void> | undefined;
  private transfer: { ended: Promise<void>; controller: AbortController } | undefined;
  /** By stream: failures in a row, and from when on it is tried again, ms of the monotonic clock. */
  private readonly failed = new Map<string, { times: number; again: number }>();
  private readonly stopped = new AbortController();
  private woken = new AbortController();
  private untidy = false;
  private tidying: NodeJS.Timeout | undefined;

  constructor(
    private readonly context: SiteContext,
    private readonly quiet: () => boolean,
    private readonly retryMs = RETRY_MS,
  ) {
    context.prefetched.interrupt = () => this.transfer?.controller.abort();
  }

  start(): void {
    this.tidying = setInterval(() => this.look(), LONGEST_MS);
    this.tidying.unref();
    this.look();
  }

  /** Some of it may be needed no more, or be there no more. */
  look(): void {
    if (this.stopped.signal.aborted) return;
    this.untidy = true;
    this.begin();
  }

  /** Looks at once whether there is something to fetch. */
  wake(): void {
    if (this.stopped.signal.aborted) return;
    this.failed.clear();
    this.woken.abort();
    this.woken = new AbortController();
    this.begin();
  }

  private begin(): void {
    this.running ??= this.run().finally(() => (this.running = undefined));
  }

  /** A wish that has changed, or a release that is being staged: what was fetched in part stays, and is resumed from. */
  async standAside(): Promise<void> {
    this.transfer?.controller.abort();
    await this.transfer?.ended;
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    this.woken.abort();
    clearInterval(this.tidying);
    this.transfer?.controller.abort();
    await this.running;
  }

  private async tidy(): Promise<void> {
    const { clock, log, prefetched } = this.context;
    this.untidy = false;
    try {
      await prefetched.tidy(clock.now());
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'files that were fetched ahead could not be removed');
    }
  }

  /** Never throws: a database that cannot be read is asked again at the next look. */
  private async run(): Promise<void> {
    try {
      await this.fetchAll();
    } catch (error) {
      this.context.storage.note(error, 'what is to be fetched ahead');
      this.context.log.warn({ error: messageOf(error) }, FAILED);
    }
  }

  private async fetchAll(): Promise<void> {
    const { signal } = this.stopped;
    for (let row = this.next(); (row || this.untidy) && !signal.aborted; row = this.next()) {
      const early = row ? this.dueAt(row) - performance.now() : 0;
      if (!this.quiet()) await this.pause(LOOK_MS);
      else if (this.untidy) await this.tidy();
      else if (early > 0) await this.pause(early);
      else if (row) await this.attempt(row);
    }
  }

  private holdBack(stream: string, error: unknown): void {
    const times = (this.failed.get(stream)?.times ?? 0) + 1;
    const longest = isOfDepot(error) ? LONGEST_FOR_DEPOT_MS : LONGEST_MS;
    const ms = Math.min(longest, this.retryMs * 2 ** Math.min(times - 1, 20)) * (0.5 + Math.random() / 2);
    this.failed.set(stream, { times, again: performance.now() + ms });
  }

  private dueAt({ wish }: PrefetchRow): number {
    return this.failed.get(wish.stream)?.again ?? 0;
  }

  private async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.woken.signal, ref: false }).catch(() => undefined);
  }

  /** What failed comes after what did not, and then in the order in which it is due: nothing starves behind it. */
  private next(): PrefetchRow | undefined {
    return this.wanted().toSorted((a, b) => this.dueAt(a) - this.dueAt(b))[0];
  }

  private wanted(): PrefetchRow[] {
    const { observing, prefetched, storage, store } = this.context;
    if (observing || storage.fault) return [];
    return store.prefetches().filter((row) => {
      const stream = store.stream(row.wish.stream);
      return !prefetched.isWhole(row) && wantsFiles(row, stream, liveRelease(this.context, stream)?.digest);
    });
  }

  private othersWait(stream: string): boolean {
    return this.wanted().some((row) => row.wish.stream !== stream && this.dueAt(row) <= performance.now());
  }

  private async attempt(row: PrefetchRow): Promise<void> {
    const { wish } = row;
    const controller = new AbortController();
    const work = this.fetch(row, controller.signal);
    const ended = work.then(
      () => undefined,
      () => undefined,
    );
    this.transfer = { ended, controller };
    try {
      await work;
      this.failed.delete(wish.stream);
    } catch (error) {
      if (!this.stopped.signal.aborted && this.quiet()) this.holdBack(wish.stream, error);
      if (controller.signal.aborted) return;
      this.context.log.warn({ stream: wish.stream, version: wish.releaseVersion, error: messageOf(error) }, FAILED);
      // What was written in part takes the room that something else may be short of.
      if (this.context.storage.note(error, 'a prefetch') === 'full') this.context.prefetched.giveWay();
    } finally {
      this.transfer = undefined;
    }
  }

  private async fetch({ wish, takenAt, fetchedAt }: PrefetchRow, signal: AbortSignal): Promise<void> {
    const { clock, log, prefetched, store } = this.context;
    // They gave way meanwhile: half of them must not be taken for all.
    if (fetchedAt !== undefined) store.transact(() => store.putPrefetch({ wish, takenAt }));
    const blobs = prefetched.blobs(wish.stream);
    const fetched = await stageRelease(wish.digest, {
      depot: this.slowly(wish.bytesPerSecond),
      blobs,
      incoming: prefetched.incoming(wish.stream),
      signal,
      // Room to stage it later as well: files that keep their own converge from its room are worse than none.
      room: async (files) => this.judgeRoom(await roomFor(this.context, files)),
      timeLeft: () => (this.othersWait(wish.stream) ? PATIENCE_MS : Infinity),
      log: (message, detail) => log.debug({ stream: wish.stream, ...detail }, message),
    });
    signal.throwIfAborted();
    // Replaced while the last file came: the next look begins with the newer wish.
    if (store.prefetch(wish.stream)?.wish.digest !== wish.digest) return;
    const bytes = fetched.files.reduce((sum, { size }) => sum + size, 0);
    const detail = { rollout: wish.rollout, version: wish.releaseVersion, digest: wish.digest, bytes };
    store.transact(() => {
      store.putPrefetch({ wish, takenAt, fetchedAt: clock.now() });
      store.append({ kind: 'prefetched', stream: wish.stream, detail });
    });
    log.info({ stream: wish.stream, ...detail }, 'the files of a release are here ahead of it');
  }

  /** The depot within the bandwidth; a manifest is a single request, and what comes after it waits for it. */
  private slowly(bytesPerSecond: number | undefined): Depot {
    const { depot } = this.context;
    const pace = new BackgroundPace(bytesPerSecond, this.quiet, () => this.judgeRoom(0));
    return {
      ...depot,
      manifest: async (digest, signal) => {
        const bytes = await depot.manifest(digest, signal);
        await pace.take(bytes.length, signal);
        return bytes;
      },
      blob: (digest, size, part, signal) => depot.blob(digest, size, part, signal, pace),
    };
  }

  private judgeRoom(needed: number): void {
    const { reserve } = this.context.storage;
    const objection = judgeRoom({ free: reserve.free(), needed, reserveWhole: reserve.whole });
    if (objection !== undefined) throw new WorldError('DISK_FULL', objection);
  }
}

function isOfDepot(error: unknown): boolean {
  return error instanceof WorldError && (error.code === 'DEPOT_UNREACHABLE' || error.code === 'STAGE_FAILED');
}

/** Nothing more is asked for while something is being changed, or once the disk has no room beside the reserve. */
class BackgroundPace extends Pace {
  constructor(
    bytesPerSecond: number | undefined,
    private readonly quiet: () => boolean,
    private readonly demandRoom: () => void,
  ) {
    super(bytesPerSecond);
  }

  override async take(bytes: number, signal: AbortSignal): Promise<void> {
    await super.take(bytes, signal);
    while (!this.quiet()) await sleep(LOOK_MS, undefined, { signal });
    this.demandRoom();
  }
}

const FAILED = 'files could not be fetched ahead; tried again later';
