/** Compares what is live with the confirmed release, tells of what differs, and puts back what the release says. */
import { lstat, realpath } from 'node:fs/promises';
import { z } from 'zod';
import { MistakeError } from '../policies/model/failure.js';
import type { Component } from '../policies/model/release.js';
import type { DriftedPath, DriftReport } from '../policies/model/report.js';
import {
  compareTrees,
  decideRepair,
  driftAfterRepair,
  nextDrift,
  PATHS_TOLD,
  policyOf,
  type Compared,
  type Difference,
  type KeptDrift,
  type RepairSituation,
} from '../policies/site/decide-drift.js';
import { decideWindow } from '../policies/site/decide-window.js';
import { isAtRest } from '../policies/site/transitions.js';
import { digestOf } from '../policies/signing/jcs.js';
import { AdoptRequest, modelOf } from './adopt-request.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { isStandIn } from './drivers/exec.js';
import { linkDestination } from './files/durable.js';
import { scanTree, type TreeEntry } from './files/tree.js';
import { judgeHeldHere } from './holds.js';
import { repairComponents, stageRepair } from './repair.js';
import { stageHeld } from './stage.js';
import type { HeldRow, StreamRow } from './store/rows.js';
import { driverOf, taskFor } from './task.js';

/** Without `like`: every stream is compared with its confirmed release. */
export const DriftRequest = z.strictObject({ like: AdoptRequest.optional() });
export type DriftRequest = z.input<typeof DriftRequest>;

/** Runs `work` with no command of the stream under way; false if one is. */
export type Alone = (stream: string, work: () => Promise<void>) => Promise<boolean>;

export class DriftWatch {
  /** Elapsed times of the repairs of each stream. */
  private readonly repairedAt = new Map<string, number[]>();
  private looking: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: SiteContext,
    private readonly alone: Alone,
  ) {}

  /** Looks at every stream, one look at a time. Never throws: what could not be compared is told as that. */
  async look(): Promise<void> {
    this.looking = this.looking.then(() => this.lookAtAll());
    return this.looking;
  }

  private async lookAtAll(): Promise<void> {
    for (const stream of this.streams()) {
      try {
        await this.lookAt(stream);
      } catch (error) {
        this.failed(error, { stream });
      }
    }
  }

  private streams(): string[] {
    try {
      const streams = this.context.store.streams().map(({ stream }) => stream);
      return [...new Set([...streams, ...shownStreams(this.context)])].sort();
    } catch (error) {
      this.failed(error);
      return [];
    }
  }

  private failed(error: unknown, of: { stream?: string } = {}): void {
    this.context.storage.note(error, 'looking for drift');
    this.context.log.warn({ ...of, error: messageOf(error) }, 'drift could not be looked for');
  }

  private async lookAt(stream: string): Promise<void> {
    const { context } = this;
    const row = context.store.stream(stream);
    const wanted = comparedRelease(context, stream);
    if (!wanted) return context.store.transact(() => context.store.dropDrift(stream));
    if (!isQuiet(row)) return;
    const compared = await compare(context, wanted);
    // Whatever began meanwhile may have been changing what was read.
    if (!isQuiet(context.store.stream(stream)) || comparedRelease(context, stream)?.id !== wanted.id) return;
    const report = keepDrift(context, stream, compared);
    await this.repair(stream, wanted, compared, report);
  }

  private async repair(stream: string, wanted: HeldRow, compared: Compared, report: KeptDrift): Promise<void> {
    const { context } = this;
    const situation = () => ({
      paths: compared.paths,
      busy: !isQuiet(context.store.stream(stream)),
      held: judgeHeldHere(context, stream),
      fault: context.storage.fault,
      observing: context.observing,
      window: repairWindow(context),
      repairedAt: this.repairedAt.get(stream) ?? [],
      elapsed: context.clock.elapsed(),
    });
    const decision = decideRepair(situation());
    if (decision.kind === 'nothing') return;
    if (decision.kind === 'wait') return this.tell(stream, report, 'waits', decision.why);
    await context.holdings.staging(() =>
      this.putBack({ stream, wanted, compared, report, situation }, decision.components),
    );
  }

  private async putBack(drifted: Drifted, components: string[]): Promise<void> {
    const { context } = this;
    const { stream, wanted, compared, report, situation } = drifted;
    const staged = await stageRepair(context, wanted, components).catch((error: unknown) => this.noted(error));
    if (typeof staged === 'string') return this.tell(stream, report, 'failed', staged);
    // Decided a second time with the stream to itself: what it waits for may have come while it was staged.
    const began = await this.alone(stream, async () => {
      const now = decideRepair(situation());
      if (now.kind !== 'repair' || comparedRelease(context, stream)?.id !== wanted.id) return;
      this.repairedAt.set(stream, [...situation().repairedAt, situation().elapsed].slice(-10));
      await repairComponents(context, wanted, staged);
      const again = await compare(context, wanted);
      const left = again.paths.filter(({ policy }) => policy === 'repair');
      if (left.length > 0) throw new Error(`still not as the release has it: ${left[0]?.path ?? ''}`);
      tellRepaired(context, stream, compared, again);
    }).catch((error: unknown) => this.tell(stream, report, 'failed', this.noted(error)));
    if (began === false) this.tell(stream, report, 'waits', 'a command is under way');
  }

  /** What the disk said is a fault of it, whatever was being put back when it said so (fault H4). */
  private noted(error: unknown): string {
    this.context.storage.note(error, 'putting drift back');
    return messageOf(error);
  }

  private tell(stream: string, report: KeptDrift, result: 'waits' | 'failed', why: string): void {
    const { store, clock, log } = this.context;
    const isNews = report.repair?.result !== result || report.repair.why !== why;
    if (isNews) log.warn({ stream, result, why }, 'drift is not put back');
    store.transact(() => store.putDrift(stream, { ...report, repair: { at: clock.now(), result, why } }));
  }
}

