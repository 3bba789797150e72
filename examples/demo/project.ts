/** The demo's own copy of the example project: the same files, with free ports written into fleet and project. */
import { cpSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { freePort } from '../../infra/dev/ports.js';
import { nginxPaths } from '../../infra/dev/nginx.js';
import { loadFleet } from '../../records/files/fleet-file.js';
import { renderText } from '../../policies/render/template.js';
import { EXAMPLES, STREAM, type DemoSite, type Workplace } from './places.js';

const BEFORE = 'releases/edge-proxy-2.3.0';
/** What a technician once put into the controller; no release of Foothold's has touched it. */
export const CONTROLLER_MEMORY = 'feeder=main\novercurrent=600A\nreclose=1\n';

export async function writeProject(workplace: Workplace): Promise<{ sites: DemoSite[] }> {
  cpSync(EXAMPLES, workplace.project, {
    recursive: true,
    dereference: true,
    filter: (path) => !path.startsWith(join(EXAMPLES, 'demo')),
  });
  const sites = await writeFleet(workplace);
  for (const site of sites) writeSite(site);
  return { sites };
}

/** foothold.yaml with the addresses of this run. */
export function writeAddresses(workplace: Workplace, at: { depot: string; prometheus: string }): void {
  const file = join(workplace.project, 'foothold.yaml');
  const project = parse(readFileSync(file, 'utf8')) as { depot: { read: string }; prometheus: string };
  project.depot.read = at.depot;
  project.prometheus = at.prometheus;
  // Renamed into place: a command may read it at this moment.
  writeFileSync(`${file}.new`, stringify(project));
  renameSync(`${file}.new`, file);
}

/** `depot`: as the site reaches it, over its own link. `controlKey`: the public half. */
export function writeAgentFile(site: DemoSite, at: { depot: string; controlKey: string }): void {
  const file = {
    apiVersion: 'foothold/v1',
    kind: 'Agent',
    site: site.id,
    data: site.data,
    controlKeys: [at.controlKey],
    depot: at.depot,
    metrics: site.metrics,
    reports: { firmware: ['cat', join(site.data, '..', 'firmware')] },
  };
  writeFileSync(site.agentFile, stringify(file));
}

async function writeFleet(workplace: Workplace): Promise<DemoSite[]> {
  const file = join(workplace.project, 'fleet.yaml');
  const fleet = parse(readFileSync(file, 'utf8')) as { sites: { id: string; vars: Record<string, unknown> }[] };
  const nginx = await nginxPaths('');
  for (const site of fleet.sites) {
    const prefix = join(workplace.root, 'sites', site.id, 'nginx');
    site.vars = { ...site.vars, listen: `127.0.0.1:${await freePort()}`, nginx: nginx.program, prefix };
  }
  writeFileSync(file, stringify(fleet));
  const resolved = await loadFleet(file);
  return Promise.all(
    resolved.sites.map(async ({ id, region, vars }) => {
      const directory = join(workplace.root, 'sites', id);
      const data = join(directory, 'data');
      return {
        id,
        region: region ?? '',
        url: `http://${String(vars['listen'])}/`,
        prefix: join(directory, 'nginx'),
        data,
        controller: join(data, 'controller', 'memory'),
        agentFile: join(directory, 'agent.yaml'),
        metrics: `127.0.0.1:${await freePort()}`,
        vars,
      };
    }),
  );
}

/** What ran at the site before Foothold came: a plain directory that somebody wrote, and a controller with settings. */
function writeSite(site: DemoSite): void {
  const live = join(site.prefix, 'live');
  mkdirSync(live, { recursive: true });
  const files = join(EXAMPLES, BEFORE, 'files');
  const view = { vars: site.vars, site: { id: site.id, data: site.data } };
  for (const file of readdirSync(files)) {
    writeFileSync(join(live, file), renderText(readFileSync(join(files, file), 'utf8'), view));
  }
  mkdirSync(join(site.controller, '..'), { recursive: true });
  writeFileSync(site.controller, CONTROLLER_MEMORY);
  writeFileSync(join(site.data, '..', 'firmware'), '3.4.1\n');
}

export function releaseDirectory(workplace: Workplace, version: string): string {
  return join(workplace.project, 'releases', `${STREAM}-${version}`);
}
