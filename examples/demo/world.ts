/** What the acts are played in: the sites and their agents, the centre, and the ways to look at them. */
import type { Client } from '@temporalio/client';
import type { RunningProcess } from '../../infra/dev/process.js';
import type { Registry } from '../../records/registry/registry.js';
import type { Foothold } from './foothold.js';
import type { DemoSite } from './places.js';
import type { Centre, SiteLink } from './stack.js';
import type { Transcript } from './transcript.js';

export interface World {
  sites: DemoSite[];
  links: Map<string, SiteLink>;
  agents: Map<string, RunningProcess>;
  centre: Centre;
  foothold: Foothold;
  registry: Registry;
  temporal: Client;
  transcript: Transcript;
}

export function siteOf(world: World, id: string): DemoSite {
  const site = world.sites.find((one) => one.id === id);
  if (!site) throw new RangeError(`expected a site of the demo's fleet, got ${id}`);
  return site;
}

/** What nginx at the site answers with, whatever anybody believes: the version, or the status code. */
export async function servedBy(site: DemoSite): Promise<string> {
  const response = await fetch(site.url, { headers: { connection: 'close' } });
  const body = await response.text();
  return /^edge-proxy (\S+) at /.exec(body)?.[1] ?? `code ${response.status}`;
}