function repairWindow({ clock, repairWindows, store }: SiteContext): RepairSituation['window'] {
  return decideWindow(repairWindows, { now: clock.now(), timeFloor: store.number('timeFloor') });
}

interface Drifted {
  stream: string;
  wanted: HeldRow;
  compared: Compared;
  report: KeptDrift;
  situation: () => RepairSituation;
}

/** Nothing of the stream is under way, and nothing of it is on trial. */
function isQuiet(row: StreamRow): boolean {
  return isAtRest(row.state) && row.commandId === undefined && row.queuedId === undefined;
}

/** An observing agent compares with what it was shown; any other with the release confirmed last. */
function comparedRelease(context: SiteContext, stream: string): HeldRow | undefined {
  return (context.observing ? shownRelease(context, stream) : undefined) ?? context.store.confirmed(stream)[0];
}

function shownRelease({ store }: SiteContext, stream: string): HeldRow | undefined {
  return store.allHeld().findLast((one) => one.stream === stream && one.confirmedAt === undefined);
}

function shownStreams(context: SiteContext): string[] {
  if (!context.observing) return [];
  return context.store.allHeld().flatMap((one) => (one.confirmedAt === undefined ? [one.stream] : []));
}

/** Keeps a release to compare with: on the books, and never switched to. Throws MistakeError BAD_ARGUMENT. */
export async function showRelease(context: SiteContext, request: z.input<typeof AdoptRequest>): Promise<void> {
  if (!context.observing) {
    const message = 'an agent that may change the site compares with its confirmed release; --like is for --observe';
    throw new MistakeError('BAD_ARGUMENT', message);
  }
  const { stream, vars = {} } = request;
  const { release, files, digest } = await modelOf(context, request);
  await context.holdings.staging(async () => {
    const held = await stageHeld(context, { release, files }, { stream, digest, vars, varsDigest: digestOf(vars) });
    context.store.transact(() => {
      for (const one of context.store.allHeld()) {
        if (one.stream === stream && one.confirmedAt === undefined) context.store.dropHeld(one.id);
      }
      context.store.addHeld(held);
    });
  });
}

async function compare(context: SiteContext, held: HeldRow): Promise<Compared> {
  const paths: DriftedPath[] = [];
  const unknown: string[] = [];
  for (const component of held.release.components) {
    const found = await compareComponent(context, held, component).catch((error: unknown) => messageOf(error));
    if (typeof found === 'string') unknown.push(`component ${component.name}: ${found}`);
    else paths.push(...found);
  }
  const { version, digest } = held;
  return {
    against: { version, digest },
    paths,
    ...(unknown.length > 0 ? { unknown: unknown.join('; ') } : {}),
    ...(context.observing ? { adoptable: await judgeAdoptable(held) } : {}),
  };
}

