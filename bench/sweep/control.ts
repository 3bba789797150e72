/** The central process of Foothold: the control worker as `foothold worker run` starts it. */
import type { CatchUpPace } from '../../policies/catch-up/pace.js';
import { runControlWorker } from '../../worker/control.js';
import { serveParent } from './part.js';

export interface ControlOrder {
  address: string;
  namespace: string;
  projectPath: string;
  catchUpPace?: Partial<CatchUpPace>;
  sdkMetrics?: string;
}

async function open({ address, namespace, ...options }: ControlOrder): Promise<void> {
  // It ends at SIGTERM, by its own handler; until then it waits for whatever is missing.
  void runControlWorker({ ...options, temporal: { address, namespace } }).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}

if (process.send) serveParent(open);
