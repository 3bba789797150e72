/** Where both sides run: one Temporal server, the same site workers, and a central process for each side. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { startTemporal } from '../../infra/dev/temporal.js';
import type { Page } from '../../policies/model/command.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { serveDepot } from '../../records/depot/serve.js';
import { openRegistry } from '../../records/registry/open.js';
import type { ControlOrder } from './control.js';
import type { Sweep } from './figures.js';
import type { FleetOrder } from './fleet.js';
import type { FloorOrder } from './floor.js';
import { signPages, startFloor } from './floor-run.js';
import { countHistories, readShards, type Counted } from './histories.js';
import { startPart, type Part } from './part.js';
import { publishVersion, STRATEGY, writeProject, type SweepProject } from './project.js';

/** Sites in flight, on both sides. */
export const WINDOW = 250;
/** A process serves only so many before its one thread, not Temporal, is what is measured. */
const SITES_A_PROCESS = 50;
const QUIET_WITHIN_MS = 120_000;

export interface Stand {
  /** Rolls a new release out to all sites. */
  ours(): Promise<Sweep>;
  floor(): Promise<Sweep>;
  /** The floor with the agents' own work in the place of a no-op. After it, `ours` cannot be run any more. */
  floorWithAgents(): Promise<Sweep>;
  close(): Promise<void>;
}

type Closer = () => Promise<unknown>;

