/** Everything that runs in the demo, started in order and stopped in the opposite one. */
import { join } from 'node:path';
import { startLoad, type Load } from '../../infra/dev/load.js';
import { startNginx } from '../../infra/dev/nginx.js';
import { freePort } from '../../infra/dev/ports.js';
import { answers, startProcess, type RunningProcess } from '../../infra/dev/process.js';
import { startPrometheus, type Prometheus } from '../../infra/dev/prometheus.js';
import { startRelay, type Relay } from '../../infra/dev/relay.js';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import { FOOTHOLD, type DemoSite, type Workplace } from './places.js';
import { writeAddresses, writeAgentFile } from './project.js';

export class Stack {
  private readonly stops: (() => Promise<unknown>)[] = [];

  constructor(readonly workplace: Workplace) {}

  /** Stopped with everything else, last started first. */
  keep<T extends { stop(): Promise<unknown> }>(started: T): T {
    this.stops.push(() => started.stop());
    return started;
  }

  keepAll<T extends { stop(): Promise<unknown> }>(started: T[]): T[] {
    this.stops.push(() => Promise.allSettled(started.map((one) => one.stop())));
    return started;
  }

  /** One that cannot be stopped does not keep the others from it: the reaper gets it when this process ends. */
  async stop(): Promise<void> {
    for (const stop of this.stops.splice(0).reverse()) await stop().catch(() => undefined);
  }
}

export interface Centre {
  temporal: TemporalServer;
  prometheus: Prometheus;
  load: Load;
  /** `host:port` */
  depot: string;
}

/** Temporal, Prometheus, depot, the sites' nginx and the traffic to them. Nothing of Foothold's changes anything yet. */
export async function startCentre(stack: Stack, sites: DemoSite[]): Promise<Centre> {
  const { root, logs } = stack.workplace;
  const temporal = stack.keep(await startTemporal({ directory: join(root, 'temporal'), ui: true }));
  stack.keepAll(
    await Promise.all(
      sites.map((site) =>
        startNginx({ prefix: site.prefix, live: join(site.prefix, 'live'), ready: `${site.url}health` }),
      ),
    ),
  );
  const load = stack.keep(await startLoad({ directory: logs, sites: sites.map(({ id, url }) => ({ id, url })) }));
  const scrapeTargets = [{ address: load.address }, ...sites.map((site) => ({ address: site.metrics }))];
  const prometheus = stack.keep(await startPrometheus({ directory: join(root, 'prometheus'), scrapeTargets }));
  const depot = `127.0.0.1:${await freePort()}`;
  writeAddresses(stack.workplace, { depot: `http://${depot}/`, prometheus: prometheus.url });
  return { temporal, prometheus, load, depot };
}

/** The control worker and the depot's server. */
export async function startControl(stack: Stack, centre: Centre): Promise<void> {
  const { project, logs } = stack.workplace;
  const env = { ...process.env, ...environmentOf(stack.workplace, centre, centre.temporal.address) };
  const foothold = (name: string, args: string[], ready?: () => Promise<boolean>): Promise<RunningProcess> =>
    startProcess({
      name,
      directory: logs,
      path: process.execPath,
      args: [FOOTHOLD, ...args],
      cwd: project,
      env,
      ...(ready ? { ready } : {}),
    });
  const served = async (): Promise<boolean> =>
    (await answers(`http://${centre.depot}/`, 404)) || answers(`http://${centre.depot}/`);
  stack.keep(await foothold('depot', ['depot', 'serve', join(project, 'depot'), '--listen', centre.depot], served));
  stack.keep(await foothold('worker', ['worker', 'run']));
}

/** A site's link: one relay for each thing at the centre that the site talks to. All are cut together. */
export class SiteLink {
  constructor(
    readonly temporal: Relay,
    readonly depot: Relay,
  ) {}

  cut(): void {
    for (const relay of [this.temporal, this.depot]) relay.cut();
  }
  restore(): void {
    for (const relay of [this.temporal, this.depot]) relay.restore();
  }
  bytesBetween(from: number, to: number): number {
    return this.temporal.bytesBetween(from, to) + this.depot.bytesBetween(from, to);
  }
  async stop(): Promise<void> {
    await Promise.all([this.temporal.stop(), this.depot.stop()]);
  }
}

export interface SiteAgent {
  site: DemoSite;
  link: SiteLink;
  process: RunningProcess;
}

/** Every site's link and its agent's configuration; the agents themselves come after. */
export async function layLinks(
  stack: Stack,
  centre: Centre,
  sites: DemoSite[],
  controlKey: string,
): Promise<Map<string, SiteLink>> {
  const links = await Promise.all(
    sites.map(async (site) => {
      const temporal = await startRelay({ target: centre.temporal.address });
      const depot = await startRelay({ target: centre.depot });
      writeAgentFile(site, { depot: `http://${depot.address}/`, controlKey });
      return new SiteLink(temporal, depot);
    }),
  );
  stack.keepAll(links);
  return new Map(sites.map((site, at) => [site.id, links[at] as SiteLink]));
}

export async function startAgent(
  stack: Stack,
  centre: Centre,
  site: DemoSite,
  link: SiteLink,
): Promise<RunningProcess> {
  return startProcess({
    name: `agent-${site.id}`,
    directory: stack.workplace.logs,
    path: process.execPath,
    args: [FOOTHOLD, 'agent', 'run', '--config', site.agentFile],
    env: { ...process.env, ...environmentOf(stack.workplace, centre, link.temporal.address) },
    within: 60_000,
    ready: () => answers(`http://${site.metrics}/metrics`),
  });
}

/** As the Temporal CLI reads it; what the person who runs the demo has set for another server must not lead there. */
export function environmentOf({ profiles }: Workplace, { temporal }: Centre, address: string): NodeJS.ProcessEnv {
  const set = Object.keys(process.env).filter((name) => name.startsWith('TEMPORAL_'));
  return {
    ...Object.fromEntries(set.map((name) => [name, undefined])),
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: temporal.namespace,
    TEMPORAL_CONFIG_FILE: profiles,
  };
}
