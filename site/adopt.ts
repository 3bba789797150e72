/**
 * Adoption (design §5 rule 10): what is live at the places that a release names is copied and becomes a confirmed
 * release, so that there is something to go back to. A target that is a plain directory becomes a symlink to the copy.
 */
import type { Component } from '../policies/model/release.js';
import { digestOf } from '../policies/signing/jcs.js';
import { isAtRest } from '../policies/site/transitions.js';
import { advance, journal } from './advance.js';
import type { SiteContext } from './context.js';
import { clearAside, conversionOf, finishConversions } from './conversions.js';
import { demandDisk } from './disk/room.js';
import type { UndoPoint } from './drivers/driver.js';
import { standInFor } from './drivers/exec.js';
import { plainAt } from './files/durable.js';
import { treeDigest, type TreeEntry } from './files/tree.js';
import type { ConversionRow, HeldRow } from './store/rows.js';
import { driverOf, taskFor } from './task.js';

/** Copies of what is live, verified on disk, not on the books yet; nothing of the site has been changed. */
export interface StagedAdoption {
  held: Omit<HeldRow, 'id'>;
  conversions: ConversionRow[];
}
export type AdoptionFound = { adoption: StagedAdoption } | { missing: string };

/** Copies what is live at the places that `like` names. `missing` says why there is nothing to go back to. */
export async function stageAdoption(context: SiteContext, like: HeldRow): Promise<AdoptionFound> {
  const copies = new Map<string, { entries: TreeEntry[]; target?: string }>();
  const missing: string[] = [];
  for (const component of like.release.components) {
    const task = taskFor(context, like, component);
    const copy = await driverOf(context, component).stageAdoption(task, (reason) => missing.push(reason));
    if (copy) copies.set(component.name, copy);
    // An absent directory is a state to go back to; an exec component without saved state is not.
    else if (component.driver.type === 'exec') return { missing: missing.join('; ') };
  }
  if (copies.size === 0) return { missing: missing.join('; ') };
  return { adoption: await stageCopies(context, like, copies) };
}

async function stageCopies(
  context: SiteContext,
  like: HeldRow,
  copies: Map<string, { entries: TreeEntry[]; target?: string }>,
): Promise<StagedAdoption> {
  const { holdings, store } = context;
  const trees = new Map([...copies].map(([name, { entries }]) => [name, entries]));
  const digests = Object.fromEntries([...trees].map(([name, entries]) => [name, treeDigest(entries)]));
  const digest = digestOf({ format: 'foothold.adopted/v1', stream: like.stream, components: digests });
  const short = digest.slice('sha256:'.length, 'sha256:'.length + 12);
  const root = await holdings.stageTrees(`${like.stream}/adopted-${short}`, trees);
  store.transact(() => {
    for (const [name, entries] of trees) store.putTree(digests[name] ?? '', entries);
  });
  const version = `0.0.0-adopted+${short}`;
  const { before: _before, after: _after, ...rest } = like.release;
  const components = like.release.components.filter((one) => copies.has(one.name)).map(standInFor);
  const release = { ...rest, version, components, checks: [], requires: {}, conflicts: {}, vars: {} };
  const conversions = [...copies].flatMap(([name, { target }]) =>
    target === undefined
      ? []
      : [conversionOf(like.stream, target, holdings.directory(root, name), digests[name] ?? '')],
  );
  const varsDigest = digestOf({});
  return {
    held: { stream: like.stream, version, digest, varsDigest, release, root, trees: digests, undo: {}, adopted: true },
    conversions,
  };
}

/** Puts the copy on the books as the confirmed release of the stream, then makes its targets symlinks. */
export async function confirmAdoption(context: SiteContext, stream: string, staged: StagedAdoption): Promise<HeldRow> {
  const { store, clock } = context;
  const held = store.transact(() => {
    const made = store.addHeld({ ...staged.held, confirmedAt: clock.now() });
    for (const conversion of staged.conversions) store.putConversion(conversion);
    const entry = { kind: 'adopted', detail: { version: made.version, digest: made.digest } } as const;
    if (isAtRest(store.stream(stream).state)) advance(context, stream, { event: 'adopt', journal: entry });
    else journal(context, stream, entry);
    return made;
  });
  context.step('adopt-journaled');
  finishConversions(context);
  context.step('adopted');
  await clearAside(context);
  return held;
}

/**
 * A component that the last-known-good release does not have, with a plain directory at its target: the directory is
 * copied and the target made a symlink to the copy, so that the switch and its undo are renames. Else undefined.
 */
export async function adoptComponent(
  context: SiteContext,
  held: HeldRow,
  component: Component,
): Promise<UndoPoint | undefined> {
  if (component.driver.type !== 'directory' || !plainAt(component.driver.target)?.isDirectory()) return undefined;
  const { target } = component.driver;
  const task = taskFor(context, held, component);
  const copy = await driverOf(context, component).stageAdoption(task, () => undefined);
  if (copy?.target === undefined) return undefined;
  const tree = treeDigest(copy.entries);
  const short = tree.slice('sha256:'.length, 'sha256:'.length + 12);
  const trees = new Map([[component.name, copy.entries]]);
  const root = await context.holdings.stageTrees(`${held.stream}/adopted-${short}`, trees);
  const to = context.holdings.directory(root, component.name);
  // What is live would hang on the copy, and the disk may have failed while it was made (fault H4).
  demandDisk(context);
  context.store.transact(() => {
    context.store.putTree(tree, copy.entries);
    context.store.putConversion(conversionOf(held.stream, target, to, tree));
  });
  finishConversions(context);
  await clearAside(context);
  return { kind: 'link', target, to, tree };
}
