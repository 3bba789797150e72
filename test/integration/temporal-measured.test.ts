/** What design §4 says was measured of activities, seen on a real server with the real worker options of a site. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { ActivityCancellationType } from '@temporalio/common';
import { bundleWorkflowCode, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import type { Page, Settled } from '../../policies/model/command.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { siteWorkerOptions } from '../../worker/site-link.js';

const TYPE = { wait: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED, try: ActivityCancellationType.TRY_CANCEL };

let directory: string;
let server: TemporalServer;
let client: Client;
let connection: NativeConnection;
let workflows: { worker: Worker; running: Promise<void> };

beforeAll(async () => {
  Runtime.install({ shutdownSignals: [], logger: silent });
  directory = await mkdtemp(join(tmpdir(), 'foothold-measured-'));
  server = await startTemporal({ directory });
  client = new Client({ connection: await Connection.connect({ address: server.address }) });
  connection = await NativeConnection.connect({ address: server.address });
  const workflowsPath = fileURLToPath(new URL('measured-workflows.ts', import.meta.url));
  const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: silent });
  const worker = await Worker.create({ connection, taskQueue: 'measured', workflowBundle, shutdownForceTime: '2s' });
  workflows = { worker, running: worker.run() };
}, 120_000);
afterAll(async () => {
  workflows.worker.shutdown();
  await workflows.running;
  await connection.close();
  await client.connection.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

const silent = { trace() {}, debug() {}, info() {}, log() {}, warn: console.warn, error: console.error };

/** A door whose converges are watched for ever and whose reverts are answered at once. */
function watchingDoor(seen: string[]): SiteDoor {
  const door = {
    async accept({ payload }: { payload: string }) {
      seen.push(payload);
      return { commandId: payload, state: 'watching' };
    },
    async observe(commandId: string, signal: AbortSignal): Promise<Settled> {
      if (commandId.startsWith('converge')) {
        await new Promise<void>((ended) => signal.addEventListener('abort', () => ended(), { once: true }));
      }
      return { kind: 'unsettled', commandId, state: 'watching' };
    },
    contacted: () => undefined,
  };
  return door as unknown as SiteDoor;
}

interface Site {
  seen: string[];
  observe(commandId: string, type: ActivityCancellationType): Promise<Awaited<ReturnType<typeof start>>>;
  close(): Promise<void>;
}

async function start(queue: string, commandId: string, type: ActivityCancellationType) {
  const envelope = { payload: commandId } as Page['commands'][number]['envelope'];
  const page: Page = { commands: [{ site: 'osl-01', commandId, envelope }] };
  const options = { taskQueue: 'measured', workflowId: randomUUID(), args: [queue, page, type] };
  return client.workflow.start('observed', options);
}

/** The worker of a site with one stream; `slots` other than what a site has show what they are for. */
async function openSite(slots?: number): Promise<Site> {
  const queue = `site-${randomUUID()}`;
  const seen: string[] = [];
  const options = siteWorkerOptions({ site: 'osl-01', queue, door: watchingDoor(seen), streams: 1 });
  const worker = await Worker.create({
    ...options,
    ...(slots === undefined ? {} : { maxConcurrentActivityTaskExecutions: slots }),
    connection,
  });
  const running = worker.run();
  return {
    seen,
    observe: (commandId, type) => start(queue, commandId, type),
    async close() {
      worker.shutdown();
      await running;
    },
  };
}

async function until(holds: () => boolean, withinMs: number): Promise<boolean> {
  for (const end = Date.now() + withinMs; Date.now() < end;) {
    if (holds()) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return holds();
}

describe('[§4 measured] letting go of a command that a site has', () => {
  it.each([
    ['WAIT_CANCELLATION_COMPLETED brings what the site said last', TYPE.wait, 'watching'],
    ['TRY_CANCEL drops it', TYPE.try, 'nothing'],
  ])('%s', async (_words, type, told) => {
    const site = await openSite();
    try {
      const workflow = await site.observe('converge-1', type);
      expect(await until(() => site.seen.includes('converge-1'), 10_000)).toBe(true);
      await workflow.signal('letGo');
      const answer = (await workflow.result()) as Settled[] | 'nothing';
      const state = answer === 'nothing' || answer[0]?.kind !== 'unsettled' ? answer : answer[0].state;
      expect(state).toBe(told);
    } finally {
      await site.close();
    }
  });
});

describe('[§4 measured] a revert behind a converge that is being watched', () => {
  it('is taken in at once: a site has slots for both', async () => {
    const site = await openSite();
    try {
      const converge = await site.observe('converge-1', TYPE.wait);
      expect(await until(() => site.seen.length === 1, 10_000)).toBe(true);
      await site.observe('revert-1', TYPE.wait);
      expect(await until(() => site.seen.includes('revert-1'), 5_000)).toBe(true);
      await converge.signal('letGo');
      await converge.result();
    } finally {
      await site.close();
    }
  });

  it('with one slot it would wait for the converge to end', async () => {
    const site = await openSite(1);
    try {
      const converge = await site.observe('converge-1', TYPE.wait);
      expect(await until(() => site.seen.length === 1, 10_000)).toBe(true);
      await site.observe('revert-1', TYPE.wait);
      expect(await until(() => site.seen.includes('revert-1'), 3_000)).toBe(false);
      await converge.signal('letGo');
      expect(await until(() => site.seen.includes('revert-1'), 10_000)).toBe(true);
    } finally {
      await site.close();
    }
  });
});
