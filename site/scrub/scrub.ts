/**
 * One round of reading back everything that an undo relies on: blobs, the directories of every release that is kept, and
 * what its undo goes back to.
 * Damage is healed from blobs, else from the depot, else told (fault H8).
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { decideHealing, SCRUB_SHARE } from '../../policies/site/decide-scrub.js';
import type { StorageReport } from '../../policies/model/report.js';
import { liveRelease } from '../advance.js';
import type { SiteContext } from '../context.js';
import { fileDigest, holdsTree, type TreeEntry } from '../files/tree.js';
import type { HeldRow } from '../store/rows.js';
import type { Store } from '../store/store.js';
import { isDirectoryPoint } from '../drivers/driver.js';
import { forgetVerified } from '../task.js';
import { judgeDigests } from './known-answers.js';
import type { GoOn } from './turns.js';
import { bookRoot } from '../whole.js';
import { refetch, remake } from './heal.js';
import { damagedPoints, healPoint, holdsSaved, type DamagedPoint } from './undo-points.js';

export interface ScrubRound {
  at: number;
  /** Files read. */
  read: number;
  healed: number;
  damaged: StorageReport['damaged'];
}

export interface ScrubOptions {
  /** Asked between two files: false ends the round, which then does not count. */
  goOn: GoOn;
  /** Without pauses: a person waits for it, or the disk is not believed until then. */
  hurry?: boolean;
}

/** The last whole round. */
export function readRound(store: Store): ScrubRound | undefined {
  const text = store.fact('scrub');
  return text === undefined ? undefined : (JSON.parse(text) as ScrubRound);
}

/** Undefined if the round was ended before its end, or another one that reads the same is under way. */
export async function scrub(
  context: SiteContext,
  { goOn, hurry = false }: ScrubOptions,
): Promise<ScrubRound | undefined> {
  return context.scrubs.take({ goOn, hurry }, (mayGoOn) => readAll(context, { goOn: mayGoOn, hurry }));
}

async function readAll(context: SiteContext, options: ScrubOptions): Promise<ScrubRound | undefined> {
  // Memory or a processor that computes wrong digests would find damage everywhere, and heal it away (fault H9).
  judgeDigests();
  const reader = new Reader(options);
  await scrubBlobs(context, reader);
  const found: { held: HeldRow; live: boolean }[] = [];
  const points: DamagedPoint[] = [];
  for (const held of context.store.allHeld()) {
    if (reader.ended) return undefined;
    const [live, whole] = [isLive(context, held), await isWhole(context, held, reader)];
    if (live || !whole) found.push({ held, live });
    points.push(...(await damagedPoints(context, held, reader)));
    if (reader.ended) return undefined;
  }
  const round = { at: context.clock.now(), read: reader.files, healed: 0, damaged: [] as StorageReport['damaged'] };
  await restoreBlobs(context);
  for (const one of found) {
    if (context.closing.aborted) return undefined;
    const end = await context.holdings.staging(() => heal(context, one.held, one.live));
    if (end === 'healed') round.healed++;
    if (end === 'damaged') round.damaged.push(nameOf(one.held, one.live));
  }
  await healPoints(context, points, found, round);
  return keepRound(context, round);
}

/** After the releases: what they are made anew from serves the undos to them as well. */
async function healPoints(
  context: SiteContext,
  points: DamagedPoint[],
  releases: { held: HeldRow }[],
  round: ScrubRound,
): Promise<void> {
  const directories = releases.flatMap(({ held }) =>
    Object.keys(held.trees).map((component) => context.holdings.directory(held.root, component)),
  );
  for (const one of points) {
    const name = nameOf(one.held, isLive(context, one.held));
    const told = isDirectoryPoint(one.point) && directories.includes(one.point.to);
    const healed = await context.holdings.staging(() => healPoint(context, one, name, told));
    if (healed && !told) round.healed++;
    if (!healed && !told) round.damaged.push({ ...name, undo: one.component });
  }
}

/** Removes blobs that no longer have the digest that they go by. */
async function scrubBlobs({ holdings, log }: SiteContext, reader: Reader): Promise<void> {
  for (const prefix of namesIn(holdings.blobs.directory)) {
    for (const hex of namesIn(join(holdings.blobs.directory, prefix))) {
      const path = join(holdings.blobs.directory, prefix, hex);
      if (reader.ended) return;
      if (hex.length !== 64 || (await reader.digest(path)) === `sha256:${hex}`) continue;
      log.warn({ digest: hex }, 'a blob has rotted');
      rmSync(path, { force: true });
    }
  }
}

