/**
 * The process of a control worker: the real workflows and the real control activities, each seed over its own registry,
 * project and depot. It fails, delays, repeats and kills itself where the seeds say.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { Client } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type InjectedSinks } from '@temporalio/worker';
import { createControlActivities } from '../../activities/control/index.js';
import type { InboxRecorded } from '../../activities/contract.js';
import type { TakenDelivery } from '../../policies/model/inbox.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { openDepot } from '../../records/depot/open-depot.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import type { TaskSinks } from './count-tasks.js';
import type { Counts, FromPart, OpenOrder, SeedOrder, ToPart, WorkerFault } from './orders.js';

/** A reconciler that does not let the sites of a seed wait for minutes. */
const PACE = { burst: 50, perMinute: 600, jitter: 100, gather: 200, backOff: 1_000, settleWithin: 5_000 };

type Activity = (...args: unknown[]) => Promise<unknown>;

interface OpenSeed {
  order: SeedOrder;
  counts: Counts;
  registry: Registry;
  activities: Record<string, Activity>;
}

const seeds = new Map<string, OpenSeed>();
const asked = new Map<number, () => void>();
let asks = 0;
let client: Client | undefined;

function tell(message: FromPart): Promise<void> {
  return new Promise((resolve) => (process.send ? process.send(message, () => resolve()) : resolve()));
}

/** No goodbye: the kernel ends the process, whatever it is doing. */
function dieNow(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable');
}

async function open({ address, namespace, bundlePath, forgetful }: OpenOrder): Promise<void> {
  const silent = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} };
  // The core writes to standard output otherwise, where the report is to be the one document.
  const telemetryOptions = { logging: { forward: {}, filter: 'ERROR' } };
  Runtime.install({ shutdownSignals: [], logger: silent, telemetryOptions });
  const connection = await NativeConnection.connect({ address });
  client = new Client({ connection, namespace });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: TASK_QUEUE,
    workflowBundle: { codePath: bundlePath },
    activities: { default: (...args: unknown[]) => callActivity(args) },
    sinks: countingSinks(),
    maxConcurrentActivityTaskExecutions: 50,
    maxCachedWorkflows: forgetful ? 0 : 400,
    // A killed worker's sticky tasks wait that long for it.
    stickyQueueScheduleToStartTimeout: '1s',
  });
  worker.run().catch((error: unknown) => tell({ failed: String(error) }));
}

async function takeSeed(order: SeedOrder): Promise<void> {
  if (!client) throw new Error('a seed before the worker');
  const registry = await openRegistry(order.registry);
  const { projectPath, controlKeyPem, controlKeyPath, prometheusUrl } = order;
  const made = createControlActivities({
    ...{ registry, depot: openDepot(order.depot), projectPath, controlKeyPem, prometheusUrl, client },
    ...(controlKeyPath === undefined ? {} : { controlKeyPath }),
    now: Date.now,
    catchUpPace: PACE,
  });
  const activities = made as unknown as Record<string, Activity>;
  seeds.set(order.stream, { order, counts: { ...order.counts }, registry, activities });
}

/** Streams, sites, rollouts, shards, locks and inboxes of a seed all carry its name. */
function seedOf(workflowId: string): OpenSeed | undefined {
  return seeds.get(/seed-\d+/.exec(workflowId)?.[0] ?? '');
}

async function callActivity(args: unknown[]): Promise<unknown> {
  const { activityType, workflowExecution } = Context.current().info;
  if (activityType === 'recordArrivals') return recordArrivals(args[0] as TakenDelivery[]);
  const seed = seedOf(workflowExecution?.workflowId ?? '');
  if (!seed) throw new Error('its seed is over');
  return callFor(seed, args);
}

/** Sites of all seeds share an inbox, as those of one fleet do: each is recorded with its own seed's registry, and meets its faults. */
async function recordArrivals(deliveries: TakenDelivery[]): Promise<(InboxRecorded | null)[]> {
  const recorded = new Map<TakenDelivery, InboxRecorded | null>();
  for (const seed of new Set(deliveries.map(({ report }) => seedOf(report.site)))) {
    const its = deliveries.filter(({ report }) => seedOf(report.site) === seed);
    const ends = seed ? callFor(seed, [its]) : Promise.resolve(its.map(() => ({ fresh: [] })));
    const told = (await ends.catch((error: unknown) => {
      if (deliveries.length === 1) throw error;
      return its.map(() => null);
    })) as (InboxRecorded | null)[];
    its.forEach((one, index) => recorded.set(one, told[index] ?? null));
  }
  return deliveries.map((one) => recorded.get(one) ?? null);
}

