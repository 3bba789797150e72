/**
 * Files fetched ahead of a converge: below `prefetched/<stream>/` in the data directory, apart from the blobs that releases
 * are made of. What lies here is needed by nothing, so that all of it can be thrown away at any instant.
 */
import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StreamReport } from '../../policies/model/report.js';
import { isUsedUp, keepsPrefetch } from '../../policies/site/judge-prefetch.js';
import { partIn } from '../fetch/fetch-release.js';
import { Blobs } from '../files/blobs.js';
import type { PrefetchRow } from '../store/rows.js';
import type { Store } from '../store/store.js';

export class Prefetched {
  private readonly root: string;
  /** Ends the transfer under way: a file that is open keeps its room. */
  interrupt: () => void = () => undefined;

  constructor(
    dataDirectory: string,
    private readonly store: Store,
    private readonly kept: Blobs,
  ) {
    this.root = join(dataDirectory, 'prefetched');
  }

  /** Where the files of a stream's prefetch go. What releases at the site have already is not fetched again. */
  blobs(stream: string): Blobs {
    return new Beside(join(this.root, stream), this.kept);
  }

  incoming(stream: string): string {
    return join(this.root, stream, 'incoming');
  }

  /** Whether this file lies here, whole. */
  has(digest: string): boolean {
    return this.store.prefetches().some(({ wish }) => existsSync(this.placeOf(wish.stream, digest)));
  }

  /** Moves what is here of a file to `part`, unless more of it lies there already. It is verified there like any transfer. */
  async bring(digest: string, part: string): Promise<void> {
    const found = this.places(digest)
      .map((path) => ({ path, size: sizeOf(path) }))
      .sort((a, b) => b.size - a.size)[0];
    if (!found || found.size <= sizeOf(part)) return;
    await mkdir(dirname(part), { recursive: true, mode: 0o700 });
    renameSync(found.path, part);
  }

  private places(digest: string): string[] {
    return this.store
      .prefetches()
      .flatMap(({ wish: { stream } }) => [this.placeOf(stream, digest), partIn(this.incoming(stream), digest)]);
  }

  private placeOf(stream: string, digest: string): string {
    return this.blobs(stream).path(digest);
  }

  report(stream: string): StreamReport['prefetched'] {
    const row = this.store.prefetch(stream);
    if (!row) return undefined;
    const { releaseVersion: version, digest } = row.wish;
    return { version, digest, whole: this.isWhole(row) };
  }

  /** The manifest is asked as well: files give way without a word to the books, and a converge takes it before all others. */
  isWhole({ wish, fetchedAt }: PrefetchRow): boolean {
    return fetchedAt !== undefined && existsSync(this.placeOf(wish.stream, wish.digest));
  }

  /**
   * Everything but what `except` is to be made of gives way to what needs the room: an undo, the journal, a release that is
   * being staged. At once, and without a word to the database, which may be what lacks it. True if there was anything.
   */
  giveWay(except?: string): boolean {
    const going = this.store.prefetches().filter(({ wish }) => wish.digest !== except);
    const there = going.map(({ wish }) => join(this.root, wish.stream)).filter((path) => existsSync(path));
    if (there.length > 0) this.interrupt();
    for (const path of there) rmSync(path, { recursive: true, force: true });
    return there.length > 0;
  }

  /** A release of the stream was staged, with what it needed from here. */
  async settle(stream: string, staged: { generation: number; digest: string }): Promise<void> {
    const row = this.store.prefetch(stream);
    if (row && isUsedUp(row, staged)) await this.drop(stream);
  }

  async drop(stream: string): Promise<void> {
    await rm(join(this.root, stream), { recursive: true, force: true });
    this.store.transact(() => this.store.dropPrefetch(stream));
  }

  /** What no row speaks of was left by a crash. */
  async tidy(now: number): Promise<void> {
    for (const row of this.store.prefetches()) {
      const { stream } = row.wish;
      if (!keepsPrefetch(row, this.store.stream(stream), now)) await this.drop(stream);
    }
    for (const stream of await readdir(this.root).catch(() => [])) {
      if (this.store.prefetch(stream) === undefined)
        await rm(join(this.root, stream), { recursive: true, force: true });
    }
  }
}

class Beside extends Blobs {
  constructor(
    directory: string,
    private readonly others: Blobs,
  ) {
    super(directory);
  }

  override async has(digest: string): Promise<boolean> {
    return (await super.has(digest)) || this.others.has(digest);
  }

  override async whole(digest: string): Promise<boolean> {
    return (await super.whole(digest)) || this.others.whole(digest);
  }

  override async read(digest: string): Promise<Buffer> {
    return (await super.whole(digest)) ? super.read(digest) : this.others.read(digest);
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}
