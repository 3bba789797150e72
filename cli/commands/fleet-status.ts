/** `fleet status`: what each site should run, what it last said that it runs, how long ago, and what it owes. */
import { MistakeError } from '../../policies/model/failure.js';
import type { Site } from '../../policies/model/fleet.js';
import type { Tally } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import { countFleet, type FleetCount } from '../fleet-count.js';
import { fleetRows, type StreamRow } from '../fleet-rows.js';
import { meantFleet } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { fleetStatusText } from '../render/fleet.js';
import { selectedSites } from '../selected.js';
import { limitOf } from './owed.js';

export interface FleetStatusFlags {
  only: string[];
  stream?: string;
  limit?: string;
}

/**
 * `{ totals, sites, neverReported, speakers }`: totals over every site that is selected; `sites` are one row a site and stream,
 * those that need a look first; with `--limit` only the first of them; `speakers` are sites by `doubt`, `refused`, `waiting`.
 */
export async function fleetStatus(context: Context, flags: FleetStatusFlags): Promise<Answer> {
  const all = (await meantFleet(context)).sites;
  const sites = selectedSites(all, flags.only);
  const registry = await context.registryIfHere();
  const streams = streamsOf(sites, flags.stream);
  const tally = (await registry?.tally(streams, context.io.now())) ?? NOTHING_KNOWN;
  refuseUnknownStream(flags.stream, all, sites, tally);
  const { totals, of, first, neverReported, speakers } = countFleet(sites, tally, streams, flags.stream);
  const limit = limitOf(flags.limit, context.flags.json === true ? undefined : SHOWN) ?? of;
  const shown = first(limit);
  const rows = await fleetRows(registry, distinct(shown), tally.known, context.io.now());
  const found = new Map(rows.map((row) => [`${row.stream} ${row.site}`, row]));
  const chosen: StreamRow[] = shown.flatMap(({ site, stream }) => found.get(`${stream} ${site.id}`) ?? []);
  const known = registry !== undefined;
  const missing = known ? {} : { missing: ['reports', 'desired', 'owed'] };
  return done(
    { totals, sites: chosen, neverReported, speakers, ...missing },
    fleetStatusText(context, {
      ...{ totals, rows: chosen, of, sites: sites.length, neverReported, speakers, known },
    }),
  );
}

const SHOWN = 20;

const NOTHING_KNOWN: Tally = {
  ...{ versions: [], reported: [], holds: [], desired: [], desiredOfStream: new Map(), known: new Map(), reverts: [] },
  speakers: { doubt: [], refused: [], waiting: [] },
};

function distinct(shown: ReturnType<FleetCount['first']>): Site[] {
  return [...new Set(shown.map(({ site }) => site))];
}

/** Only what a site declares or reports is a stream: any other name would show an empty fleet. */
function refuseUnknownStream(stream: string | undefined, all: Site[], selected: Site[], tally: Tally): void {
  if (stream === undefined) return;
  const ids = new Set(selected.map((site) => site.id));
  const reported = tally.reported.filter(({ sites }) => sites.some((site) => ids.has(site))).map((one) => one.stream);
  const known = new Set([...all.flatMap((site) => site.streams), ...reported]);
  if (known.has(stream)) return;
  const message = `expected a stream of the fleet, got ${stream}`;
  throw new MistakeError('BAD_ARGUMENT', message, suggestions(stream, known, 'stream'));
}

function streamsOf(sites: Site[], stream: string | undefined): string[] {
  if (stream !== undefined) return [stream];
  return [...new Set(sites.flatMap((site) => site.streams))].sort();
}
