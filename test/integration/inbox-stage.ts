/** A real server and a worker with the real workflows over activities of the test's own: for inboxes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { startTemporal } from '../../infra/dev/temporal.js';
import { workflowBundle } from '../infra/bundle.js';
import { recordHistories } from './record-histories.js';

export const INBOX_QUEUE = 'inboxes';

/** Kinds of events, as the protocol numbers them. */
export const [TASK_DONE, TASK_FAILED, ACTIVITY_SCHEDULED, TIMER_STARTED] = ['7', '9', '10', '17'] as const;

export interface InboxStage {
  client: Client;
  /** Of the latest run, in order. */
  kindsOf(workflowId: string): Promise<string[]>;
  /** A run that does not replay would stand still with the worker that had it in mind. Rejects with what differs. */
  replay(workflowId: string): Promise<void>;
  close(): Promise<void>;
}

export async function openInboxStage(activities: WorkerOptions['activities'] & object): Promise<InboxStage> {
  const directory = mkdtempSync(join(tmpdir(), 'inbox-'));
  const closers: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
  };
  try {
    const temporal = await startTemporal({ directory });
    closers.push(() => temporal.stop());
    const connection = await NativeConnection.connect({ address: temporal.address });
    closers.push(() => connection.close());
    const bundle = await workflowBundle();
    const worker = await Worker.create({ connection, taskQueue: INBOX_QUEUE, workflowBundle: bundle, activities });
    const running = worker.run();
    closers.push(async () => {
      worker.shutdown();
      await running;
    });
    const plain = await Connection.connect({ address: temporal.address });
    closers.push(() => plain.close());
    const client = new Client({ connection: plain });
    closers.push(() => recordHistories(client));
    const kindsOf = async (workflowId: string) => {
      const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
      return (events ?? []).map(({ eventType }) => String(eventType));
    };
    const replay = async (workflowId: string) => {
      const history = await client.workflow.getHandle(workflowId).fetchHistory();
      await Worker.runReplayHistory({ workflowBundle: bundle }, history, workflowId);
    };
    return { client, kindsOf, replay, close };
  } catch (error) {
    await close();
    throw error;
  }
}
