/** What temporal-measured.test.ts measures with: a server, the worker of measured-workflows.ts, and workers as sites have them. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection, type WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { ActivityCancellationType } from '@temporalio/common';
import { bundleWorkflowCode, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import type { Page, Settled } from '../../policies/model/command.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { siteWorkerOptions } from '../../worker/site-link.js';

const silent = { trace() {}, debug() {}, info() {}, log() {}, warn: console.warn, error: console.error };

type Handle = WorkflowHandleWithFirstExecutionRunId;

export interface MeasuredSite {
  queue: string;
  /** Commands in the order in which they were taken in, and those whose observer has ended. */
  seen: string[];
  ended: string[];
  observe(commandId: string, type: ActivityCancellationType, attemptMs?: number): Promise<Handle>;
  close(): Promise<void>;
}

export interface SiteOptions {
  streams?: number;
  /** Other than what a site has, to show what they are for. */
  slots?: number;
  /** The address that it connects to, if not the server's own. */
  through?: string;
  door?: SiteDoor;
}

export class MeasuredStage {
  private constructor(
    private readonly directory: string,
    readonly server: TemporalServer,
    readonly client: Client,
    private readonly connection: NativeConnection,
    private readonly worker: Worker,
    private readonly running: Promise<void>,
  ) {}

  static async open(): Promise<MeasuredStage> {
    Runtime.install({ shutdownSignals: [], logger: silent });
    const directory = await mkdtemp(join(tmpdir(), 'foothold-measured-'));
    const server = await startTemporal({ directory });
    const client = new Client({ connection: await Connection.connect({ address: server.address }) });
    const connection = await NativeConnection.connect({ address: server.address });
    const workflowsPath = fileURLToPath(new URL('measured-workflows.ts', import.meta.url));
    const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: silent });
    const worker = await Worker.create({ connection, taskQueue: 'measured', workflowBundle, shutdownForceTime: '2s' });
    return new MeasuredStage(directory, server, client, connection, worker, worker.run());
  }

  start(type: string, args: unknown[], workflowId: string = randomUUID()): Promise<Handle> {
    return this.client.workflow.start(type, { taskQueue: 'measured', workflowId, args });
  }

  /** The worker of a site as it is, but for what `options` says. */
  async openSite(options: SiteOptions = {}): Promise<MeasuredSite> {
    const { streams = 1, slots, through } = options;
    const queue = `site-${randomUUID()}`;
    const [seen, ended]: [string[], string[]] = [[], []];
    const door = options.door ?? watchingDoor(seen, ended);
    const own = through === undefined ? undefined : await NativeConnection.connect({ address: through });
    const worker = await Worker.create({
      ...siteWorkerOptions({ site: 'osl-01', queue, door, streams }),
      ...(slots === undefined ? {} : { maxConcurrentActivityTaskExecutions: slots }),
      connection: own ?? this.connection,
    });
    const running = worker.run();
    return {
      queue,
      seen,
      ended,
      observe: (commandId, type, attemptMs) =>
        this.start('observed', [queue, pageOf(commandId), type, ...(attemptMs === undefined ? [] : [attemptMs])]),
      async close() {
        worker.shutdown();
        await running;
        await own?.close();
      },
    };
  }

  async close(): Promise<void> {
    this.worker.shutdown();
    await this.running;
    await this.connection.close();
    await this.client.connection.close();
    await this.server.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export function pageOf(commandId: string): Page {
  const envelope = { payload: commandId } as Page['commands'][number]['envelope'];
  return { commands: [{ site: 'osl-01', commandId, envelope }] };
}

/** A door whose converges are watched for ever and whose reverts are answered at once. */
function watchingDoor(seen: string[], ended: string[]): SiteDoor {
  return doorOf(seen, async (commandId, signal): Promise<Settled> => {
    if (commandId.startsWith('converge')) await aborted(signal);
    ended.push(commandId);
    return { kind: 'unsettled', commandId, state: 'watching' };
  });
}

export function doorOf(
  seen: string[],
  observe: (commandId: string, signal: AbortSignal) => Promise<Settled>,
): SiteDoor {
  const door = {
    async accept({ payload }: { payload: string }) {
      seen.push(payload);
      return { commandId: payload, state: 'watching' };
    },
    observe,
    contacted: () => undefined,
    // What a site tells unasked is no part of this.
    onEvent: () => () => undefined,
  };
  return door as unknown as SiteDoor;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((ended) => signal.addEventListener('abort', () => ended(), { once: true }));
}

export async function until(holds: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  for (const end = Date.now() + withinMs; Date.now() < end;) {
    if (await holds()) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return holds();
}