export async function openStand(count: number, tell: (line: string) => void): Promise<Stand> {
  const closers: Closer[] = [];
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
  };
  try {
    return { ...(await open(count, closers, tell)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(count: number, closers: Closer[], tell: (line: string) => void): Promise<Omit<Stand, 'close'>> {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-sweep-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const server = await startTemporal({ directory: join(directory, 'temporal') });
  closers.push(() => server.stop());
  const { address, namespace } = server;
  const sites = Array.from({ length: count }, (_, i) => `s${String(i).padStart(5, '0')}`);
  await publishVersion(directory, join(directory, 'depot'), '1.0.0');
  const depot = await serveDepot(join(directory, 'depot'), { host: '127.0.0.1', port: 0 });
  closers.push(() => depot.close());
  const project = writeProject(directory, sites, WINDOW, depot.url);
  // The history of one shard of 500 sites is more than the 4 MiB that gRPC takes by default.
  const connection = await Connection.connect({ address, channelArgs: { 'grpc.max_receive_message_length': -1 } });
  closers.push(() => connection.close());
  const client = new Client({ connection, namespace });

  const parts = { control: startPart('control'), floor: startPart('floor'), fleets: [] as Part[] };
  closers.push(() => Promise.all([parts.control, parts.floor, ...parts.fleets].map((part) => part.stop())));
  await parts.control.ask({ open: { address, namespace, projectPath: project.path } satisfies ControlOrder });
  await parts.floor.ask({ open: { address, namespace } satisfies FloorOrder });
  for (let from = 0; from < count; from += SITES_A_PROCESS) {
    const fleet = startPart('fleet');
    parts.fleets.push(fleet);
    const order: FleetOrder = {
      ...{ address, namespace, sites: sites.slice(from, from + SITES_A_PROCESS) },
      directory: join(directory, 'sites'),
      depot: project.depot,
      publicKeyPem: project.publicKeyPem,
    };
    await fleet.ask({ open: order });
    tell(`${Math.min(from + SITES_A_PROCESS, count)} of ${count} sites are up`);
  }
  const stand: Bench = { client, sites, directory, project, parts, serverPid: server.pid };
  await untilReported(stand);
  let version = 0;
  let last = '';
  let tries = 0;
  return {
    ours: () => measure(stand, parts.control, () => rollOut(stand, (last = `1.${version++}.0`))),
    floor: () => measure(stand, parts.floor, () => runFloor(stand)),
    async floorWithAgents() {
      const pages = await pagesAfter(stand, `2.${tries}.0`, idOf(last), ++tries);
      return measure(stand, parts.floor, () => runFloor(stand, pages));
    },
  };
}

interface Bench {
  client: Client;
  sites: string[];
  directory: string;
  project: SweepProject;
  parts: { control: Part; floor: Part; fleets: Part[] };
  serverPid: number;
}

/** CPU is what the parts use between quiet and the end of the run. */
async function measure(stand: Bench, central: Part, run: () => Promise<Counted>): Promise<Sweep> {
  await untilQuiet(stand.client);
  const before = await cpuOf(stand, central);
  const counted = await run();
  const after = await cpuOf(stand, central);
  const server = after.server === undefined ? undefined : after.server - (before.server ?? 0);
  return {
    seconds: (counted.to - counted.from) / 1_000,
    eventsPerSite: counted.ofSites / stand.sites.length,
    eventsPerSiteTotal: counted.total / stand.sites.length,
    cpu: { central: after.central - before.central, sites: after.sites - before.sites, server },
  };
}

const idOf = (version: string) => `sweep-${version}`;

async function rollOut({ client, directory, project, sites }: Bench, version: string): Promise<Counted> {
  const { ref } = await publishVersion(directory, project.depot, version);
  const workflowId = idOf(version);
  const request = { release: `${ref.stream}@${ref.version}`, strategy: STRATEGY };
  const handle = await client.workflow.start('rollout', { workflowId, taskQueue: TASK_QUEUE, args: [request] });
  const end = (await handle.result()) as { outcome: string; confirmed: number };
  if (end.confirmed !== sites.length) throw new Error(`expected ${sites.length} sites confirmed, got ${end.confirmed}`);
  return countHistories(await readShards(client, workflowId), 'converge', 'recordSettled');
}

async function runFloor({ client, sites }: Bench, pages?: Map<string, Page>): Promise<Counted> {
  const ended = await startFloor(client, { sites, window: WINDOW }, pages);
  return ended();
}

/**
 * The generation is the one that the last rollout kept for its reverts: newer than what sites have, older than what the
 * next rollout takes. So runs of this kind come last.
 */
async function pagesAfter(stand: Bench, version: string, last: string, tries: number): Promise<Map<string, Page>> {
  const { directory, project, sites } = stand;
  const { ref } = await publishVersion(directory, project.depot, version);
  const registry = await openRegistry(project.registry);
  const generation = ((await registry.findRollout(last))?.generation ?? NaN) + 1;
  await registry.close();
  return signPages(project, { sites, ref, generation, tries });
}

async function cpuOf({ parts, serverPid }: Bench, central: Part) {
  const used = async (part: Part) => (await part.ask({ cpu: true })).cpuMs ?? NaN;
  const fleets = await Promise.all(parts.fleets.map(used));
  return { central: await used(central), sites: fleets.reduce((sum, ms) => sum + ms, 0), server: cpuOfPid(serverPid) };
}

/** User and system time in ms by Linux's own books, in ticks of 10 ms. */
export function cpuOfPid(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ');
    return (Number(fields?.[11]) + Number(fields?.[12])) * 10;
  } catch {
    return undefined;
  }
}

/** Every site has said what it is: preflight judges reports, and what connecting costs is over. */
async function untilReported({ project, sites }: Bench): Promise<void> {
  const registry = await openRegistry(project.registry);
  try {
    for (const until = Date.now() + QUIET_WITHIN_MS; (await registry.reports()).size < sites.length; await sleep(500)) {
      if (Date.now() > until) throw new Error(`expected ${sites.length} reports within ${QUIET_WITHIN_MS} ms`);
    }
  } finally {
    await registry.close();
  }
}

/** Nothing runs: what one run has left behind, inboxes for instance, must not be paid for by the next. */
async function untilQuiet(client: Client): Promise<void> {
  for (const until = Date.now() + QUIET_WITHIN_MS; ; await sleep(500)) {
    const { count } = await client.workflow.count("ExecutionStatus = 'Running'");
    if (count === 0) return;
    if (Date.now() > until) throw new Error(`expected no workflow to run any more, ${count} do`);
  }
}
