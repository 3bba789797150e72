/**
 * Drift (requirement A46): what lies at the targets against the confirmed release, path by path, and whether it may be put
 * back now. Nobody is told twice of the same difference, and nothing is fought over for ever.
 */
import type { DriftedPath, DriftKind, DriftReport } from '../model/report.js';
import type { Release } from '../model/release.js';
import type { Reason } from '../model/verdict.js';
import { globToRegExp } from '../render/files.js';
import { isPaused, nextPause, type Pauses, type Told } from './tell-seldom.js';

/** One entry of a directory, as the agent reads it. */
export type TreeItem =
  | { type: 'directory'; path: string; mode: number; owner?: [uid: number, gid: number] }
  | { type: 'file'; path: string; mode: number; owner?: [uid: number, gid: number]; digest: string }
  | { type: 'link'; path: string; to: string };

export type Difference = Pick<DriftedPath, 'path' | 'kind' | 'detail'>;
export type DriftPolicy = DriftedPath['policy'];

/** Paths that a report shows; the rest is a number. */
const PATHS_SHOWN = 50;
/** Paths that an event of the journal names: it is kept for months, and every report shows more. */
export const PATHS_TOLD = 10;
const HOUR = 3_600_000;
/** A change of what has just been found may be a person who is still at it. From then on it is told ever less often. */
const PAUSES: Pauses = { first: 0, second: HOUR, longest: 24 * HOUR, calm: 24 * HOUR };
/** Repairs of one stream within `REPAIR_SPAN_MS` after which it is only told of: something else changes it again. */
export const REPAIRS_MOST = 3;
export const REPAIR_SPAN_MS = 3_600_000;

/** Every path that differs, in the order of its name. */
export function compareTrees(wanted: readonly TreeItem[], found: readonly TreeItem[]): Difference[] {
  const [should, is] = [byPath(wanted), byPath(found)];
  const paths = [...new Set([...should.keys(), ...is.keys()])].sort();
  return paths.flatMap((path) => {
    const difference = compareItem(should.get(path), is.get(path));
    return difference ? [{ path, ...difference }] : [];
  });
}

function byPath(items: readonly TreeItem[]): Map<string, TreeItem> {
  return new Map(items.map((item) => [item.path, item]));
}

function compareItem(wanted: TreeItem | undefined, found: TreeItem | undefined): Omit<Difference, 'path'> | undefined {
  if (!wanted) return found && { kind: 'added', detail: `a ${found.type} that the release does not have` };
  if (!found) return { kind: 'removed', detail: `the ${wanted.type} of the release is not there` };
  if (wanted.type !== found.type) return changed(`a ${found.type} where the release has a ${wanted.type}`);
  if (wanted.type === 'link' || found.type === 'link') {
    const [to, there] = [linkOf(wanted), linkOf(found)];
    return to === there ? undefined : changed(`a link to ${there}, not to ${to}`);
  }
  if (wanted.type === 'file' && found.type === 'file' && wanted.digest !== found.digest) {
    return changed(`content ${short(found.digest)}, not ${short(wanted.digest)}`);
  }
  const [should, is] = [permissions(wanted), permissions(found)];
  return should === is ? undefined : { kind: 'mode', detail: `${is}, not ${should}` };
}

function changed(detail: string): { kind: DriftKind; detail: string } {
  return { kind: 'changed', detail };
}
function linkOf(item: TreeItem): string {
  return item.type === 'link' ? item.to : '';
}
function short(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}
function permissions({ mode, owner }: Exclude<TreeItem, { type: 'link' }>): string {
  return `mode ${mode.toString(8)}${owner ? ` of ${owner.join(':')}` : ''}`;
}

/** The first rule of the release that names the path; none: tell of it, and leave it. */
export function policyOf(rules: Release['drift'], component: string, path: string): DriftPolicy {
  const rule = (rules ?? []).find(
    (one) =>
      (one.component === undefined || one.component === component) &&
      one.paths.some((glob) => globToRegExp(glob).test(path)),
  );
  return rule?.then ?? 'alert';
}

export interface Compared {
  against: { version: string; digest: string };
  /** All differences, those that are accepted among them. */
  paths: DriftedPath[];
  unknown?: string;
  adoptable?: NonNullable<DriftReport['adoptable']>;
}

/** As the agent keeps it over restarts. `told`: what the journal has told of last, and when it may tell of a change again. */
export type KeptDrift = DriftReport & { told?: Told & { of: string } };

/** What is reported from now on, and whether it is news for the journal. `now` by the site's clock. */
export function nextDrift(
  before: KeptDrift | undefined,
  compared: Compared,
  now: number,
): { report: KeptDrift; isNews: boolean } {
  const { against, unknown, adoptable } = compared;
  const open = compared.paths.filter(({ policy }) => policy !== 'accept');
  const isSame = before !== undefined && before.against.digest === against.digest;
  const since = open.length === 0 ? undefined : ((isSame ? before.since : undefined) ?? now);
  const report: DriftReport = {
    against,
    at: now,
    ...(since === undefined ? {} : { since }),
    paths: open.slice(0, PATHS_SHOWN),
    total: open.length,
    ...(isSame && before.repair && open.length > 0 ? { repair: before.repair } : {}),
    ...(unknown === undefined ? {} : { unknown }),
    ...(adoptable === undefined ? {} : { adoptable }),
  };
  const { isNews, told } = nextTold(isSame ? before : undefined, report, now);
  return { report: { ...report, ...(told ? { told } : {}) }, isNews };
}

