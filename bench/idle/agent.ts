/** One real agent as its built command runs it, in a process of its own, over a link of its own whose bytes are counted. */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { startRelay, type Relay } from '../../infra/dev/relay.js';
import type { LinkName } from '../../policies/model/link.js';
import { FrameMeter } from './frames.js';
import type { Memory } from './heap.js';
import { endedWithBench } from '../sweep/part.js';
import { kindOf } from './kinds.js';

/** This file runs as `dist/bench/idle/agent.js`. */
const FOOTHOLD = fileURLToPath(new URL('../../bin/foothold.cjs', import.meta.url));
const HEAP = new URL('./heap.js', import.meta.url).href;

export interface IdleAgent {
  site: string;
  link: LinkName;
  /** To Temporal, and to the depot. */
  relays: { temporal: Relay; depot: Relay };
  meter: FrameMeter;
  memory(): Promise<Memory & { peakRss: number }>;
  stop(): Promise<void>;
}

export interface AgentPlace {
  site: string;
  link: LinkName;
  directory: string;
  /** `host:port` of each. */
  temporal: string;
  depot: string;
  publicKeyPem: string;
}

export async function startAgent(place: AgentPlace): Promise<IdleAgent> {
  const { site, link } = place;
  const meter = new FrameMeter(kindOf);
  const temporal = await startRelay({
    target: place.temporal,
    onPassed: (chunk, way, connection) => meter.take(chunk, way, connection, Date.now()),
  });
  const depot = await startRelay({ target: place.depot });
  const child = fork(FOOTHOLD, ['agent', 'run', '--config', writeConfig(place, depot.address)], {
    execArgv: ['--import', HEAP],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, FOOTHOLD_LOG: 'error', TEMPORAL_ADDRESS: temporal.address },
  });
  const end = endedWithBench(child);
  return {
    ...{ site, link, relays: { temporal, depot }, meter },
    memory: async () => ({ ...(await askMemory(child)), peakRss: peakOf(child.pid ?? NaN) }),
    async stop() {
      await end();
      await Promise.all([temporal.stop(), depot.stop()]);
    },
  };
}

function writeConfig({ site, link, directory, publicKeyPem }: AgentPlace, depot: string): string {
  mkdirSync(directory, { recursive: true });
  const key = join(directory, 'control.pub');
  writeFileSync(key, publicKeyPem);
  const file = join(directory, 'agent.yaml');
  const content = { apiVersion: 'foothold/v1', kind: 'Agent', site, link, data: 'data', controlKeys: [key] };
  writeFileSync(file, stringify({ ...content, depot: `http://${depot}/` }));
  return file;
}

function askMemory(child: ChildProcess): Promise<Memory> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Error('an agent of the bench has ended'));
    child.once('exit', gone);
    child.once('message', (memory: Memory) => {
      child.off('exit', gone);
      resolve(memory);
    });
    if (child.exitCode === null && child.connected) child.send('memory');
    else gone();
  });
}

/** Bytes, by Linux's own books; NaN where the system does not tell. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;
  } catch {
    return NaN;
  }
}
