/** Where seeds run: one Temporal server; lanes, each a namespace with its own control worker and links; one Prometheus. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime } from '@temporalio/worker';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import { SEARCH_ATTRIBUTES } from '../../infra/temporal/settings.js';
import { bundleWorkflows } from '../../worker/bundle.js';
import { Control, type ControlListener } from './control.js';
import { Fleet } from './fleet.js';
import { makeKeys, SHARED_QUEUE, type Keys } from './project.js';
import { serveScriptedPrometheus, type ScriptedPrometheus } from './prometheus.js';
import { outliveClosedChannels } from '../../worker/closed-channel.js';
import { openLog } from '../../worker/log.js';

export interface Lane {
  namespace: string;
  client: Client;
  control: Control;
  fleet: Fleet;
  /** By stream. */
  listeners: Map<string, ControlListener>;
}

export interface Stand {
  directory: string;
  server: TemporalServer;
  prometheus: ScriptedPrometheus;
  keys: Keys;
  openLane(name: string, options: { forgetful: boolean }): Promise<Lane>;
  close(): Promise<void>;
}

const KEYWORD = 2;
const NAMESPACE_WITHIN_MS = 30_000;

export async function openStand(): Promise<Stand> {
  const closers: (() => Promise<unknown>)[] = [];
  // Calls of operators and sites that nobody waits for any more are under way when it closes.
  outliveClosedChannels(openLog('stand'));
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
  };
  try {
    return { ...(await open(closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(closers: (() => Promise<unknown>)[]): Promise<Omit<Stand, 'close'>> {
  const silent = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} };
  // The core writes to standard output otherwise, where the report is to be the one document.
  const telemetryOptions = { logging: { forward: {}, filter: 'ERROR' } };
  Runtime.install({ shutdownSignals: [], logger: silent, telemetryOptions });
  // Processes are killed here, machines are not: memory keeps what a killed process had written.
  const directory = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'foothold-faults-'));
  closers.push(() => rm(directory, { recursive: true, force: true }));
  const prometheus = await serveScriptedPrometheus();
  closers.push(() => prometheus.close());
  const server = await startTemporal({ directory: join(directory, 'temporal') });
  closers.push(() => server.stop());
  const bundlePath = join(directory, 'workflows.js');
  await writeFile(bundlePath, await bundle());
  const connection = await Connection.connect({ address: server.address });
  closers.push(() => connection.close());
  const native = await NativeConnection.connect({ address: server.address });
  closers.push(() => native.close());
  return {
    directory,
    server,
    prometheus,
    keys: makeKeys(),
    async openLane(name, { forgetful }) {
      await registerNamespace(connection, name);
      const listeners = new Map<string, ControlListener>();
      const opening = { address: server.address, namespace: name, bundlePath, forgetful };
      const control = new Control(opening, listeners);
      closers.push(() => control.close());
      const fleet = new Fleet({ connection: native, namespace: name });
      closers.push(() => fleet.close());
      await Promise.all([control.open(), fleet.serve(SHARED_QUEUE)]);
      return { namespace: name, client: new Client({ connection, namespace: name }), control, fleet, listeners };
    },
  };
}

/** The workflows as they are built, with the counter of workflow tasks beside them. */
async function bundle(): Promise<string> {
  const at = (path: string) => {
    const built = fileURLToPath(new URL(`../../${path}.js`, import.meta.url));
    return existsSync(built) ? built : fileURLToPath(new URL(`../../dist/${path}.js`, import.meta.url));
  };
  return bundleWorkflows({
    workflowsPath: at('workflows/index'),
    payloadConverterPath: at('workflows/payload-converter'),
    interceptors: [at('test/faults/count-tasks')],
  });
}

async function registerNamespace(connection: Connection, namespace: string): Promise<void> {
  const day = { seconds: 86_400 as unknown as Long };
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: day });
  const searchAttributes = Object.fromEntries(Object.keys(SEARCH_ATTRIBUTES).map((name) => [name, KEYWORD]));
  for (const until = Date.now() + NAMESPACE_WITHIN_MS; ; await sleep(250)) {
    try {
      await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
      await connection.workflowService.describeNamespace({ namespace });
      return;
    } catch (error) {
      // The server's caches learn of a namespace a moment after it was made.
      if (Date.now() > until) throw error;
    }
  }
}

type Long = NonNullable<
  NonNullable<
    Parameters<Connection['workflowService']['registerNamespace']>[0]['workflowExecutionRetentionPeriod']
  >['seconds']
>;