/** The end of a drift that was told is told at once, and leaves the pause as it is: what comes and goes is told ever less often. */
function nextTold(
  before: KeptDrift | undefined,
  report: DriftReport,
  now: number,
): { isNews: boolean; told: KeptDrift['told'] } {
  const known = before?.told;
  // An older agent kept no more than what it had found, all of which it had told.
  const was = known?.of ?? fingerprint(before ?? { paths: [], total: 0 });
  const of = fingerprint(report);
  const isClean = report.total === 0;
  if (was === of || (!isClean && known && isPaused(known, now))) return { isNews: false, told: known };
  if (isClean) return { isNews: true, told: known && { ...known, of } };
  return { isNews: true, told: { of, toldAt: now, pause: nextPause(known, now, PAUSES) } };
}

/** After a repair, whose own event tells how it ended. */
export function driftAfterRepair(before: KeptDrift | undefined, compared: Compared, now: number): KeptDrift {
  const { report } = nextDrift(before, compared, now);
  return before?.told ? { ...report, told: { ...before.told, of: fingerprint(report) } } : report;
}

/** Without the details: a file that is written to all day is news once. */
function fingerprint({ paths, total }: Pick<DriftReport, 'paths' | 'total'>): string {
  return JSON.stringify([total, paths.map(({ component, path, kind }) => [component, path, kind])]);
}

export interface RepairSituation {
  paths: readonly DriftedPath[];
  /** A command is under way, or the stream is not at rest. */
  busy: boolean;
  /** Why nothing new may be switched there: a hold, or safe mode. */
  held?: Reason | undefined;
  /** A fault of the disk, until a person says that it was mended. */
  fault?: Reason | undefined;
  observing: boolean;
  /** Of the maintenance window of the site; undefined where there is none. */
  window?: 'open' | 'closed' | undefined;
  /** Elapsed times of the repairs of this stream that this agent has made, and of now. */
  repairedAt: readonly number[];
  elapsed: number;
}

export type RepairDecision =
  { kind: 'nothing' } | { kind: 'repair'; components: string[] } | { kind: 'wait'; why: string };

/** An undo is never asked about; a repair is no undo, and waits for whatever a new release would wait for. */
export function decideRepair(situation: RepairSituation): RepairDecision {
  const wanted = situation.paths.filter(({ policy }) => policy === 'repair');
  if (wanted.length === 0 || situation.observing) return { kind: 'nothing' };
  const { busy, held, fault, window, elapsed } = situation;
  const refused = fault ?? held;
  if (refused) return { kind: 'wait', why: `${refused.code}: ${refused.detail}` };
  if (busy) return { kind: 'wait', why: 'a command is under way' };
  if (window === 'closed') return { kind: 'wait', why: 'the maintenance window is closed' };
  const recent = situation.repairedAt.filter((at) => elapsed - at < REPAIR_SPAN_MS);
  if (recent.length >= REPAIRS_MOST) {
    return { kind: 'wait', why: `put back ${recent.length} times within an hour: something else changes it again` };
  }
  return { kind: 'repair', components: [...new Set(wanted.map(({ component }) => component))] };
}

/**
 * The directory that a repair makes: the release, and of what differs whatever nobody said is to be put back. A person
 * who accepts a path, or wants to look at it first, finds it as it was.
 */
export function repairedTree<T extends TreeItem>(
  wanted: readonly T[],
  found: readonly T[],
  policy: (path: string) => DriftPolicy,
): T[] {
  const differ = new Set(compareTrees(wanted, found).map(({ path }) => path));
  const isKept = (path: string) => differ.has(path) && policy(path) !== 'repair';
  const tree = new Map(wanted.filter(({ path }) => !isKept(path)).map((item) => [item.path, item]));
  const there = byPath(found) as Map<string, T>;
  for (const item of found) {
    if (!isKept(item.path)) continue;
    tree.set(item.path, item);
    // Directories that it lies in, though they themselves are none of the release.
    for (const above of parents(item.path)) {
      const parent = there.get(above);
      if (parent && !tree.has(above)) tree.set(above, parent);
    }
  }
  return inOrder([...tree.values()].filter(({ path }) => hasParents(path, tree)));
}

function parents(path: string): string[] {
  if (path === '.') return [];
  const parts = path.split('/');
  return ['.', ...parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'))];
}

/** A file of the release below a path where a person keeps a file, or nothing, has no place. */
function hasParents(path: string, tree: ReadonlyMap<string, TreeItem>): boolean {
  return parents(path).every((above) => tree.get(above)?.type === 'directory');
}

/** The order in which a directory is read. */
export function inOrder<T extends TreeItem>(items: T[]): T[] {
  const key = ({ path }: T) => (path === '.' ? [] : path.split('/'));
  return items.sort((a, b) => compareParts(key(a), key(b)));
}

function compareParts(a: string[], b: string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [x = '', y = ''] = [a[i], b[i]];
    if (x !== y) return x < y ? -1 : 1;
  }
  return a.length - b.length;
}