/** Whether there is something to go back to once the agent may change the site; no program is run to find out. */
async function judgeAdoptable(held: HeldRow): Promise<NonNullable<DriftReport['adoptable']>> {
  if (held.release.components.some(({ driver }) => driver.type === 'exec')) return 'unknown';
  for (const { driver } of held.release.components) {
    if (driver.type !== 'directory') continue;
    const there = await realpath(driver.target).then(lstat, () => undefined);
    if (there?.isDirectory()) return 'yes';
  }
  return 'no';
}

/** The differences, or why there is no telling. */
async function compareComponent(
  context: SiteContext,
  held: HeldRow,
  component: Component,
): Promise<DriftedPath[] | string> {
  const named = (one: Omit<DriftedPath, 'component' | 'policy'>): DriftedPath => {
    return { component: component.name, ...one, policy: policyOf(held.release.drift, component.name, one.path) };
  };
  if (component.driver.type === 'exec') {
    if (isStandIn(component)) return 'adopted as it was found: it has no `verify` of its own';
    const isLive = await driverOf(context, component).probeLive(taskFor(context, held, component));
    const root = named({ path: '.', kind: 'changed', detail: 'its `verify` says that it is not live' });
    return [...(isLive ? [] : [root]), ...(await rottenFiles(context, held, component)).map(named).map(neverApplied)];
  }
  const wanted = context.store.tree(held.trees[component.name] ?? '');
  if (!wanted) return 'the agent no longer has the list of its files';
  const { target } = component.driver;
  const live = await realpath(target).catch(() => undefined);
  if (live === undefined) return [named({ path: '.', kind: 'removed', detail: `nothing is at ${target}` })];
  const stray = context.observing ? undefined : strayTarget(context, target);
  const found = await readLive(live);
  if (!found) return [named({ path: '.', kind: 'changed', detail: `what is at ${target} is no directory` })];
  const differences = compareTrees(wanted, found);
  const root = stray === undefined || differences.some(({ path }) => path === '.') ? [] : [stray];
  return [...root, ...differences].map(named);
}

/** Of the directory that the programs of an exec component run in; what they put there themselves is their own affair. */
async function rottenFiles(context: SiteContext, held: HeldRow, component: Component): Promise<Difference[]> {
  const wanted = context.store.tree(held.trees[component.name] ?? '') ?? [];
  const found = await scanTree(context.holdings.directory(held.root, component.name)).catch(() => []);
  return compareTrees(wanted, found).filter(({ path, kind }) => kind !== 'added' && path !== '.');
}

/** To apply the release again would not bring the file back, and would be done again and again. */
function neverApplied(one: DriftedPath): DriftedPath {
  return one.policy === 'repair' ? { ...one, policy: 'alert' } : one;
}

/** A target that no longer points into the agent's own releases cannot be switched, whatever lies there. */
function strayTarget(context: SiteContext, target: string): Omit<DriftedPath, 'component' | 'policy'> | undefined {
  const to = linkDestination(target);
  if (to?.startsWith(`${context.holdings.directory('')}/`)) return undefined;
  const detail = to === undefined ? `${target} is no symlink to the release` : `${target} points to ${to}`;
  return { path: '.', kind: 'changed', detail };
}

async function readLive(live: string): Promise<TreeEntry[] | undefined> {
  return (await lstat(live)).isDirectory() ? scanTree(live) : undefined;
}

function keepDrift(context: SiteContext, stream: string, compared: Compared): KeptDrift {
  const { store, clock } = context;
  const { report, isNews } = nextDrift(store.drift(stream), compared, clock.now());
  store.transact(() => {
    store.putDrift(stream, report);
    if (!isNews) return;
    const { against, paths, total } = report;
    store.append({ kind: 'drifted', stream, detail: { against, paths: paths.slice(0, PATHS_TOLD), total } });
  });
  return report;
}

function tellRepaired(context: SiteContext, stream: string, before: Compared, after: Compared): void {
  const { store, clock } = context;
  const put = before.paths.filter(({ policy }) => policy === 'repair');
  const report = driftAfterRepair(store.drift(stream), after, clock.now());
  const repair = { at: clock.now(), result: 'repaired', why: `${put.length} paths were put back` } as const;
  store.transact(() => {
    store.putDrift(stream, { ...report, repair });
    const paths = put.slice(0, PATHS_TOLD);
    store.append({ kind: 'repaired', stream, detail: { against: after.against, paths, total: put.length } });
  });
}
