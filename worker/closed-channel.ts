/**
 * Temporal's client tries a call again from a timer of its own. On a connection that was closed meanwhile (a renewed
 * certificate, another address) that throws where nobody can catch it, and would end the process: measured with
 * @temporalio/client 1.24. A site's agent that ends for it is restarted while watching, and the third time undoes a good release.
 */
import process from 'node:process';
import type { Log } from './log.js';

const CLOSED = 'Channel has been shut down';

/** Once in a process. Any other error ends it as before. */
export function outliveClosedChannels(log: Log): void {
  process.on('uncaughtException', (error) => {
    if (error instanceof Error && error.message === CLOSED) {
      return log.warn({ cause: error.message }, 'a call was to be tried again on a connection that is closed');
    }
    // Somebody else may still take it.
    if (process.listenerCount('uncaughtException') > 1) return;
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  });
}
