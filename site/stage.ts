/** The first half of a converge: everything that can be done without changing the site. Ends `staged` or `rejected`. */
import type { Command } from '../policies/model/command.js';
import { MistakeError, WorldError } from '../policies/model/failure.js';
import type { ManifestFile, Release } from '../policies/model/release.js';
import type { Reason } from '../policies/model/verdict.js';
import { judgeAtSite } from '../policies/preflight/judge.js';
import { componentFiles } from '../policies/render/files.js';
import { renderRelease } from '../policies/render/release.js';
import { renderText, type RenderView } from '../policies/render/template.js';
import { digestOf } from '../policies/signing/jcs.js';
import { roomToStage, TROUBLE_CODES } from '../policies/site/judge-disk.js';
import { acceptanceOf, isPastSwitchBy, timeLeftToSwitch, type SwitchMoment } from '../policies/site/decide-command.js';
import { elapsedSince } from '../policies/site/elapsed.js';
import { advance, messageOf } from './advance.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import { demandRoom, demandRoomFor } from './disk/room.js';
import { stageRelease, type FetchedRelease } from './fetch/fetch-release.js';
import { treeDigest, type TreeEntry } from './files/tree.js';
import { judgeHeldHere } from './holds.js';
import { pauseFor } from './pause.js';
import { reportOf } from './report.js';
import type { CommandRow, HeldRow } from './store/rows.js';
import { noteVerified } from './task.js';

const LOOK_EVERY_MS = 1_000;

/** Why a command ends without anything having been switched. */
export class Rejection extends Error {
  override readonly name = 'Rejection';
  constructor(readonly reason: Reason) {
    super(reason.detail);
  }
}

/** Fetches, judges and renders the release of a converge; what is on disk afterwards was read back and verified. */
export async function stageConverge(context: SiteContext, row: CommandRow, signal: AbortSignal): Promise<void> {
  const { command } = row;
  await context.holdings.swept();
  refuseQuarantined(context, command);
  refuseHeld(context, command);
  refuseLate(context, row);
  try {
    demandRoom(context, roomToStage([]), { keeping: command.digest });
  } catch (error) {
    throw rejectionOf(context, error);
  }
  await context.standAside();
  const fetched = await fetchFor(context, row, signal);
  context.step('fetched');
  if (fetched.release.stream !== command.stream) {
    const detail = `expected a release of stream ${command.stream}, got one of ${fetched.release.stream}`;
    throw new Rejection({ code: 'WRONG_SITE', detail });
  }
  await refuseUnfit(context, command, fetched);
  const staged = await renderFor(context, fetched, command);
  noteVerified(context, staged);
  signal.throwIfAborted();
  advance(context, command.stream, {
    event: 'stage',
    change: (stream) => ({ ...stream, stagedId: context.store.addHeld(staged).id }),
    journal: {
      kind: 'staged',
      commandId: command.id,
      detail: { version: staged.version, digest: staged.digest, varsDigest: staged.varsDigest },
    },
  });
  context.step('staged');
  await context.prefetched.settle(command.stream, command).catch((error: unknown) => {
    context.log.warn({ stream: command.stream, error: messageOf(error) }, 'files fetched ahead could not be removed');
  });
}

async function fetchFor(context: SiteContext, row: CommandRow, signal: AbortSignal): Promise<FetchedRelease> {
  const { command } = row;
  const { holdings, depot, log } = context;
  try {
    return await stageRelease(command.digest, {
      depot,
      blobs: holdings.blobs,
      incoming: holdings.incoming,
      signal,
      nearby: (digest, part) => context.prefetched.bring(digest, part),
      room: (files) => demandRoomFor(context, files, command.digest),
      timeLeft: () => timeLeftToSwitch(command, switchMoment(context, row)),
      log: (message, detail) => log.warn({ commandId: command.id, ...detail }, message),
    });
  } catch (error) {
    throw signal.aborted ? error : rejectionOf(context, error);
  }
}

/** What the disk said outweighs what was being done when it said it. */
export function rejectionOf(context: SiteContext, error: unknown): Rejection {
  if (error instanceof Rejection) return error;
  const trouble = context.storage.note(error, 'a release could not be staged');
  if (trouble === undefined) return rejectionFor(error);
  return new Rejection({ code: TROUBLE_CODES[trouble], detail: messageOf(error) });
}

/** Errors on the way to `staged` are answers, not crashes. */
export function rejectionFor(error: unknown): Rejection {
  if (error instanceof Rejection) return error;
  const known = error instanceof MistakeError || error instanceof WorldError;
  const code = known ? error.code : 'STAGE_FAILED';
  return new Rejection({ code, detail: messageOf(error) });
}

/** `because`: what it waited for. */
export function refuseLate(context: SiteContext, row: CommandRow, because = ''): void {
  if (!isPastSwitchBy(row.command, switchMoment(context, row))) return;
  const by = new Date(row.command.switchBy ?? 0).toISOString();
  throw new Rejection({ code: 'SWITCH_BY_PASSED', detail: `the switch had to begin by ${by}${because}` });
}

