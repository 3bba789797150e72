/**
 * Fetches what is wished for, in the background: one file at a time, within the bandwidth that came with the wish, and only
 * while nothing is being changed. It has no result, and no failure: what is not there is fetched when the site converges.
 */
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
const LOOK_MS = 1_000;

export class Prefetcher {
  private running: Promise<void> | undefined;
  private transfer: { ended: Promise<void>; controller: AbortController } | undefined;
  private failures = 0;
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
    this.failures = 0;
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

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    for (let row = this.next(); (row || this.untidy) && !signal.aborted; row = this.next()) {
      if (!this.quiet()) await this.pause(LOOK_MS);
      else if (this.untidy) await this.tidy();
      else if (row && (await this.attempt(row))) this.failures = 0;
      else if (!signal.aborted && this.quiet()) await this.pause(this.backOff());
    }
  }

  private backOff(): number {
    this.failures += 1;
    return Math.min(LONGEST_MS, this.retryMs * 2 ** Math.min(this.failures - 1, 20)) * (0.5 + Math.random() / 2);
  }

  private async pause(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.stopped.signal, this.woken.signal]);
    await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
  }

  private next(): PrefetchRow | undefined {
    const { observing, prefetched, storage, store } = this.context;
    if (observing || storage.fault) return undefined;
    return store.prefetches().find((row) => {
      const stream = store.stream(row.wish.stream);
      return !prefetched.isWhole(row) && wantsFiles(row, stream, liveRelease(this.context, stream)?.digest);
    });
  }

  private async attempt(row: PrefetchRow): Promise<boolean> {
    const controller = new AbortController();
    const work = this.fetch(row, controller.signal);
    const ended = work.then(
      () => undefined,
      () => undefined,
    );
    this.transfer = { ended, controller };
    try {
      await work;
      return true;
    } catch (error) {
      if (controller.signal.aborted) return false;
      const { wish } = row;
      this.context.log.warn({ stream: wish.stream, version: wish.releaseVersion, error: messageOf(error) }, FAILED);
      // What was written in part takes the room that something else may be short of.
      if (this.context.storage.note(error, 'a prefetch') === 'full') this.context.prefetched.giveWay();
      return false;
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
      timeLeft: () => Infinity,
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
