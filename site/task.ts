/** Gives a driver one component of one release to work on. */
import { MistakeError } from '../policies/model/failure.js';
import type { Component } from '../policies/model/release.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import type { DriverTask, SiteDriver } from './drivers/driver.js';
import type { HeldRow } from './store/rows.js';

export function taskFor(context: SiteContext, held: HeldRow, component: Component, lkg?: HeldRow): DriverTask {
  const { holdings } = context;
  const before = lkg && counterpart(context, component, lkg);
  return {
    site: context.site,
    stream: held.stream,
    component,
    directory: holdings.directory(held.root, component.name),
    saved: holdings.saved(held, component.name),
    blobs: holdings.blobs,
    tellAside: (target, aside) => tellAside(context, held.stream, { component: component.name, target, aside }),
    ...(before ? { before } : {}),
  };
}

export interface MovedAside extends Record<string, unknown> {
  target: string;
  aside: string;
}

/** A disk that does not take it keeps nothing from being undone: the name beside the target says it as well. */
export function tellAside(context: SiteContext, stream: string, detail: MovedAside): void {
  const { log, storage, store } = context;
  log.warn({ stream, ...detail }, 'what was at a target, and no symlink of the agent, is moved aside');
  try {
    store.transact(() => store.append({ kind: 'moved-aside', stream, detail }));
  } catch (error) {
    storage.note(error, `stream ${stream}, what is moved aside`);
    log.error({ stream, error: messageOf(error) }, 'what is moved aside could not be journaled');
  }
}

/** The same thing in another release: a directory by its target, whatever the component is called; else by its name. */
function counterpart(context: SiteContext, component: Component, other: HeldRow): DriverTask['before'] {
  const { driver } = component;
  const found = other.release.components.find((one) => {
    if (driver.type === 'directory') return one.driver.type === 'directory' && one.driver.target === driver.target;
    return one.name === component.name && one.driver.type === driver.type;
  });
  const tree = found && other.trees[found.name];
  if (!found || tree === undefined) return undefined;
  return { component: found, directory: context.holdings.directory(other.root, found.name), tree };
}

/** Whether every component of the release is what is live now. */
export async function probeAllLive(context: SiteContext, held: HeldRow): Promise<boolean> {
  return probeLive(context, held, held.release.components);
}

/** The same of those components that a symlink switches: no program is asked. */
export async function probeLinksLive(context: SiteContext, held: HeldRow): Promise<boolean> {
  const linked = held.release.components.filter(({ driver }) => driver.type === 'directory');
  return probeLive(context, held, linked);
}

async function probeLive(context: SiteContext, held: HeldRow, components: Component[]): Promise<boolean> {
  for (const component of components) {
    const probe = driverOf(context, component).probeLive(taskFor(context, held, component));
    if (!(await probe.catch(() => false))) return false;
  }
  return true;
}

export function driverOf(context: SiteContext, component: Component): SiteDriver {
  const driver = context.drivers[component.driver.type];
  if (driver) return driver;
  throw new MistakeError(
    'NOT_AVAILABLE',
    `component ${component.name}: this agent has no driver ${component.driver.type}`,
  );
}

/** Whole directories only: `to` if it holds the tree, else one made anew from the blobs. Undefined if that is impossible. */
export async function verifiedDirectory(context: SiteContext, to: string, tree: string): Promise<string | undefined> {
  if (context.verified.has(verifiedKey(to, tree))) return to;
  const whole = await context.holdings.wholeDirectory(to, tree);
  if (whole !== undefined) context.verified.add(verifiedKey(whole, tree));
  return whole;
}

/** Of `SiteContext.verified`. */
export function verifiedKey(directory: string, tree: string): string {
  return `${directory} ${tree}`;
}

/** What was read back whole before is believed no longer. */
export function forgetVerified({ verified }: SiteContext, directory: string): void {
  for (const key of verified) if (key.startsWith(`${directory} `)) verified.delete(key);
}

/** The whole release was just read back. */
export function noteVerified({ holdings, verified }: SiteContext, held: Pick<HeldRow, 'root' | 'trees'>): void {
  for (const [name, tree] of Object.entries(held.trees))
    verified.add(verifiedKey(holdings.directory(held.root, name), tree));
}
