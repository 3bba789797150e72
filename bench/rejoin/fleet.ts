/**
 * Simulated sites, many in one process, that can go away and return: for each the real agent over its own data directory,
 * which stays up, and the link that `agent run` has, over a connection of its own. Only the driver does nothing.
 */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { arrivalsId, type Delivery } from '../../policies/model/inbox.js';
import { LINK_TIMERS } from '../../policies/model/link.js';
import type { Agent } from '../../site/agent.js';
import { openAgent } from '../../site/open-agent.js';
import { closeConnection } from '../../worker/connection.js';
import { openLog, type Log } from '../../worker/log.js';
import { installRuntime } from '../../worker/runtime.js';
import { runSiteLink, siteWorkerOptions } from '../../worker/site-link.js';
import { FLOOR_QUEUE } from '../sweep/floor.js';
import { NOTHING, type FleetOrder as BareOrder } from '../sweep/fleet.js';
import { isPart, serveParent } from '../sweep/part.js';

export interface FleetOrder extends BareOrder {
  /** `host:port` for the SDK's metrics. */
  metrics: string;
}

/**
 * `bare`: a worker and nothing else, which reports nothing: the floor. `reporting`: besides, what it has to say goes to a workflow
 * that many share and that does nothing.
 */
export type Unlinked = 'bare' | 'reporting';
export type Return = 'link' | Unlinked;

/** `at`: epoch ms when each site connects. */
export type FleetAct =
  | { kind: 'return'; at: Record<string, number>; how: Return }
  | { kind: 'leave' }
  /** Until every agent has done what it does once, soon after its first start. */
  | { kind: 'settle' }
  /** Answers with what every site would deliver. */
  | { kind: 'report' }
  /** Answers with `Held` once all hold it or the time is over. */
  | { kind: 'hold'; digest: string; until: number };

/** Epoch ms when each site's agent had confirmed the release; sites that did not are missing. */
export type Held = Record<string, number>;

interface Site {
  id: string;
  agent: Agent;
  link: { end: AbortController; ended: Promise<void> } | undefined;
  /** By digest. */
  confirmedAt: Map<string, number>;
  /** Has read back what it keeps: days pass until the next time. */
  scrubbed: boolean;
}

/** Events of a site that it tells at once: more than a run leaves. */
const MOST = 1_000;

/** Kept open: with its last connection the SDK's runtime would end, and begin anew with its counts at 0. */
let kept: NativeConnection | undefined;
let order: FleetOrder;
let log: Log;
const sites: Site[] = [];

async function open(given: FleetOrder): Promise<void> {
  order = given;
  log = openLog('fleet');
  installRuntime(log, { heartbeats: false, metrics: order.metrics });
  kept = await NativeConnection.connect({ address: order.address });
  for (const id of order.sites) sites.push(await openSite(id));
  process.once('SIGTERM', () => void close());
}

async function openSite(id: string): Promise<Site> {
  const { directory, depot, publicKeyPem } = order;
  const agent = await openAgent({
    ...{ site: id, dataDirectory: join(directory, id), controlKeysPem: [publicKeyPem], depot, log },
    drivers: { exec: NOTHING },
  });
  await agent.start();
  const site: Site = { id, agent, link: undefined, confirmedAt: new Map(), scrubbed: false };
  agent.door.onEvent(({ kind, result }) => {
    if (kind === 'scrubbed') site.scrubbed = true;
    if (kind === 'confirmed' && result?.live) site.confirmedAt.set(result.live.digest, Date.now());
  });
  return site;
}

async function act(what: FleetAct): Promise<unknown> {
  if (what.kind === 'leave') return void (await Promise.all(sites.map(leave)));
  if (what.kind === 'settle') return settle();
  if (what.kind === 'report') return Promise.all(sites.map(deliveryOf));
  if (what.kind === 'hold') return hold(what.digest, what.until);
  for (const site of sites) {
    const end = new AbortController();
    setMaxListeners(0, end.signal);
    const ended = sleep(Math.max(0, (what.at[site.id] ?? 0) - Date.now())).then(() =>
      what.how === 'link' ? link(site, end.signal) : bareLink(site, end.signal, what.how),
    );
    // A link that cannot be made must not be taken for a site that waits.
    ended.catch((error: unknown) => console.error(error));
    site.link = { end, ended };
  }
  return undefined;
}

async function settle(): Promise<void> {
  while (!sites.every(({ scrubbed }) => scrubbed)) await sleep(200);
}

async function leave(site: Site): Promise<void> {
  site.link?.end.abort();
  await site.link?.ended;
  site.link = undefined;
}

function link({ id, agent }: Site, signal: AbortSignal): Promise<void> {
  const { address, namespace } = order;
  const readTemporal = () => ({ connection: { address }, namespace });
  const options = { site: id, queue: `site-${id}`, door: agent.door, streams: 1, timers: LINK_TIMERS.fibre, log };
  return runSiteLink({ ...options, readTemporal }, signal);
}

async function bareLink(site: Site, signal: AbortSignal, how: Unlinked): Promise<void> {
  const { id, agent } = site;
  const { address, namespace } = order;
  const connection = await NativeConnection.connect({ address });
  const options = siteWorkerOptions({ site: id, queue: `site-${id}`, door: agent.door, streams: 1 });
  const activities = { ...options.activities, noop: async () => {} };
  const worker = await Worker.create({ ...options, connection, namespace, activities });
  const running = worker.run();
  if (how === 'reporting') await reportToNobody(site, new Client({ connection, namespace }));
  if (signal.aborted) worker.shutdown();
  else signal.addEventListener('abort', () => worker.shutdown(), { once: true });
  await running;
  await closeConnection(connection);
}

async function deliveryOf({ agent: { door } }: Site): Promise<Delivery> {
  return { report: await door.report(), events: door.unacknowledged(MOST) };
}

async function reportToNobody(site: Site, client: Client): Promise<void> {
  await client.workflow.signalWithStart('emptyArrivals', {
    ...{ workflowId: `empty-${arrivalsId(site.id)}`, taskQueue: FLOOR_QUEUE },
    ...{ signal: 'deliver', signalArgs: [await deliveryOf(site)] },
  });
}

async function hold(digest: string, until: number): Promise<Held> {
  const holds = () => sites.every(({ confirmedAt }) => confirmedAt.has(digest));
  while (!holds() && Date.now() < until) await sleep(50);
  const held: Held = {};
  for (const { id, confirmedAt } of sites) {
    const at = confirmedAt.get(digest);
    if (at !== undefined) held[id] = at;
  }
  return held;
}

async function close(): Promise<void> {
  await Promise.allSettled(sites.map(leave));
  await Promise.allSettled(sites.map(({ agent }) => agent.stop()));
  await kept?.close();
  process.exit(0);
}

if (isPart(import.meta.url)) serveParent(open, act);
