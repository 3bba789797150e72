/**
 * The whole fleet, counted and put in the order in which a person should look, from what the registry says of all sites at
 * once. Only ids: what is said of a site is read for those that are shown (`fleet-rows.ts`). Pure.
 */
import { judgeDrift, type Drift, type JudgedDesired, type JudgedReport } from '../policies/catch-up/drift.js';
import type { Site } from '../policies/model/fleet.js';
import type { Tally } from '../records/registry/registry.js';
import { differsFrom, NO_STREAM, takesPart } from './fleet-rows.js';

export interface StreamTotals {
  stream: string;
  sites: number;
  same: number;
  owed: number;
  pending: number;
  ahead: number;
  /** Never reported. */
  unknown: number;
  /** Nothing is desired there yet. */
  undecided: number;
  owedReverts: number;
}

export interface FleetCount {
  totals: StreamTotals[];
  /** Those that need a look first; then by id. */
  order: { site: Site; stream: string }[];
  neverReported: string[];
  speakers: Tally['speakers'];
}

/** `streams` are those that are counted; `stream`, if given, the only one that is put in order. */
export function countFleet(sites: Site[], tally: Tally, streams: string[], stream?: string): FleetCount {
  const known = knownOf(sites, tally);
  const totals = new Map(streams.map((one) => [one, noTotals(one)]));
  const buckets: FleetCount['order'][] = Array.from({ length: URGENCIES }, () => []);
  const neverReported: string[] = [];
  for (const [at, site] of sites.entries()) {
    const versions = known.versions[at];
    if (versions === undefined) neverReported.push(site.id);
    const differs = versions !== undefined && differsFrom(site, versions);
    for (const one of streamsOf(known, at, site)) {
      if (stream !== undefined && one !== stream) continue;
      const standing = standingOf(known, at, site, one);
      count(totals.get(one), site, standing);
      const urgency = urgencyOf(
        standing,
        known.speaker[at],
        differs || !(one === NO_STREAM || site.streams.includes(one)),
      );
      buckets[urgency]?.push({ site, stream: one });
    }
  }
  for (const bucket of buckets) bucket.sort((a, b) => (a.site.id < b.site.id ? -1 : a.site.id > b.site.id ? 1 : 0));
  return { totals: [...totals.values()], order: buckets.flat(), neverReported, speakers: speakersAmong(sites, known) };
}

/** Of one stream; by the place of the site in the fleet. */
interface KnownStream {
  reported: (JudgedReport | undefined)[];
  desired: (JudgedDesired | undefined)[];
  desiredOfAll: JudgedDesired | undefined;
  /** `knownGeneration`. */
  generation: number;
  reverts: (true | undefined)[];
}

/** What the groups of the registry say, by the place of the site in the fleet. */
interface Known {
  versions: (Record<string, string> | undefined)[];
  speaker: (keyof Tally['speakers'] | undefined)[];
  streams: Map<string, KnownStream>;
}

function knownOf(sites: Site[], tally: Tally): Known {
  const placeOf = placesOf(sites);
  const nowhere = <T>(): (T | undefined)[] => Array.from({ length: sites.length }, () => undefined);
  const put = <T>(all: (T | undefined)[], ids: string[], value: T): void => {
    for (const id of ids) {
      const at = placeOf(id);
      if (at !== undefined) all[at] = value;
    }
  };
  const known: Known = { versions: nowhere(), speaker: nowhere(), streams: new Map() };
  const ofStream = (stream: string): KnownStream => {
    const there = known.streams.get(stream);
    if (there !== undefined) return there;
    const [desiredOfAll, generation] = [tally.desiredOfStream.get(stream), tally.known.get(stream) ?? 0];
    const made = {
      reported: nowhere(),
      desired: nowhere(),
      desiredOfAll,
      generation,
      reverts: nowhere(),
    } as KnownStream;
    known.streams.set(stream, made);
    return made;
  };
  for (const stream of tally.known.keys()) ofStream(stream);
  for (const one of tally.versions) put(known.versions, one.sites, one.versions);
  for (const one of tally.reported) put(ofStream(one.stream).reported, one.sites, one.report);
  for (const one of tally.desired) put(ofStream(one.stream).desired, one.sites, one.decided);
  for (const one of tally.reverts) put(ofStream(one.stream).reverts, one.sites, true as const);
  for (const word of ['waiting', 'refused', 'doubt'] as const) put(known.speaker, tally.speakers[word], word);
  return known;
}

/** Most lists are in the order of the fleet: the next of one is the next of the other, and nothing has to be looked up. */
function placesOf(sites: Site[]): (id: string) => number | undefined {
  let places: Map<string, number> | undefined;
  let next = 0;
  return (id) => {
    if (sites[next]?.id !== id) {
      places ??= new Map(sites.map((site, at) => [site.id, at]));
      const at = places.get(id);
      if (at === undefined) return undefined;
      next = at;
    }
    next += 1;
    return next - 1;
  };
}

function streamsOf({ streams }: Known, at: number, site: Site): string[] {
  const all = [...site.streams];
  for (const [stream, { reported }] of streams)
    if (reported[at] !== undefined && !all.includes(stream)) all.push(stream);
  return all.length === 0 ? [NO_STREAM] : all.sort();
}

interface Standing {
  state: string | undefined;
  drift: Drift | null;
  revert: boolean;
  neverReported: boolean;
}

function standingOf({ versions, streams }: Known, at: number, site: Site, stream: string): Standing {
  const known = streams.get(stream);
  const report = known?.reported[at];
  const desired = known && takesPart(site, stream) ? desiredOf(known, at) : undefined;
  const neverReported = versions[at] === undefined;
  const reported = neverReported ? undefined : (report ?? null);
  const drift = desired ? judgeDrift(reported, desired, known?.generation ?? 0) : null;
  return { state: report?.state, drift, revert: known?.reverts[at] === true, neverReported };
}

function desiredOf({ desired, desiredOfAll }: KnownStream, at: number): JudgedDesired | undefined {
  const own = desired[at];
  return own !== undefined && own.generation >= (desiredOfAll?.generation ?? 0) ? own : desiredOfAll;
}

const URGENCIES = 7;

/** Where a person should look first: 0 before 6. */
function urgencyOf(
  { state, drift, revert, neverReported }: Standing,
  speaker: keyof Tally['speakers'] | undefined,
  differs: boolean,
): number {
  if (state === 'safe-mode' || speaker === 'doubt') return 0;
  if (revert) return 1;
  if (drift === 'ahead' || drift === 'owed' || speaker === 'refused') return 2;
  if (drift === 'unknown' || neverReported) return 3;
  if (drift === 'pending') return 4;
  return differs ? 5 : 6;
}

function noTotals(stream: string): StreamTotals {
  const none = { sites: 0, same: 0, owed: 0, pending: 0, ahead: 0, unknown: 0, undecided: 0, owedReverts: 0 };
  return { stream, ...none };
}

function count(totals: StreamTotals | undefined, site: Site, { drift, revert }: Standing): void {
  if (totals === undefined || site.state !== 'active') return;
  totals.sites += 1;
  totals[drift ?? 'undecided'] += 1;
  if (revert) totals.owedReverts += 1;
}

function speakersAmong(sites: Site[], { speaker }: Known): Tally['speakers'] {
  const among = (word: keyof Tally['speakers']): string[] =>
    sites.flatMap((site, at) => (speaker[at] === word ? [site.id] : []));
  return { doubt: among('doubt'), refused: among('refused'), waiting: among('waiting') };
}
