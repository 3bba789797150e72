/** A site's process: the agent, and its link beside it. The guard runs before any connection is tried. */
import { loadAgent } from '../records/files/agent-file.js';
import { LINK_TIMERS } from '../policies/model/link.js';
import type { Agent } from '../site/agent.js';
import { openAgent } from '../site/open-agent.js';
import type { AgentOptions } from '../site/options.js';
import { DiskTakesNoWrite } from '../site/guard-from-copy.js';
import { causeOf, pause, readTemporalSettings, type TemporalChoice } from './connection.js';
import { openLog, type Log } from './log.js';
import { installRuntime } from './runtime.js';
import { runSiteLink } from './site-link.js';
import { stopSignal } from './stop-signal.js';

export interface SiteProcessOptions {
  configPath: string;
  temporal: TemporalChoice;
  /** It only looks: see `AgentOptions.observe`. */
  observe?: boolean;
}

/**
 * Streams that observers are reserved for. Which a site runs the centre says, and may say otherwise while this runs. With a
 * slot too few a revert waits behind the observers of converges; a slot that nobody needs costs nothing.
 */
export const STREAMS = 64;
const RETRY_MS = 5_000;

/** Runs until SIGINT or SIGTERM; a change under way goes on at the next start. */
export async function runSiteAgent(options: SiteProcessOptions): Promise<void> {
  const signal = stopSignal();
  const { agent: file, controlKeysPem } = await loadAgent(options.configPath);
  const log = openLog(`site-${file.site}`);
  const agent = await openOnceWritable(
    {
      site: file.site,
      dataDirectory: file.data,
      controlKeysPem,
      depot: file.depot,
      reports: file.reports,
      uplink: file.uplink,
      repairWindows: file.repairs?.windows ?? [],
      sampleEvery: LINK_TIMERS[file.link].sampleEvery,
      log,
      observe: options.observe ?? false,
    },
    signal,
  );
  if (!agent) return;
  try {
    await agent.start();
    void untilDone('the socket', () => agent.serveLocal(), signal, log);
    installRuntime(log, { heartbeats: false });
    const { metrics } = file;
    if (metrics !== undefined) void untilDone('metrics', () => agent.serveMetrics(metrics), signal, log);
    const choice = { ...options.temporal, profile: options.temporal.profile ?? file.profile };
    const { site } = file;
    await runSiteLink(
      {
        ...{ site, queue: `site-${site}`, door: agent.door, streams: STREAMS, log },
        timers: LINK_TIMERS[file.link],
        readTemporal: () => readTemporalSettings(choice),
        onState: (state) => agent.linkStands(state),
      },
      signal,
    );
  } finally {
    await agent.stop();
  }
}

/** Waits for a disk that takes no write: a process that ended for it would be started, and undo the same, again and again. */
async function openOnceWritable(options: AgentOptions, signal: AbortSignal): Promise<Agent | undefined> {
  for (let guarded = false; !signal.aborted; guarded = true) {
    try {
      return await openAgent(options, guarded);
    } catch (error) {
      if (!(error instanceof DiskTakesNoWrite)) throw error;
      options.log.error(
        { cause: causeOf(error), retryMs: RETRY_MS },
        'the agent cannot run on this disk; trying again',
      );
      await pause(RETRY_MS, signal);
    }
  }
  return undefined;
}

/**
 * Does `work` once it can be done. What surrounds the agent may be wrong for weeks: ending the process for it would have
 * a supervisor restart it, and the third restart while watching reverts a good release.
 */
async function untilDone<T>(
  what: string,
  work: () => Promise<T>,
  signal: AbortSignal,
  log: Log,
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await work();
    } catch (error) {
      log.error({ what, cause: causeOf(error), retryMs: RETRY_MS }, 'not possible now; the agent goes on without it');
      await pause(RETRY_MS, signal);
    }
  }
  return undefined;
}
