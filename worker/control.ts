/** The control worker: workflows and central activities on the queue `foothold`, one process per registry. */
import { existsSync } from 'node:fs';
import { Client } from '@temporalio/client';
import { Worker, type NativeConnection } from '@temporalio/worker';
import { createControlActivities } from '../activities/control/index.js';
import { TASK_QUEUE } from '../policies/model/rollout.js';
import { openDepot } from '../records/depot/open-depot.js';
import { readControlKey } from '../records/files/control-keys.js';
import { loadProject, resolveProject } from '../records/files/project-file.js';
import { openRegistry } from '../records/registry/open.js';
import type { Registry } from '../records/registry/registry.js';
import { BUNDLE_PATH, bundleWorkflows } from './bundle.js';
import { causeOf, connectPatiently, pause, readTemporalSettings, type TemporalChoice } from './connection.js';
import { openLog, type Log } from './log.js';
import { installRuntime } from './runtime.js';
import { stopSignal } from './stop-signal.js';
import { ensureSweepSchedule } from './sweep-schedule.js';

export interface ControlWorkerOptions {
  projectPath: string;
  temporal: TemporalChoice;
}

const PATIENCE = { firstMs: 500, mostMs: 10_000 };

/** Runs until SIGINT or SIGTERM. Temporal may be down at start or go away later: both are waited out, with the cause. */
export async function runControlWorker(options: ControlWorkerOptions): Promise<void> {
  const log = openLog('control');
  const signal = stopSignal();
  installRuntime(log);
  const project = resolveProject(await loadProject(options.projectPath));
  const registry = await openRegistry(project.registry);
  try {
    await registry.lockForWorker(`control worker, process ${process.pid}`);
    const parts = {
      registry,
      depot: openDepot(project.depot.read),
      projectPath: options.projectPath,
      controlKeyPem: (await readControlKey(project.controlKey)).privatePem,
      controlKeyPath: project.controlKey,
      ...(project.prometheus === undefined ? {} : { prometheusUrl: project.prometheus }),
      now: Date.now,
    };
    await keepServing(options, parts, signal, log);
  } finally {
    await registry.close();
  }
}

type Parts = Omit<Parameters<typeof createControlActivities>[0], 'client'> & { registry: Registry };

async function keepServing(options: ControlWorkerOptions, parts: Parts, signal: AbortSignal, log: Log): Promise<void> {
  const temporal = readTemporalSettings(options.temporal);
  while (!signal.aborted) {
    const connection = await connectPatiently(temporal, PATIENCE, signal, log);
    if (!connection) return;
    try {
      await serve(connection, temporal.namespace, parts, signal, log);
    } catch (error) {
      log.warn({ cause: causeOf(error) }, 'the control worker ended; it is built anew');
    }
    await connection.close().catch(() => undefined);
    await pause(PATIENCE.firstMs, signal);
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
    identity: `control-${process.pid}`,
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
