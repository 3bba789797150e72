/**
 * Simulated sites, many in one process: for each the real agent over its own data directory, its own queue with one
 * poller, and its inbox. Only the driver does nothing, and the connection to Temporal is shared.
 */
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Agent } from '../../site/agent.js';
import { openAgent } from '../../site/open-agent.js';
import type { SiteDriver } from '../../site/drivers/driver.js';
import { openLog, type Log } from '../../worker/log.js';
import { installRuntime } from '../../worker/runtime.js';
import { keepDelivering } from '../../worker/site-delivery.js';
import { siteWorkerOptions } from '../../worker/site-link.js';
import { isPart, serveParent } from './part.js';

export interface FleetOrder {
  address: string;
  namespace: string;
  sites: string[];
  /** Data directories are made below it. */
  directory: string;
  depot: string;
  publicKeyPem: string;
}

/** In the place of `exec`: what is left is the agent's own work. */
export const NOTHING: SiteDriver = {
  async stageAdoption(_task, why) {
    why('nothing is ever there');
    return undefined;
  },
  // Nothing was there: anything else the agent reads back, and tells of as damage where it is not.
  async stageUndo({ saved }) {
    return { kind: 'link', target: saved };
  },
  async activate() {},
  async probeLive() {
    return true;
  },
  async revert() {},
  async probeReverted() {
    return true;
  },
};

async function open(order: FleetOrder): Promise<void> {
  const log = openLog('fleet');
  installRuntime(log, { heartbeats: false });
  const ended = new AbortController();
  setMaxListeners(0, ended.signal);
  const connection = await NativeConnection.connect({ address: order.address });
  const closings: Promise<unknown>[] = [];
  for (const site of order.sites) {
    const { closed } = await openSite(order, site, { connection, log, signal: ended.signal });
    closings.push(closed);
  }
  process.once('SIGTERM', () => {
    ended.abort();
    void Promise.allSettled(closings).then(() => process.exit(0));
  });
}

interface Shared {
  connection: NativeConnection;
  log: Log;
  signal: AbortSignal;
}

/** Returns once the site is up; `closed` ends when it is down. */
async function openSite(order: FleetOrder, site: string, shared: Shared): Promise<{ closed: Promise<void> }> {
  const { connection, log, signal } = shared;
  const { namespace, depot, publicKeyPem } = order;
  const dataDirectory = join(order.directory, site);
  const agent = await openAgent({
    ...{ site, dataDirectory, controlKeysPem: [publicKeyPem], depot, log },
    drivers: { exec: NOTHING },
  });
  await agent.start();
  const options = siteWorkerOptions({ site, queue: `site-${site}`, door: agent.door, streams: 1 });
  const activities = { ...options.activities, noop: async () => {} };
  const worker = await Worker.create({ ...options, connection, namespace, activities });
  const running = worker.run();
  const client = new Client({ connection, namespace });
  const delivering = keepDelivering({ site, door: agent.door, client, log }, signal);
  signal.addEventListener('abort', () => worker.shutdown(), { once: true });
  return { closed: close(agent, [running, delivering]) };
}

async function close(agent: Agent, parts: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(parts);
  await agent.stop();
}

if (isPart(import.meta.url)) serveParent(open);
