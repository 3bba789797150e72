/**
 * The control worker: workflows and central activities on the queue `foothold`. One process a registry where that is a
 * file, any number where it is a server.
 */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { Client } from '@temporalio/client';
import { Worker, type NativeConnection } from '@temporalio/worker';
import { createControlActivities } from '../activities/control/index.js';
import type { CatchUpPace } from '../policies/catch-up/pace.js';
import { WorldError } from '../policies/model/failure.js';
import { TASK_QUEUE } from '../policies/model/rollout.js';
import { publicHalf } from '../policies/signing/keyset.js';
import { openDepot } from '../records/depot/open-depot.js';
import { readControlKey, refuseForeign } from '../records/files/control-keys.js';
import { loadProject, resolveProject } from '../records/files/project-file.js';
import { openRegistry } from '../records/registry/open.js';
import type { Registry } from '../records/registry/registry.js';
import { BUNDLE_PATH, bundleWorkflows } from './bundle.js';
import {
  causeOf,
  closeConnection,
  connectPatiently,
  pause,
  readTemporalSettings,
  type TemporalChoice,
} from './connection.js';
import { openLog, type Log } from './log.js';
import { installRuntime } from './runtime.js';
import { stopSignal } from './stop-signal.js';
import { ensureSweepSchedule } from './sweep-schedule.js';

export interface ControlWorkerOptions {
  projectPath: string;
  temporal: TemporalChoice;
  /** How fast returning sites are brought up to date, where it differs from the defaults. */
  catchUpPace?: Partial<CatchUpPace>;
  /** `host:port`: where the SDK shows its own metrics. */
  sdkMetrics?: string;
}

const PATIENCE = { firstRetry: 500, mostRetry: 10_000 };

/** Runs until SIGINT or SIGTERM. Temporal may be down at start or go away later: both are waited out, with the cause. */
export async function runControlWorker(options: ControlWorkerOptions): Promise<void> {
  const log = openLog('control');
  const signal = stopSignal();
  installRuntime(log, options.sdkMetrics === undefined ? {} : { metrics: options.sdkMetrics });
  const project = resolveProject(await loadProject(options.projectPath));
  const registry = await openPatiently(project.registry, signal, log);
  if (!registry) return;
  try {
    await registry.lockForWorker(`control worker, process ${process.pid} on ${hostname()}`);
    const { id, privatePem } = await readControlKey(project.controlKey);
    refuseForeign(id, project.controlKey, await registry.controlKeys());
    await registry.knowControlKey(publicHalf(privatePem), 'the control worker', Date.now());
    const parts = {
      registry,
      depot: openDepot(project.depot.read),
      projectPath: options.projectPath,
      controlKeyPem: privatePem,
      controlKeyPath: project.controlKey,
      ...(project.prometheus === undefined ? {} : { prometheusUrl: project.prometheus }),
      ...(options.catchUpPace === undefined ? {} : { catchUpPace: options.catchUpPace }),
      now: Date.now,
    };
    await keepServing(options, parts, signal, log);
  } finally {
    await registry.close();
  }
}

/** A registry on a server may be away at start, as Temporal may: waited out, with the cause. A file that fails stays so. */
async function openPatiently(url: string, signal: AbortSignal, log: Log): Promise<Registry | undefined> {
  for (let wait = PATIENCE.firstRetry; !signal.aborted; wait = Math.min(2 * wait, PATIENCE.mostRetry)) {
    try {
      return await openRegistry(url);
    } catch (error) {
      const mayHeal =
        error instanceof WorldError && error.code === 'REGISTRY_UNREACHABLE' && !url.startsWith('sqlite:');
      if (!mayHeal) throw error;
      log.warn({ cause: error.message }, 'the registry cannot be reached; it is tried again');
    }
    await pause(wait, signal);
  }
  return undefined;
}

type Parts = Omit<Parameters<typeof createControlActivities>[0], 'client'> & { registry: Registry };

async function keepServing(options: ControlWorkerOptions, parts: Parts, signal: AbortSignal, log: Log): Promise<void> {
  // A mistake in the profile is the caller's, and said at once; later ones are waited out.
  readTemporalSettings(options.temporal);
  while (!signal.aborted) {
    const connected = await connectPatiently(() => readTemporalSettings(options.temporal), PATIENCE, signal, log);
    if (!connected) return;
    const { connection, settings } = connected;
    try {
      await serve(connection, settings.namespace, parts, signal, log);
    } catch (error) {
      log.warn({ cause: causeOf(error) }, 'the control worker ended; it is built anew');
    }
    await closeConnection(connection);
    await pause(PATIENCE.firstRetry, signal);
  }
}

async function serve(
  connection: NativeConnection,
  namespace: string,
  parts: Parts,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  const client = new Client({ connection, namespace });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: TASK_QUEUE,
    identity: `control-${process.pid}@${hostname()}`,
    workflowBundle: existsSync(BUNDLE_PATH) ? { codePath: BUNDLE_PATH } : { code: await bundleWorkflows() },
    activities: createControlActivities({ ...parts, client }),
    maxConcurrentActivityTaskExecutions: 50,
    // The cache of workflows counts against the heap: bounded, because a rollout has few and they may be large.
    maxCachedWorkflows: 200,
    stickyQueueScheduleToStartTimeout: '3s',
    shutdownGraceTime: '3s',
    shutdownForceTime: '10s',
  });
  const stop = () => worker.shutdown();
  signal.addEventListener('abort', stop, { once: true });
  ensureSweepSchedule(client).catch((error: unknown) => log.warn({ cause: causeOf(error) }, 'nobody sweeps'));
  log.info({ queue: TASK_QUEUE, namespace }, 'the control worker is ready');
  try {
    await worker.run();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
