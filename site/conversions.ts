/**
 * A plain directory at a target becomes a symlink to its copy: journaled first, and finished at boot if it was cut short. What
 * somebody wrote into it after it was copied is kept: the conversion is not undone for it, because whoever writes all the
 * time would then never be adopted, and programs have begun to use the copy.
 */
import { lstatSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { compareTrees } from '../policies/site/decide-drift.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { asideOf, linkDestination, moveAside, plainAt, switchLink, syncDirectory } from './files/durable.js';
import { scanTree, specialFiles, treeAs } from './files/tree.js';
import type { ConversionRow, HeldRow } from './store/rows.js';
import { tellAside } from './task.js';

/** Paths that are told of. */
const PATHS_TOLD = 50;

export function conversionOf(stream: string, target: string, link: string, tree: string): ConversionRow {
  return { stream, target, link, tree, aside: asideOf(target) };
}

/**
 * Carries out, or finishes after a crash, every journaled conversion. Between the two renames nothing is at the target:
 * Linux could exchange them in one step, Node cannot ask for it; programs that have read their files do not notice.
 */
export function finishConversions(context: SiteContext): void {
  for (const conversion of context.store.conversions()) {
    const { converted, stream, target, aside, link } = conversion;
    if (converted) continue;
    if (plainAt(target)) {
      // Cut short between the renames, and then somebody put something else there: neither takes the place of the other.
      const isFirst = lstatSync(aside, { throwIfNoEntry: false }) === undefined;
      const to = isFirst ? aside : asideOf(target);
      if (!isFirst) tellAside(context, stream, { target, aside: to });
      moveAside(target, to);
    }
    context.step('adopt-aside');
    if (linkDestination(target) !== link) switchLink(target, link);
    markConverted(context, conversion);
  }
}

/** From its switch on what is at a target is the release's: a conversion that was cut short must not put the copy there again. */
export function endConversions(context: SiteContext, { release }: HeldRow): void {
  const targets = release.components.map(({ driver }) => (driver.type === 'directory' ? driver.target : undefined));
  for (const conversion of context.store.conversions())
    if (!conversion.converted && targets.includes(conversion.target)) markConverted(context, conversion);
}

function markConverted({ store }: SiteContext, conversion: ConversionRow): void {
  store.transact(() => store.putConversion({ ...conversion, converted: true }));
}

/**
 * Deletes what was moved aside if the copy has all of it; else it stays there, and is told. Not part of the conversion: it reads
 * every file, and the guard has streams to see to first. What could not be done is done at the next start.
 */
export async function clearAside(context: SiteContext): Promise<void> {
  for (const conversion of context.store.conversions()) {
    const { converted, target, aside } = conversion;
    if (!converted) continue;
    try {
      const uncopied = await uncopiedPaths(context, conversion);
      if (uncopied.length === 0) {
        await rm(aside, { recursive: true, force: true });
        syncDirectory(dirname(target));
      }
      keepOrDrop(context, conversion, uncopied);
    } catch (error) {
      context.storage.note(error, `what was moved aside from ${target}`);
      context.log.warn({ target, aside, error: messageOf(error) }, 'what was moved aside could not be looked through');
    }
  }
}

/** The conversion has ended: one write with where the rest of it is. */
function keepOrDrop({ log, store }: SiteContext, conversion: ConversionRow, uncopied: string[]): void {
  const { stream, target, aside } = conversion;
  const detail = { target, aside, paths: uncopied.slice(0, PATHS_TOLD), total: uncopied.length };
  store.transact(() => {
    // The adoption of another stream may have looked at it at the same time.
    if (!store.conversions().some((one) => one.aside === aside)) return;
    store.dropConversion(target);
    if (uncopied.length === 0) return;
    log.warn(detail, 'what was written to a target after it was copied stays beside it');
    store.append({ kind: 'moved-aside', ...(stream === undefined ? {} : { stream }), detail });
  });
}

/** What is only in the copy is no loss: it may have been deleted here before a power cut. */
async function uncopiedPaths(context: SiteContext, { target, aside, link, tree }: ConversionRow): Promise<string[]> {
  if (lstatSync(aside, { throwIfNoEntry: false }) === undefined) return [];
  const known = tree === undefined ? undefined : context.store.tree(tree);
  // Of a copy that is kept no longer nothing is known, and all that was moved aside stays.
  const copied = known ?? (await scanTree(link).catch(() => []));
  const differences = compareTrees(copied, await treeAs(aside, target));
  const lost = differences.filter(({ kind }) => kind !== 'removed').map(({ path }) => path);
  return [...lost, ...(await specialFiles(aside))];
}
