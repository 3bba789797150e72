/** The central process of Foothold: the control worker as `foothold worker run` starts it. */
import { runControlWorker } from '../../worker/control.js';
import { serveParent } from './part.js';

export interface ControlOrder {
  address: string;
  namespace: string;
  projectPath: string;
}

async function open({ address, namespace, projectPath }: ControlOrder): Promise<void> {
  // It ends at SIGTERM, by its own handler; until then it waits for whatever is missing.
  void runControlWorker({ projectPath, temporal: { address, namespace } }).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}

if (process.send) serveParent(open);