/** Aborted once the switch may begin no more. Looked at anew each time: clock and time floor move meanwhile. */
export function untilLate(context: SiteContext, row: CommandRow, over: AbortSignal): AbortSignal {
  const late = new AbortController();
  const look = async () => {
    while (!over.aborted && !isPastSwitchBy(row.command, switchMoment(context, row))) {
      const left = timeLeftToSwitch(row.command, switchMoment(context, row));
      await pauseFor(Math.min(left + 1, LOOK_EVERY_MS), over);
    }
    if (!over.aborted) late.abort();
  };
  look().catch((error: unknown) => late.abort(error));
  return late.signal;
}

/** Accepted before the hold, and not switched yet. */
export function refuseHeld(context: SiteContext, command: Pick<Command, 'stream'>): void {
  const held = judgeHeldHere(context, command.stream);
  if (held) throw new Rejection(held);
}

function switchMoment({ clock, store }: SiteContext, row: CommandRow): SwitchMoment {
  const at = momentOf(clock);
  return {
    now: at.now,
    timeFloor: store.number('timeFloor'),
    elapsedSinceAccepted: elapsedSince(acceptanceOf(row), at),
  };
}

function refuseQuarantined({ store }: SiteContext, command: Command): void {
  const held = store.quarantined(command.stream, command.digest);
  if (!held || command.allowed) return;
  const detail = `release ${held.version} failed here before (${held.code}); lift it with foothold allow`;
  throw new Rejection({ code: 'QUARANTINED', detail });
}

async function refuseUnfit(context: SiteContext, command: Command, fetched: FetchedRelease): Promise<void> {
  const { release, files, written } = fetched;
  const templates: { path: string; text: string }[] = [];
  for (const { driver } of release.components) {
    for (const { file, template } of componentFiles(driver, files)) {
      if (template) templates.push({ path: file.path, text: await textOf(context, file) });
    }
  }
  const ref = { stream: command.stream, version: release.version, digest: command.digest };
  const report = await reportOf(context);
  const self = { id: context.site, vars: command.vars, report, allowed: command.allowed };
  const objection = judgeAtSite({ ref, written, templates }, self);
  if (objection) throw new Rejection(objection);
}

async function renderFor(
  context: SiteContext,
  fetched: FetchedRelease,
  command: Pick<Command, 'digest' | 'vars' | 'stream'>,
): Promise<Omit<HeldRow, 'id'>> {
  const varsDigest = digestOf(command.vars);
  try {
    return await stageHeld(context, fetched, { ...command, varsDigest });
  } catch (error) {
    throw rejectionOf(context, error);
  }
}

/** Renders a release for this site into verified directories; it is not on the books yet. */
export async function stageHeld(
  context: SiteContext,
  { release, files }: Pick<FetchedRelease, 'release' | 'files'>,
  of: Pick<Command, 'digest' | 'vars' | 'stream'> & { varsDigest: string },
): Promise<Omit<HeldRow, 'id'>> {
  const { holdings, store } = context;
  const view: RenderView = { vars: of.vars, site: { id: context.site, data: context.dataDirectory } };
  const rendered = renderRelease(release, view);
  const trees = new Map<string, TreeEntry[]>();
  for (const { name, driver } of release.components) {
    trees.set(name, await renderTree(context, driver, files, view));
  }
  const root = await holdings.stageTrees(`${of.stream}/${short(of.digest)}-${short(of.varsDigest)}`, trees);
  const digests = [...trees].map(([name, entries]) => [name, treeDigest(entries)] as const);
  store.transact(() => {
    for (const [name, digest] of digests) store.putTree(digest, trees.get(name) ?? []);
  });
  return {
    stream: of.stream,
    version: release.version,
    digest: of.digest,
    varsDigest: of.varsDigest,
    release: rendered,
    root,
    trees: Object.fromEntries(digests),
    undo: {},
    adopted: false,
  };
}

/** The component's files as they will lie on disk, each kept as a blob. */
async function renderTree(
  context: SiteContext,
  driver: Release['components'][number]['driver'],
  files: ManifestFile[],
  view: RenderView,
): Promise<TreeEntry[]> {
  const entries = new Map<string, TreeEntry>([['.', { type: 'directory', path: '.', mode: 0o755 }]]);
  for (const { file, name, template } of componentFiles(driver, files)) {
    for (const above of parents(name)) entries.set(above, { type: 'directory', path: above, mode: 0o755 });
    const digest = template ? await renderBlob(context, file, view) : file.digest;
    entries.set(name, { type: 'file', path: name, mode: file.mode, digest });
  }
  return ordered([...entries.values()]);
}

async function renderBlob(context: SiteContext, file: ManifestFile, view: RenderView): Promise<string> {
  try {
    return await context.holdings.blobs.put(Buffer.from(renderText(await textOf(context, file), view)));
  } catch (error) {
    throw error instanceof MistakeError ? new MistakeError(error.code, `${file.path}: ${error.message}`) : error;
  }
}

async function textOf(context: SiteContext, file: ManifestFile): Promise<string> {
  return (await context.holdings.blobs.read(file.digest)).toString('utf8');
}

function parents(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** The order in which a directory is read: names sorted at each level, a directory before what is in it. */
function ordered(entries: TreeEntry[]): TreeEntry[] {
  const key = (path: string) => (path === '.' ? [] : path.split('/'));
  return entries.sort((a, b) => compareParts(key(a.path), key(b.path)));
}

function compareParts(a: string[], b: string[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [x = '', y = ''] = [a[i], b[i]];
    if (x !== y) return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

function short(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}
