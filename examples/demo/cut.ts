/** Act 3's other half: one site's link is cut in mid-switch and mended after the site has helped itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outage } from '../../infra/dev/load/timeline.js';
import type { DemoSite } from './places.js';
import type { SiteLink } from './stack.js';
import { siteOf, type World } from './world.js';

export interface OfflineRevert {
  site: string;
  badSinceMs: number;
  restoredMs: number;
  /** The relays passed no byte between the two. */
  linkCut: boolean;
}

/** How long the link stays down after the site is well again, so that nobody can think the centre had a hand in it. */
const STAYS_CUT_MS = 2_000;
const PATIENCE_MS = 60_000;

export async function cutLinkOf(world: World, id: string, version: string): Promise<OfflineRevert> {
  const site = siteOf(world, id);
  const link = world.links.get(id);
  if (!link) throw new RangeError(`expected a link to ${id}`);
  const from = Date.now();
  await untilSwitching(site, version);
  link.cut();
  world.transcript.line(`${id.padEnd(16)} its link is cut: nothing passes, nobody is told`, 'bad');
  const { badSinceMs, restoredMs } = await untilRestored(world, site, from);
  const took = ((restoredMs - badSinceMs) / 1_000).toFixed(1);
  world.transcript.line(`${id.padEnd(16)} answers well again after ${took} s, its link still cut`, 'good');
  await sleep(STAYS_CUT_MS);
  const linkCut = isCut(link, badSinceMs, restoredMs);
  link.restore();
  world.transcript.line(`${id.padEnd(16)} its link is back (bytes passed meanwhile: ${linkCut ? '0' : 'some'})`);
  return { site: id, badSinceMs, restoredMs, linkCut };
}

function isCut(link: SiteLink, from: number, to: number): boolean {
  return link.bytesBetween(from, to) === 0;
}

/** Asked at the site itself: the centre's view comes later, and then it would be too late to cut. */
async function untilSwitching(site: DemoSite, version: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    if (await isSwitching(site)) return;
    await sleep(15);
  }
  throw new Error(`expected ${site.id} to begin switching to ${version} within ${PATIENCE_MS / 1_000} s, it did not`);
}

/** From `staged` on the site needs nothing more from the centre. */
const UNDER_WAY = ['staged', 'switching', 'watching'];

async function isSwitching(site: DemoSite): Promise<boolean> {
  const response = await fetch(`http://${site.metrics}/metrics`).catch(() => undefined);
  const text = (await response?.text()) ?? '';
  const states = text.match(/^foothold_release_info\{[^}]*\} 1$/gm) ?? [];
  return states.some((line) => UNDER_WAY.some((state) => line.includes(`state="${state}"`)));
}

async function untilRestored(world: World, site: DemoSite, from: number): Promise<Required<Outage>> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const outage = await world.centre.load.outage(site.id, from);
    if (outage?.restoredMs !== undefined) return { ...outage, restoredMs: outage.restoredMs };
    await sleep(100);
  }
  throw new Error(`expected ${site.id} to fail and to answer well again within ${PATIENCE_MS / 1_000} s, it did not`);
}
