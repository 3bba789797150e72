/** Real parts around the idle agents: a Temporal server, a control worker, a depot, and a service that is checked. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { freePort } from '../../infra/dev/ports.js';
import { startTemporal } from '../../infra/dev/temporal.js';
import type { LinkName } from '../../policies/model/link.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { publishRelease } from '../../records/depot/publish.js';
import { serveDepot } from '../../records/depot/serve.js';
import { openRegistry } from '../../records/registry/open.js';
import type { ControlOrder } from '../sweep/control.js';
import { startPart } from '../sweep/part.js';
import { STRATEGY, STREAM, writeProject, type SweepProject } from '../sweep/project.js';
import { startAgent, type IdleAgent } from './agent.js';

const REPORTED_WITHIN_MS = 60_000;

export interface Stand {
  agents: IdleAgent[];
  /** Returns once every agent has a confirmed release, whose check goes on. */
  converge(): Promise<void>;
  close(): Promise<void>;
}

type Closer = () => unknown;

export async function openStand(links: readonly LinkName[], tell: (line: string) => void): Promise<Stand> {
  const closers: Closer[] = [];
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
  };
  try {
    return { ...(await open(links, closers, tell)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  links: readonly LinkName[],
  closers: Closer[],
  tell: (line: string) => void,
): Promise<Omit<Stand, 'close'>> {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-idle-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const server = await startTemporal({ directory: join(directory, 'temporal') });
  closers.push(() => server.stop());
  const { address, namespace } = server;
  const port = await listen(closers);
  const release = await publishRelease(writeRelease(directory, port), join(directory, 'depot'));
  const depot = await serveDepot(join(directory, 'depot'), { host: '127.0.0.1', port: 0 });
  closers.push(() => depot.close());
  const sites = links.map((link) => `idle-${link}`);
  const project = writeProject(directory, sites, sites.length, depot.url);
  const control = startPart('control');
  closers.push(() => control.stop());
  await control.ask({ open: { address, namespace, projectPath: project.path } satisfies ControlOrder });
  const agents: IdleAgent[] = [];
  for (const link of links) {
    const place = { site: `idle-${link}`, link, directory: join(directory, 'sites', link), temporal: address };
    const agent = await startAgent({ ...place, depot: `127.0.0.1:${depot.port}`, publicKeyPem: project.publicKeyPem });
    closers.push(() => agent.stop());
    agents.push(agent);
  }
  await untilReported(project, sites);
  const connection = await Connection.connect({ address });
  closers.push(() => connection.close());
  const client = new Client({ connection, namespace });
  tell(`${sites.length} agents are up`);
  return { agents, converge: () => rollOut(client, `${STREAM}@${release.ref.version}`, sites.length) };
}

async function rollOut(client: Client, release: string, sites: number): Promise<void> {
  const request = { release, strategy: STRATEGY };
  const handle = await client.workflow.start('rollout', { workflowId: 'idle', taskQueue: TASK_QUEUE, args: [request] });
  const { confirmed } = (await handle.result()) as { confirmed: number };
  if (confirmed !== sites) throw new Error(`expected ${sites} sites confirmed, got ${confirmed}`);
}

/** What the check of the release asks. */
async function listen(closers: Closer[]): Promise<number> {
  const port = await freePort();
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  return port;
}

/** One file and one check at its default pace, which goes on for the whole span. */
function writeRelease(directory: string, port: number): string {
  const release = join(directory, 'releases', '1.0.0');
  mkdirSync(join(release, 'files'), { recursive: true });
  writeFileSync(join(release, 'files', 'settings'), 'idle=yes\n');
  const content = {
    ...{ apiVersion: 'foothold/v1', kind: 'Release', stream: STREAM, version: '1.0.0', first: true },
    driver: { type: 'directory', files: './files', target: '{{site.data}}/live' },
    checks: [{ name: 'listens', tcp: `127.0.0.1:${port}` }],
    confirm: { within: '1m', healthyFor: '1s' },
  };
  writeFileSync(join(release, 'release.yaml'), JSON.stringify(content));
  return release;
}

async function untilReported(project: SweepProject, sites: string[]): Promise<void> {
  const registry = await openRegistry(project.registry);
  try {
    for (const until = Date.now() + REPORTED_WITHIN_MS; ; await sleep(500)) {
      if ((await registry.reports()).size === sites.length) return;
      if (Date.now() > until) throw new Error(`expected ${sites.length} reports within ${REPORTED_WITHIN_MS} ms`);
    }
  } finally {
    await registry.close();
  }
}
