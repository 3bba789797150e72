/** Real parts and simulated sites that go away and return: one Temporal server, a control worker, the floor's worker. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { freePort } from '../../infra/dev/ports.js';
import { startTemporal } from '../../infra/dev/temporal.js';
import { wakeCatchUp } from '../../activities/control/wake-catch-up.js';
import type { CatchUpPace } from '../../policies/catch-up/pace.js';
import { batchId } from '../../policies/model/debt.js';
import type { Delivery } from '../../policies/model/inbox.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { serveDepot } from '../../records/depot/serve.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import type { ControlOrder } from '../sweep/control.js';
import type { FloorOrder } from '../sweep/floor.js';
import { signPages, startFloor } from '../sweep/floor-run.js';
import { startPart, type Part } from '../sweep/part.js';
import { publishVersion, STRATEGY, STREAM, writeProject, type SweepProject } from '../sweep/project.js';
import { cpuOfPid } from '../sweep/stand.js';
import { countCalls, readMetrics, sum, type Counted } from './exhausted.js';
import type { Rejoined } from './figures.js';
import type { FleetAct, FleetOrder, Held, Return, Unlinked } from './fleet.js';

/** Sites in flight, on both sides. */
const WINDOW = 250;
const SITES_A_PROCESS = 50;
/** A rollout that is promoted while the others are away has one site to confirm. */
const PRESENT = 'present';
const AWAY = 'away';
/** How long the rollout waits for those that are away, and a batch for one that is back. */
const SETTLE_WITHIN = '40s';
const RETURN_WITHIN_MS = 1_000;
/**
 * Each time, from leaving to returning: whoever was away only for a moment returns for much less (caches, compiled code, what it
 * wrote down of its last contact), and a rollout waits for those that are away before it is promoted without them.
 */
const AWAY_MS = 60_000;
const WITHIN_MS = 120_000;
/** Above whatever the centre has given until then, times the run. */
const FLOOR_GENERATION = 1_000_000;

export type Telling = 'inboxes' | 'told';

export interface Stand {
  /**
   * All go away, a release is promoted without them, all return; until everybody holds it. `told`: nobody reports, and the registry
   * has the reports of all as they return, which costs no time; so what is left is commanding them.
   */
  rejoin(how: Telling): Promise<Rejoined & { batches: Batch[]; calls: Counted; cpu: Cpu }>;
  /**
   * The same agents return in the same way, to commands that lie in their queues; `reporting`: and each says its report to nobody.
   */
  floor(how: Unlinked): Promise<Rejoined & { cpu: Cpu }>;
  /** Seconds for one no-op activity a site, at sites that are there: after `floor`. */
  noop(): Promise<number>;
  close(): Promise<void>;
}

/** Processor time from the first site's return to the end, ms; `server` is NaN where the system does not tell. */
export interface Cpu {
  central: number;
  sites: number;
  server: number;
}

/** A batch of the reconciler, in seconds since the first site's return. */
export interface Batch {
  sites: number;
  from: number;
  to: number;
}

type Closer = () => unknown;

export interface StandOptions {
  sites: number;
  pace: Partial<CatchUpPace>;
  tell: (line: string) => void;
}

