/** A site's process: the agent, and its link beside it. The guard runs before any connection is tried. */
import { loadAgent } from '../records/files/agent-file.js';
import { openAgent } from '../site/agent.js';
import { readTemporalSettings, type TemporalChoice } from './connection.js';
import { openLog } from './log.js';
import { installRuntime } from './runtime.js';
import { runSiteLink } from './site-link.js';
import { stopSignal } from './stop-signal.js';

export interface SiteProcessOptions {
  configPath: string;
  temporal: TemporalChoice;
}

const PATIENCE = { firstMs: 500, mostMs: 5_000 };
/** Streams that observers are reserved for; a site that lists more waits for a slot, never for its agent. */
const STREAMS = 4;

/** Runs until SIGINT or SIGTERM; a change under way goes on at the next start. */
export async function runSiteAgent(options: SiteProcessOptions): Promise<void> {
  const signal = stopSignal();
  const { agent: file, controlKeysPem } = await loadAgent(options.configPath);
  const log = openLog(`site-${file.site}`);
  const agent = await openAgent({
    site: file.site,
    dataDirectory: file.data,
    controlKeysPem,
    depot: file.depot,
    reports: file.reports,
    log,
  });
  try {
    await agent.start();
    await agent.serveLocal();
    if (file.metrics !== undefined) await agent.serveMetrics(file.metrics);
    installRuntime(log);
    const temporal = readTemporalSettings({ ...options.temporal, profile: options.temporal.profile ?? file.profile });
    await runSiteLink(
      {
        site: file.site,
        queue: `site-${file.site}`,
        door: agent.door,
        streams: STREAMS,
        temporal,
        patience: PATIENCE,
        log,
      },
      signal,
    );
  } finally {
    await agent.stop();
  }
}
