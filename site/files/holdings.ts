/** Releases on disk: each a directory of complete component directories, made from trees and verified before use. */
import { renameSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { WorldError } from '../../policies/model/failure.js';
import type { HeldRow } from '../store/rows.js';
import type { Store } from '../store/store.js';
import { Blobs } from './blobs.js';
import { linkDestination, makeDirectory, syncDirectory } from './durable.js';
import { holdsTree, treeDigest, writeTree, type TreeEntry } from './tree.js';

/** Confirmed releases of a stream that stay complete on disk. */
export const CONFIRMED_KEPT = 3;

export class Holdings {
  readonly blobs: Blobs;
  readonly incoming: string;
  /** Removal of what is needed no longer, as far as one is under way. */
  private sweeping: Promise<void> = Promise.resolve();
  private stagings = 0;
  /** Set after a release for which there was no room: what was fetched in part is not worth the room of an undo. */
  discardIncoming = false;

  constructor(
    private readonly dataDirectory: string,
    private readonly store: Store,
  ) {
    this.blobs = new Blobs(join(dataDirectory, 'blobs'));
    this.incoming = join(dataDirectory, 'incoming');
  }

  async prepare(): Promise<void> {
    await mkdir(join(this.dataDirectory, 'blobs'), { recursive: true, mode: 0o700 });
    await mkdir(join(this.dataDirectory, 'saved'), { recursive: true, mode: 0o700 });
    await makeDirectory(join(this.dataDirectory, 'releases'));
  }

  /** Directory of a release below `releases/`. */
  directory(root: string, component?: string): string {
    return component === undefined
      ? join(this.dataDirectory, 'releases', root)
      : join(this.dataDirectory, 'releases', root, component);
  }

  /** Where live state is saved before the switch to this release. */
  saved(held: Pick<HeldRow, 'stream' | 'id'>, component: string): string {
    return join(this.dataDirectory, 'saved', held.stream, String(held.id), component);
  }

  /**
   * A root that holds every tree: the one wanted if it is whole already, else a new one beside it. What lies under the
   * wanted name is never mended in place, because it may be live. One that was made beside another is named after that.
   */
  async stageTrees(wanted: string, trees: Map<string, TreeEntry[]>): Promise<string> {
    const first = wanted.replace(/~\d+$/, '');
    for (let n = 1; ; n++) {
      const root = n === 1 ? first : `${first}~${n}`;
      const there = await readdir(this.directory(root)).catch(() => undefined);
      if (there === undefined) {
        await this.writeRoot(root, trees);
        return root;
      }
      if (await this.holdsAll(root, trees)) return root;
    }
  }

  private async writeRoot(root: string, trees: Map<string, TreeEntry[]>): Promise<void> {
    // Built under a name that nothing uses: a root under its own name is whole.
    const making = `${this.directory(root)}.making`;
    await rm(making, { recursive: true, force: true });
    await makeDirectory(making);
    for (const [component, entries] of trees) await writeTree(join(making, component), entries, this.blobs);
    syncDirectory(making);
    renameSync(making, this.directory(root));
    try {
      syncDirectory(join(this.directory(root), '..'));
    } catch (error) {
      // Under its own name it would be taken for whole, and fsync tells of an error only once.
      await rm(this.directory(root), { recursive: true, force: true });
      throw error;
    }
    if (!(await this.holdsAll(root, trees))) {
      throw new WorldError('STAGE_FAILED', `what was written to ${this.directory(root)} reads back differently`);
    }
  }

  private async holdsAll(root: string, trees: Map<string, TreeEntry[]>): Promise<boolean> {
    for (const [component, entries] of trees) {
      if (!(await holdsTree(this.directory(root, component), treeDigest(entries)))) return false;
    }
    return true;
  }

  /** A directory that holds the tree: `wanted` if it still does, else one made anew beside it. Undefined if impossible. */
  async wholeDirectory(wanted: string, digest: string): Promise<string | undefined> {
    if (await holdsTree(wanted, digest)) return wanted;
    const entries = this.store.tree(digest);
    if (!entries) return undefined;
    const component = basename(wanted);
    const root = relative(this.directory(''), dirname(wanted));
    try {
      return this.directory(await this.stageTrees(root, new Map([[component, entries]])), component);
    } catch {
      return undefined;
    }
  }

  /**
   * Runs `work`, which makes directories that the books do not know of yet: nothing is swept from before it until it has put
   * them on the books, or has no more use for them.
   */
  async staging<T>(work: () => Promise<T>): Promise<T> {
    this.stagings += 1;
    try {
      await this.sweeping;
      return await work();
    } finally {
      this.stagings -= 1;
    }
  }

  /** Ends once no sweep is under way. */
  async swept(): Promise<void> {
    await this.sweeping;
  }

  /** Deletes directories, saved state, trees and blobs that nothing needs. False, and nothing done, while anything is staged. */
  async sweep(): Promise<boolean> {
    if (this.stagings > 0) return false;
    const swept = this.sweepAll();
    this.sweeping = swept.catch(() => undefined);
    await swept;
    return true;
  }

  private async sweepAll(): Promise<void> {
    if (this.discardIncoming) await rm(this.incoming, { recursive: true, force: true });
    this.discardIncoming = false;
    const held = this.store.allHeld();
    const needed = held.flatMap((one) => [this.directory(one.root), ...livePaths(one), ...undoPaths(one)]);
    await removeUnless(this.directory(''), (path) => needed.some((one) => one === path || one.startsWith(`${path}/`)));
    const saved = held.map((one) => join(this.dataDirectory, 'saved', one.stream, String(one.id)));
    saved.push(...held.flatMap(savedPaths));
    await removeUnless(join(this.dataDirectory, 'saved'), (path) =>
      saved.some((one) => `${one}/`.startsWith(`${path}/`)),
    );
    const trees = new Set(held.flatMap((one) => [...Object.values(one.trees), ...undoTrees(one)]));
    await this.blobs.keepOnly(this.store.transact(() => this.store.keepTrees(trees)));
  }
}

/** Removes what lies two levels below `parent` (`<stream>/<name>`), except what is kept. */
async function removeUnless(parent: string, kept: (path: string) => boolean): Promise<void> {
  for (const stream of await readdir(parent).catch(() => [])) {
    for (const name of await readdir(join(parent, stream))) {
      const path = join(parent, stream, name);
      if (!kept(path)) await rm(path, { recursive: true, force: true });
    }
  }
}

/** What the targets of a release really point at now: never removed, whatever the books say. */
function livePaths(held: HeldRow): string[] {
  return held.release.components.flatMap(({ driver }) => {
    const to = driver.type === 'directory' ? linkDestination(driver.target) : undefined;
    return to === undefined ? [] : [to];
  });
}

function undoPaths(held: HeldRow): string[] {
  return Object.values(held.undo).flatMap((point) => (point.kind === 'link' && point.to ? [point.to] : []));
}

function undoTrees(held: HeldRow): string[] {
  return Object.values(held.undo).flatMap((point) => (point.kind === 'link' && point.tree ? [point.tree] : []));
}

function savedPaths(held: HeldRow): string[] {
  return Object.values(held.undo).flatMap((point) => (point.kind === 'saved' ? [point.path] : []));
}
