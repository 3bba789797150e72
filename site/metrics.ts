/** What the agent shows to Prometheus. A registry per agent, filled at each scrape from the store: nothing can go stale. */
import { createServer, type Server } from 'node:http';
import { Gauge, Registry } from 'prom-client';
import { WorldError } from '../policies/model/failure.js';
import { healthOf } from '../policies/site/decide-watch.js';
import { ECHO_PATH } from '../policies/model/echo.js';
import { serveEcho } from './serve-echo.js';
import { liveRelease, messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import { lastSamples } from './last-samples.js';
import { readRound } from './scrub/scrub.js';

/** The exposition text. Exactly one `foothold_release_info` series for each stream that has something live. */
export async function metricsText(context: SiteContext): Promise<string> {
  const registry = new Registry();
  const { store, site } = context;
  const gauge = <T extends string>(name: string, help: string, labelNames: readonly T[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const info = gauge('foothold_release_info', 'The live release of a stream and its state', [
    ...['site', 'stream', 'digest', 'version', 'state'],
  ]);
  const generation = gauge('foothold_generation', 'Highest generation accepted', ['site', 'stream']);
  const check = gauge(
    'foothold_check_passing',
    '1 if the last sample of the check passed; while the release is watched',
    [...['site', 'stream', 'check', 'need']],
  );
  const unjudged = gauge('foothold_check_inconclusive', 'Samples of the check in a row that could not be judged', [
    ...['site', 'stream', 'check', 'need'],
  ]);
  const waits = gauge('foothold_waiting', '1 while a staged release is not switched to', ['site', 'stream', 'code']);
  for (const row of store.streams()) {
    const { stream, state } = row;
    const live = liveRelease(context, row);
    if (live) info.set({ site, stream, digest: live.digest, version: live.version, state }, 1);
    generation.set({ site, stream }, row.generation);
    for (const { tally, sampledAt } of lastSamples(context, row, live)) {
      // A series has no time of its own: of what is sampled no longer it would claim that it is so now.
      if (sampledAt !== undefined) continue;
      const labels = { site, stream, check: tally.name, need: tally.need };
      check.set(labels, healthOf(tally) === 'healthy' ? 1 : 0);
      unjudged.set(labels, tally.consecutiveInconclusive);
    }
    const waiting = state === 'staged' ? context.waits.get(stream) : undefined;
    if (waiting) waits.set({ site, stream, code: waiting.code }, 1);
  }
  const last = store.lastEvent()?.sequence ?? 0;
  gauge('foothold_events_unacknowledged', 'Journaled events that the centre has not recorded', ['site']).set(
    { site },
    last - store.number('ackedThrough'),
  );
  gauge('foothold_last_contact_timestamp_seconds', 'Last proven contact with the centre, 0 if never', ['site']).set(
    { site },
    context.lastContact / 1000,
  );
  gauge('foothold_link_up', '1 while the link to the centre is up, by its own word', ['site']).set(
    { site },
    context.link?.state === 'up' ? 1 : 0,
  );
  const { fault, reserve } = context.storage;
  const round = readRound(store);
  const one = (name: string, help: string, value: number) => gauge(name, help, ['site']).set({ site }, value);
  one('foothold_storage_fault', '1 while nothing is begun because the disk failed', fault ? 1 : 0);
  one('foothold_disk_free_bytes', 'Free bytes where the agent keeps its data', reserve.free());
  one('foothold_disk_reserve_whole', '1 while the room that an undo needs is kept', reserve.whole ? 1 : 0);
  one(
    'foothold_scrub_timestamp_seconds',
    'When all that is kept was last read back, 0 if never',
    (round?.at ?? 0) / 1000,
  );
  one(
    'foothold_damaged_releases',
    'Kept releases, and what undos go back to, that are damaged and could not be healed',
    round?.damaged.length ?? 0,
  );
  const stored = gauge('foothold_outbox_entries', 'Samples and log lines that the centre has not recorded', [
    ...['site', 'priority'],
  ]);
  for (const [priority, { entries }] of Object.entries(context.outbox.stored()))
    stored.set({ site, priority }, entries);
  gauge('foothold_quarantined', 'Releases quarantined at the site', ['site']).set({ site }, store.quarantine().length);
  return registry.metrics();
}

/** Serves `/metrics`, and `/echo` for `peer` checks of neighbours, on `host:port`; returns the address in use and how to stop. Throws WorldError PORT_IN_USE. */
export async function serveMetrics(
  context: SiteContext,
  address: string,
): Promise<{ address: string; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.url === ECHO_PATH && request.method === 'POST') return void serveEcho(request, response);
    if (request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    metricsText(context).then(
      (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text),
      (error: unknown) => response.writeHead(500).end(messageOf(error)),
    );
  });
  const { host, port } = splitAddress(address);
  await listen(server, host, port, address);
  const bound = server.address();
  const actual = typeof bound === 'object' && bound ? bound.port : port;
  return {
    address: `${host}:${actual}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

async function listen(server: Server, host: string, port: number, address: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const message = `expected to listen on ${address} for metrics, got: ${error.message}`;
      reject(new WorldError('PORT_IN_USE', `${message}; choose another address with \`metrics\` in agent.yaml`));
    });
    server.listen(port, host, () => resolve());
  });
}
