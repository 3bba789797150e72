/** The SDK's runtime: its signal handlers stay off (processes end by `stopSignal`), its log lines join ours. */
import { Runtime } from '@temporalio/worker';
import { outliveClosedChannels } from './closed-channel.js';
import type { Log } from './log.js';

export interface RuntimeChoice {
  /**
   * Every minute the SDK tells the server how a worker fares, over the same link: measured, 26 kB an hour at a site, more
   * than all long polls. What a site tells is its report.
   */
  heartbeats?: boolean;
  /** `host:port`: where the SDK shows its own metrics to Prometheus. */
  metrics?: string;
}

export function installRuntime(log: Log, { heartbeats = true, metrics }: RuntimeChoice = {}): void {
  outliveClosedChannels(log);
  Runtime.install({
    shutdownSignals: [],
    ...(heartbeats ? {} : { workerHeartbeatInterval: 0 }),
    ...(metrics === undefined ? {} : { telemetryOptions: { metrics: { prometheus: { bindAddress: metrics } } } }),
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
