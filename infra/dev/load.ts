/** Starts the load generator and asks it for counts and outages. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { WorldError } from '../../policies/model/failure.js';
import type { LoadedSite } from './load/generator.js';
import type { Count, Outage } from './load/timeline.js';
import { freePort } from './ports.js';
import { answers, startProcess } from './process.js';

export interface StartLoadOptions {
  directory: string;
  sites: LoadedSite[];
  /** Requests a second to each site. Default 25. */
  rate?: number;
  /** Milliseconds until an unanswered request counts as failed. Default 2000. */
  timeout?: number;
}

export interface Load {
  /** `host:port`, a scrape target with `http_requests_total{site,code}`. */
  readonly address: string;
  readonly pid: number;
  /** Times in epoch ms. */
  count(site: string, from: number, to: number): Promise<Count>;
  /** The first outage at or after `from`: first bad answer, first of eight good ones in a row. */
  outage(site: string, from: number): Promise<Outage | undefined>;
  stop(): Promise<void>;
}

export async function startLoad(options: StartLoadOptions): Promise<Load> {
  const { sites, rate = 25, timeout = 2_000 } = options;
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const generator = await startProcess({
    name: 'load',
    directory: options.directory,
    path: process.execPath,
    args: [builtProgram(), JSON.stringify({ sites, rate, timeout }), String(port)],
    within: 15_000,
    ready: () => answers(`http://${address}/metrics`),
  });
  const ask = async (path: string, query: Record<string, string>): Promise<unknown> => {
    const response = await fetch(`http://${address}/${path}?${new URLSearchParams(query).toString()}`);
    if (!response.ok) throw new WorldError('PROGRAM_NOT_READY', `load generator: ${await response.text()}`);
    return response.json();
  };
  return {
    address,
    pid: generator.pid,
    count: async (site, from, to) => (await ask('count', { site, from: String(from), to: String(to) })) as Count,
    outage: async (site, from) => ((await ask('outage', { site, from: String(from) })) as Outage | null) ?? undefined,
    stop: () => generator.stop(),
  };
}

/** Run from source (tests), the built program is taken: Node 20 does not run TypeScript. */
function builtProgram(): string {
  const candidates = ['./load/main.js', '../../dist/infra/dev/load/main.js'];
  const paths = candidates.map((candidate) => fileURLToPath(new URL(candidate, import.meta.url)));
  const found = paths.find((path) => existsSync(path));
  if (!found) {
    throw new WorldError(
      'PROGRAM_NOT_READY',
      `expected the built load generator at ${paths.join(' or ')}: npm run build`,
    );
  }
  return found;
}