/** Of the directories that the release consists of. */
async function isWhole(context: SiteContext, held: HeldRow, reader: Reader): Promise<boolean> {
  for (const [component, tree] of Object.entries(held.trees)) {
    const directory = context.holdings.directory(held.root, component);
    if (await reader.tree(directory, tree)) continue;
    forgetVerified(context, directory);
    return false;
  }
  return true;
}

function isLive(context: SiteContext, held: HeldRow): boolean {
  return liveRelease(context, context.store.stream(held.stream))?.id === held.id;
}

async function heal(context: SiteContext, held: HeldRow, live: boolean): Promise<'left' | 'healed' | 'damaged'> {
  const { store } = context;
  const blobsWhole = await hasBlobs(context, treesOf(context, held));
  const how = decideHealing({ live, blobsWhole, inDepot: !held.adopted });
  if (how === 'leave') return 'left';
  const name = nameOf(held, live);
  store.transact(() => store.append({ kind: 'damage-found', stream: held.stream, detail: name }));
  const root = how === 'alarm' ? undefined : await (how === 'remake' ? remake : refetch)(context, held);
  if (root === undefined) {
    context.log.error(name, 'a release that is kept is damaged and could not be made anew');
    return 'damaged';
  }
  store.transact(() => {
    // What is live is at the root that it was switched to, until it is switched anew.
    bookRoot(context, { from: held.root, to: root }, (one) => isLive(context, one));
    store.append({ kind: 'damage-healed', stream: held.stream, detail: { ...name, from: how } });
  });
  context.untidy = true;
  return 'healed';
}

function treesOf({ store }: SiteContext, held: HeldRow): TreeEntry[] {
  return Object.values(held.trees).flatMap((digest) => store.tree(digest) ?? []);
}

async function hasBlobs({ holdings }: SiteContext, entries: TreeEntry[]): Promise<boolean> {
  for (const entry of entries) if (entry.type === 'file' && !(await holdings.blobs.has(entry.digest))) return false;
  return entries.length > 0;
}

/** Blobs that are gone are taken again from a directory that still has them, so that the next damage can be healed. */
async function restoreBlobs(context: SiteContext): Promise<void> {
  for (const { directory, tree } of context.store.allHeld().flatMap((held) => treesIn(context, held))) {
    for (const entry of context.store.tree(tree) ?? []) {
      if (context.closing.aborted) return;
      if (entry.type !== 'file' || (await context.holdings.blobs.has(entry.digest))) continue;
      await context.holdings.blobs.takeFrom(join(directory, entry.path), entry.digest).catch((error: unknown) => {
        // A file that cannot be read is damage, and mended as such; what cannot be made durable is the disk's fault.
        if ((error as NodeJS.ErrnoException).syscall === 'fsync') context.storage.note(error, 'a blob taken again');
      });
    }
  }
}

function treesIn({ holdings }: SiteContext, held: HeldRow): { directory: string; tree: string }[] {
  const own = Object.entries(held.trees).map(([component, tree]) => {
    return { directory: holdings.directory(held.root, component), tree };
  });
  const back = Object.values(held.undo).filter(isDirectoryPoint);
  return [...own, ...back.map(({ to, tree }) => ({ directory: to, tree }))];
}

function keepRound(context: SiteContext, round: ScrubRound): ScrubRound {
  const { store } = context;
  store.transact(() => {
    store.putFact('scrub', JSON.stringify(round));
    const { read, healed, damaged } = round;
    store.append({ kind: 'scrubbed', detail: { read, healed, damaged } });
  });
  return round;
}

function nameOf({ stream, version, digest }: HeldRow, live: boolean): StorageReport['damaged'][number] {
  return { stream, version, digest, live };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Reads with pauses, so that what the site is there for never waits for the scrub. */
class Reader {
  files = 0;
  ended = false;
  private readonly trees = new Map<string, boolean>();

  constructor(private readonly options: ScrubOptions) {}

  async digest(path: string): Promise<string | undefined> {
    return this.paced(() => fileDigest(path).catch(() => undefined));
  }
  /** Once a round: most directories that undos go back to are those of kept releases. */
  async tree(directory: string, digest: string): Promise<boolean> {
    const key = `${directory} ${digest}`;
    const known = this.trees.get(key) ?? (await this.paced(() => holdsTree(directory, digest, () => this.goOn())));
    this.trees.set(key, known);
    return known;
  }
  async saved(path: string, digest: string): Promise<boolean> {
    return this.paced(() => holdsSaved(path, digest));
  }
  private async paced<T>(read: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    const found = await read();
    this.files++;
    if (!this.options.hurry) await sleep((performance.now() - begun) * SCRUB_SHARE);
    this.goOn();
    return found;
  }
  /** Once ended it stays ended: what was not read to its end would count as damaged. */
  private goOn(): boolean {
    this.ended ||= !this.options.goOn();
    return !this.ended;
  }
}
