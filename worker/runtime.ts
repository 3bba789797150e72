/** The SDK's runtime: its signal handlers stay off (processes end by `stopSignal`), its log lines join ours. */
import { Runtime } from '@temporalio/worker';
import type { Log } from './log.js';

export function installRuntime(log: Log): void {
  Runtime.install({
    shutdownSignals: [],
    logger: {
      log: (level, message, meta) => log.info({ ...meta, level }, message),
      trace: () => undefined,
      debug: () => undefined,
      info: (message, meta) => log.debug({ ...meta }, message),
      warn: (message, meta) => log.warn({ ...meta }, message),
      error: (message, meta) => log.error({ ...meta }, message),
    },
  });
}
