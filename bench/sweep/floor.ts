/** The central process of the floor: one worker for its workflow, with the options of the control worker. */
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, NativeConnection, Worker } from '@temporalio/worker';
import { openLog } from '../../worker/log.js';
import { installRuntime } from '../../worker/runtime.js';
import { isPart, serveParent } from './part.js';

export interface FloorOrder {
  address: string;
  namespace: string;
}

export const FLOOR_QUEUE = 'bench-floor';

async function open({ address, namespace }: FloorOrder): Promise<void> {
  installRuntime(openLog('floor'));
  const workflowsPath = fileURLToPath(new URL('./floor-workflow.js', import.meta.url));
  const silent = { trace() {}, debug() {}, info() {}, log() {}, warn: console.warn, error: console.error };
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: FLOOR_QUEUE,
    workflowBundle: await bundleWorkflowCode({ workflowsPath, logger: silent }),
    maxCachedWorkflows: 200,
    stickyQueueScheduleToStartTimeout: '3s',
    shutdownForceTime: '3s',
  });
  const running = worker.run();
  process.once('SIGTERM', () => {
    worker.shutdown();
    void running.finally(() => process.exit(0));
  });
}

if (isPart(import.meta.url)) serveParent(open);