async function callFor(seed: OpenSeed, args: unknown[]): Promise<unknown> {
  const { activityType, workflowExecution } = Context.current().info;
  const activity = seed.activities[activityType];
  if (!activity) throw new Error(`no activity ${activityType}`);
  seed.counts.activity += 1;
  const fault = due(seed, 'activity');
  if (!fault) return activity(...args);
  await tellInjected(seed, fault, `${String(fault.how)} ${activityType} of ${workflowExecution?.workflowId}`);
  return spoil(fault, () => activity(...args));
}

async function spoil(fault: WorkerFault, call: () => Promise<unknown>): Promise<unknown> {
  if (fault.how === 'kill-before') dieNow();
  if (fault.how === 'fail-before') throw new Error('injected: failed before its effect');
  if (fault.how === 'delay') await sleep(1_200);
  // As where a call outlives its time limit, and the next attempt has begun.
  if (fault.how === 'overlap') return (await Promise.all([call(), call()]))[1];
  const first = await call();
  if (fault.how === 'delay-after') await sleep(1_200);
  if (fault.how === 'kill-after') dieNow();
  if (fault.how === 'fail-after') throw new Error('injected: failed after its effect');
  return fault.how === 'twice' ? call() : first;
}

function due(seed: OpenSeed, on: WorkerFault['on']): WorkerFault | undefined {
  const index = seed.order.faults.findIndex((fault) => fault.on === on && fault.at <= seed.counts[on]);
  return index < 0 ? undefined : seed.order.faults.splice(index, 1)[0];
}

async function tellInjected(seed: OpenSeed, fault: WorkerFault, what: string, ask?: number): Promise<void> {
  const { order, counts } = seed;
  const injected = { stream: order.stream, index: fault.index, counts, what, ...(ask === undefined ? {} : { ask }) };
  await tell({ injected });
}

/** Called, and waited for, before the end of the workflow task is sent to the server. */
function countingSinks(): InjectedSinks<TaskSinks> {
  return {
    faults: {
      task: {
        callDuringReplay: false,
        async fn({ workflowId }) {
          const seed = seedOf(workflowId);
          if (!seed) return;
          seed.counts.task += 1;
          const kill = due(seed, 'task');
          if (kill) {
            await tellInjected(seed, kill, `kill at a task of ${workflowId}`);
            dieNow();
          }
          if (workflowId === seed.order.rollout) await askAtTask(seed);
        },
      },
    },
  };
}

async function askAtTask(seed: OpenSeed): Promise<void> {
  seed.counts['rollout-task'] += 1;
  const fault = due(seed, 'rollout-task');
  if (!fault) return;
  const ask = (asks += 1);
  const acted = new Promise<void>((resolve) => asked.set(ask, resolve));
  await tellInjected(seed, fault, 'act', ask);
  // A workflow task has ten seconds.
  await Promise.race([acted, sleep(3_000)]);
}

async function forget(stream: string): Promise<void> {
  const seed = seeds.get(stream);
  seeds.delete(stream);
  if (!seed) return;
  await tell({ counted: { stream, counts: seed.counts } });
  await seed.registry.close();
}

async function take(order: ToPart): Promise<void> {
  if ('open' in order) {
    await open(order.open);
    await tell({ opened: true });
  } else if ('seed' in order) {
    await takeSeed(order.seed);
    await tell({ took: order.seed.stream });
  } else if ('forget' in order) await forget(order.forget);
  else asked.get(order.acted)?.();
}

// An activity may outlive its seed by a moment: what fails then concerns nobody.
process.on('unhandledRejection', () => undefined);
process.on('message', (order: ToPart) => {
  take(order).catch((error: unknown) => tell({ failed: String(error) }));
});
process.once('disconnect', () => process.exit(0));
