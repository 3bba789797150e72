/**
 * One round of reading back everything that an undo relies on: blobs, and the directories of every release that is kept.
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
import { judgeDigests } from './known-answers.js';
import { bookRoot } from '../whole.js';
import { refetch, remake } from './heal.js';

export interface ScrubRound {
  at: number;
  /** Files read. */
  read: number;
  healed: number;
  damaged: StorageReport['damaged'];
}

export interface ScrubOptions {
  /** Asked between two files: false ends the round, which then does not count. */
  goOn: () => boolean;
  /** Without pauses: a person waits for it. */
  hurry?: boolean;
}

/** The last whole round. */
export function readRound(store: Store): ScrubRound | undefined {
  const text = store.fact('scrub');
  return text === undefined ? undefined : (JSON.parse(text) as ScrubRound);
}

/** Undefined if the round was ended before its end. */
export async function scrub(context: SiteContext, options: ScrubOptions): Promise<ScrubRound | undefined> {
  // Memory or a processor that computes wrong digests would find damage everywhere, and heal it away (fault H9).
  judgeDigests();
  const reader = new Reader(options);
  const missing = await scrubBlobs(context, reader);
  const found: { held: HeldRow; live: boolean }[] = [];
  for (const held of context.store.allHeld()) {
    if (!(await isWhole(context, held, reader))) found.push({ held, live: isLive(context, held) });
    if (reader.ended) return undefined;
  }
  const round = { at: context.clock.now(), read: reader.files, healed: 0, damaged: [] as StorageReport['damaged'] };
  await restoreBlobs(context, missing);
  for (const one of found) {
    if (await context.holdings.staging(() => heal(context, one.held, one.live))) round.healed++;
    else round.damaged.push(nameOf(one.held, one.live));
  }
  return keepRound(context, round);
}

/** Removes blobs that no longer have the digest that they go by; returns their digests. */
async function scrubBlobs({ holdings, log }: SiteContext, reader: Reader): Promise<string[]> {
  const damaged: string[] = [];
  for (const prefix of namesIn(holdings.blobs.directory)) {
    for (const hex of namesIn(join(holdings.blobs.directory, prefix))) {
      const path = join(holdings.blobs.directory, prefix, hex);
      if (reader.ended) return damaged;
      if (hex.length !== 64 || (await reader.digest(path)) === `sha256:${hex}`) continue;
      log.warn({ digest: hex }, 'a blob has rotted');
      rmSync(path, { force: true });
      damaged.push(`sha256:${hex}`);
    }
  }
  return damaged;
}

/** Of the directories that the release consists of, and of those that an undo of it goes back to. */
async function isWhole(context: SiteContext, held: HeldRow, reader: Reader): Promise<boolean> {
  for (const [component, tree] of Object.entries(held.trees)) {
    const directory = context.holdings.directory(held.root, component);
    if (!(await reader.tree(directory, tree))) return forget(context, directory);
  }
  return true;
}

/** What was read back whole before is believed no longer. */
function forget({ verified }: SiteContext, directory: string): false {
  for (const key of verified) if (key.startsWith(`${directory} `)) verified.delete(key);
  return false;
}

function isLive(context: SiteContext, held: HeldRow): boolean {
  return liveRelease(context, context.store.stream(held.stream))?.id === held.id;
}

async function heal(context: SiteContext, held: HeldRow, live: boolean): Promise<boolean> {
  const { store } = context;
  const name = nameOf(held, live);
  store.transact(() => store.append({ kind: 'damage-found', stream: held.stream, detail: name }));
  const blobsWhole = await hasBlobs(context, treesOf(context, held));
  const how = decideHealing({ live, blobsWhole, inDepot: !held.adopted });
  const root = how === 'alarm' ? undefined : await (how === 'remake' ? remake : refetch)(context, held);
  if (root === undefined) {
    context.log.error(name, 'a release that is kept is damaged and could not be made anew');
    return false;
  }
  store.transact(() => {
    // What is live is at the root that it was switched to, until it is switched anew.
    bookRoot(context, { from: held.root, to: root }, (one) => isLive(context, one));
    store.append({ kind: 'damage-healed', stream: held.stream, detail: { ...name, from: how } });
  });
  context.untidy = true;
  return true;
}

function treesOf({ store }: SiteContext, held: HeldRow): TreeEntry[] {
  return Object.values(held.trees).flatMap((digest) => store.tree(digest) ?? []);
}

async function hasBlobs({ holdings }: SiteContext, entries: TreeEntry[]): Promise<boolean> {
  for (const entry of entries) if (entry.type === 'file' && !(await holdings.blobs.has(entry.digest))) return false;
  return entries.length > 0;
}

/** Rotted blobs are taken again from a directory that still has them, so that the next damage can be healed. */
async function restoreBlobs(context: SiteContext, missing: string[]): Promise<void> {
  for (const held of context.store.allHeld()) {
    for (const [component, digest] of Object.entries(held.trees)) {
      for (const entry of context.store.tree(digest) ?? []) {
        if (entry.type !== 'file' || !missing.includes(entry.digest)) continue;
        const source = join(context.holdings.directory(held.root, component), entry.path);
        await context.holdings.blobs.takeFrom(source, entry.digest).catch(() => undefined);
      }
    }
  }
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

  constructor(private readonly options: ScrubOptions) {}

  async digest(path: string): Promise<string | undefined> {
    return this.paced(() => fileDigest(path).catch(() => undefined));
  }
  async tree(directory: string, digest: string): Promise<boolean> {
    return this.paced(() => holdsTree(directory, digest));
  }
  private async paced<T>(read: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    const found = await read();
    this.files++;
    if (!this.options.hurry) await sleep((performance.now() - begun) * SCRUB_SHARE);
    if (!this.options.goOn()) this.ended = true;
    return found;
  }
}
