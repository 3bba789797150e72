/** From nothing to twelve sites that report: everything is started, everything has been adopted. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { openRegistry } from '../../records/registry/open.js';
import { Foothold, eachOf } from './foothold.js';
import { STREAM, type DemoSite } from './places.js';
import { releaseDirectory, writeProject } from './project.js';
import { environmentOf, layLinks, startAgent, startCentre, startControl, type Stack } from './stack.js';
import type { Transcript } from './transcript.js';
import type { World } from './world.js';

const RELEASES = ['2.4.0', '2.5.0', '2.6.0'];

export async function prepareWorld(stack: Stack, transcript: Transcript): Promise<World> {
  const { sites } = await writeProject(stack.workplace);
  transcript.line(`files in ${stack.workplace.root}`, 'dim');
  const foothold = new Foothold(stack.workplace.project);
  const [centre, controlKey] = await Promise.all([startCentre(stack, sites), publishAll(foothold, stack)]);
  transcript.line(
    `Temporal ${centre.temporal.address}, Prometheus ${centre.prometheus.url}, ${sites.length} nginx under load`,
  );

  foothold.use(environmentOf(stack.workplace, centre, centre.temporal.address));
  await startControl(stack, centre);
  transcript.line(`control worker and depot run; published: ${RELEASES.join(', ')}`);

  const links = await layLinks(stack, centre, sites, controlKey);
  const processes = await eachOf(sites, 4, (site) => startOne(stack, centre, site, links));
  const agents = new Map(sites.map((site, at) => [site.id, processes[at] as (typeof processes)[number]]));
  stack.keep({ stop: () => Promise.allSettled([...agents.values()].map((agent) => agent.stop())) });
  transcript.line(`${sites.length} site agents run, each behind a link of its own`);

  const connection = await Connection.connect({ address: centre.temporal.address });
  stack.keep({ stop: () => connection.close() });
  const registry = await openRegistry(`sqlite:${join(stack.workplace.project, 'registry.db')}`);
  stack.keep({ stop: () => registry.close() });
  const temporal = new Client({ connection, namespace: centre.temporal.namespace });
  return { sites, links, agents, centre, foothold, registry, temporal, transcript };
}

function startOne(stack: Stack, centre: World['centre'], site: DemoSite, links: World['links']) {
  const link = links.get(site.id);
  if (!link) throw new RangeError(`expected a link to ${site.id}`);
  return startAgent(stack, centre, site, link);
}

/** Returns the public half of the control key. `foothold init` leaves what is there, and makes the key. */
async function publishAll(foothold: Foothold, stack: Stack): Promise<string> {
  await foothold.json('init');
  const key = join(stack.workplace.project, 'control.pub');
  if (!existsSync(key)) throw new Error(`expected foothold init to make ${key}, it did not`);
  await eachOf(RELEASES, 2, (version) => foothold.json('publish', releaseDirectory(stack.workplace, version)));
  return key;
}

/** What runs at each site becomes its last-known-good, without changing it. */
export async function adoptEverywhere(world: World, like: string): Promise<void> {
  const adopt = async (site: DemoSite): Promise<unknown> =>
    world.foothold.json('agent', 'adopt', STREAM, '--like', like, '--config', site.agentFile);
  await eachOf(world.sites, 3, adopt);
  const deadline = performance.now() + 30_000;
  for (;;) {
    const reports = await world.registry.reports();
    const adopted = world.sites.filter(({ id }) => reports.get(id)?.report.streams[STREAM]?.live !== undefined);
    if (adopted.length === world.sites.length) break;
    if (performance.now() > deadline) {
      throw new Error(`expected ${world.sites.length} sites to report what they adopted, got ${adopted.length}`);
    }
    await sleep(200);
  }
  world.transcript.line(`all ${world.sites.length} sites have adopted what they run, and reported it`, 'good');
}