export async function openStand(options: StandOptions): Promise<Stand> {
  const closers: Closer[] = [];
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
  };
  try {
    const bench = await open(options, closers);
    let version = 0;
    return {
      rejoin: (how) => rejoin(bench, `2.${version++}.0`, how),
      floor: (how) => floor(bench, `3.${version++}.0`, { tries: version, how }),
      noop: () => noop(bench),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Bench {
  client: Client;
  sites: string[];
  directory: string;
  project: SweepProject;
  registry: Registry;
  fleets: { part: Part; sites: string[] }[];
  central: Part[];
  serverPid: number;
  /** Where the SDK's metrics of every process with clients can be read. */
  metrics: string[];
  tell: (line: string) => void;
  /** Epoch ms. */
  leftAt: number;
}

async function open({ sites: count, pace, tell }: StandOptions, closers: Closer[]): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-rejoin-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const server = await startTemporal({ directory: join(directory, 'temporal') });
  closers.push(() => server.stop());
  const { address, namespace } = server;
  const sites = Array.from({ length: count }, (_, i) => `s${String(i).padStart(5, '0')}`);
  await publishVersion(directory, join(directory, 'depot'), '1.0.0');
  const depot = await serveDepot(join(directory, 'depot'), { host: '127.0.0.1', port: 0 });
  closers.push(() => depot.close());
  const away = { settleWithin: SETTLE_WITHIN, concurrency: WINDOW, budget: { failed: 0, owed: '100%' } };
  const project = writeProject(directory, [PRESENT, ...sites], WINDOW, depot.url, { [AWAY]: away });
  const connection = await Connection.connect({ address, channelArgs: { 'grpc.max_receive_message_length': -1 } });
  closers.push(() => connection.close());

  const metrics = [await metricsAddress()];
  const parts = { control: startPart('control'), floor: startPart('floor') };
  const fleets: Bench['fleets'] = [];
  closers.push(() =>
    Promise.all([parts.control, parts.floor, ...fleets.map(({ part }) => part)].map((one) => one.stop())),
  );
  const control = { address, namespace, projectPath: project.path, catchUpPace: pace, sdkMetrics: metrics[0] ?? '' };
  await parts.control.ask({ open: control satisfies ControlOrder });
  await parts.floor.ask({ open: { address, namespace } satisfies FloorOrder });
  for (const its of [[PRESENT], ...cut(sites)]) {
    const part = startPart('fleet', import.meta.url);
    fleets.push({ part, sites: its });
    const at = await metricsAddress();
    metrics.push(at);
    const place = { directory: join(directory, 'sites'), depot: project.depot, publicKeyPem: project.publicKeyPem };
    await part.ask({ open: { address, namespace, sites: its, metrics: at, ...place } satisfies FleetOrder });
    await part.ask({ act: { kind: 'return', at: {}, how: 'link' } satisfies FleetAct });
  }
  const central = Object.values(parts);
  const registry = await openRegistry(project.registry);
  closers.push(() => registry.close());
  const client = new Client({ connection, namespace });
  const at = { serverPid: server.pid, leftAt: 0 };
  const bench: Bench = { ...{ client, sites, directory, project, registry, fleets, metrics, tell, central }, ...at };
  await until('reports of all sites', async () => (await registry.reports()).size === sites.length + 1);
  tell(`${sites.length} sites are up`);
  // Twice: with the second release a site makes the room that it keeps for an undo.
  for (const version of ['1.0.0', '1.1.0']) await rollOut(bench, STRATEGY, version, sites.length + 1);
  await Promise.all(fleets.map(({ part }) => part.ask({ act: { kind: 'settle' } satisfies FleetAct })));
  return bench;
}

async function metricsAddress(): Promise<string> {
  return `127.0.0.1:${await freePort()}`;
}

function cut(sites: string[]): string[][] {
  const count = Math.ceil(sites.length / SITES_A_PROCESS);
  return Array.from({ length: count }, (_, i) => sites.slice(i * SITES_A_PROCESS, (i + 1) * SITES_A_PROCESS));
}

async function rollOut(bench: Bench, strategy: string, version: string, confirmed: number): Promise<string> {
  const { ref } = await publishVersion(bench.directory, bench.project.depot, version);
  const args = [{ release: `${ref.stream}@${ref.version}`, strategy }];
  const started = { workflowId: `${strategy}-${version}`, taskQueue: TASK_QUEUE, args };
  const end = (await (await bench.client.workflow.start('rollout', started)).result()) as { confirmed: number };
  if (end.confirmed !== confirmed) throw new Error(`expected ${confirmed} sites confirmed, got ${end.confirmed}`);
  return ref.digest;
}

async function rejoin(bench: Bench, version: string, how: Telling): ReturnType<Stand['rejoin']> {
  const { client, registry, sites, metrics, tell } = bench;
  await leave(bench);
  const digest = await rollOut(bench, AWAY, version, 1);
  const debts = await registry.debts({ stream: STREAM, owner: 'catchUp', limit: sites.length + 1 });
  if (debts.length !== sites.length) throw new Error(`expected ${sites.length} sites to be owed, got ${debts.length}`);
  tell(`${version} is promoted, ${sites.length} sites are owed it`);
  if (how === 'told') await record(bench);
  await beAway(bench);
  const before = { calls: await callsOf(metrics), cpu: await cpuOf(bench) };
  if (how === 'told') setTimeout(() => void wakeCatchUp(client, STREAM), 500 + RETURN_WITHIN_MS);
  const rejoined = await comeBack(bench, digest, how === 'told' ? 'bare' : 'link');
  const first = Math.min(...Object.values(rejoined.returned));
  await until('the end of the last batch', async () => (await registry.rollouts({ running: true })).length === 0);
  const cpu = less(await cpuOf(bench), before.cpu);
  const calls = difference(await callsOf(metrics), before.calls);
  return { ...rejoined, batches: await batchesSince(registry, first), calls, cpu };
}

/** As their inboxes would, with nothing left to tell. */
async function record({ fleets, registry }: Bench): Promise<void> {
  for (const { part } of away(fleets)) {
    const { told } = await part.ask({ act: { kind: 'report' } satisfies FleetAct });
    for (const { report, events } of told as Delivery[]) await registry.recordSiteEvents(report, events, Date.now());
  }
}

async function floor(
  bench: Bench,
  version: string,
  { tries, how }: { tries: number; how: Unlinked },
): Promise<Rejoined & { cpu: Cpu }> {
  const { client, project, registry, sites } = bench;
  await leave(bench);
  const { ref } = await publishVersion(bench.directory, project.depot, version);
  const acked = await registry.acknowledged(sites);
  const pages = signPages(project, { sites, ref, generation: FLOOR_GENERATION * tries, tries, acked });
  const ended = await startFloor(client, { sites, window: WINDOW }, pages);
  await beAway(bench);
  const before = await cpuOf(bench);
  const rejoined = await comeBack(bench, ref.digest, how);
  await ended();
  return { ...rejoined, cpu: less(await cpuOf(bench), before) };
}

async function noop({ client, sites }: Bench): Promise<number> {
  const ended = await startFloor(client, { sites, window: WINDOW });
  const { from, to } = await ended();
  return (to - from) / 1_000;
}

/** What they have to say is recorded as they go: no run leaves it to the next, and whatever generation they hold the centre knows. */
async function leave(bench: Bench): Promise<void> {
  await Promise.all(away(bench.fleets).map(({ part }) => part.ask({ act: { kind: 'leave' } satisfies FleetAct })));
  bench.leftAt = Date.now();
  await record(bench);
}

/** Until all have been away for long enough. */
async function beAway({ leftAt }: Bench): Promise<void> {
  await sleep(Math.max(0, leftAt + AWAY_MS - Date.now()));
}

function away(fleets: Bench['fleets']): Bench['fleets'] {
  return fleets.filter(({ sites }) => !sites.includes(PRESENT));
}

/** All within one second, spread evenly over it, whatever process they are in. */
async function comeBack({ fleets, sites }: Bench, digest: string, how: Return): Promise<Rejoined> {
  const first = Date.now() + 500;
  const returned = Object.fromEntries(sites.map((site, i) => [site, first + ((i * 0.618_034) % 1) * RETURN_WITHIN_MS]));
  const held: Held = {};
  await Promise.all(
    away(fleets).map(async ({ part }) => {
      await part.ask({ act: { kind: 'return', at: returned, how } satisfies FleetAct });
      const hold: FleetAct = { kind: 'hold', digest, until: first + WITHIN_MS };
      Object.assign(held, (await part.ask({ act: hold })).told as Held);
    }),
  );
  return { returned, held };
}

async function batchesSince(registry: Registry, first: number): Promise<Batch[]> {
  const rollouts = await registry.rollouts({ stream: STREAM, limit: 500 });
  const since = (at: number) => Math.round(at - first) / 1_000;
  return rollouts
    .filter(({ workflowId, startedAt }) => workflowId === batchId(STREAM) && startedAt >= first)
    .map(({ startedAt, updatedAt, stages }) => ({
      sites: stages.reduce((total, { confirmed }) => total + confirmed, 0),
      from: since(startedAt),
      to: since(updatedAt),
    }))
    .sort((a, b) => a.from - b.from);
}

async function cpuOf({ central, fleets, serverPid }: Bench): Promise<Cpu> {
  const used = async (parts: Part[]) => {
    const each = await Promise.all(parts.map(async (part) => (await part.ask({ cpu: true })).cpuMs ?? NaN));
    return each.reduce((total, ms) => total + ms, 0);
  };
  const sites = await used(fleets.map(({ part }) => part));
  return { central: await used(central), sites, server: cpuOfPid(serverPid) ?? NaN };
}

function less(after: Cpu, before: Cpu): Cpu {
  const { central, sites, server } = after;
  return { central: central - before.central, sites: sites - before.sites, server: server - before.server };
}

async function callsOf(metrics: string[]): Promise<Counted> {
  return sum((await Promise.all(metrics.map(readMetrics))).map(countCalls));
}

function difference(after: Counted, before: Counted): Counted {
  const since = (counts: Record<string, number>, earlier: Record<string, number>) =>
    Object.fromEntries(
      Object.entries(counts)
        .map(([key, count]) => [key, count - (earlier[key] ?? 0)] as const)
        .filter(([, count]) => count > 0),
    );
  return {
    requests: after.requests - before.requests,
    operations: since(after.operations, before.operations),
    resourceExhausted: after.resourceExhausted - before.resourceExhausted,
    failures: since(after.failures, before.failures),
  };
}

async function until(what: string, is: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + WITHIN_MS; !(await is()); await sleep(200)) {
    if (Date.now() > end) throw new Error(`expected ${what} within ${WITHIN_MS} ms`);
  }
}
