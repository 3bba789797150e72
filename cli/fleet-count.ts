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
  /** Rows in all: one a site and stream. */
  of: number;
  /** So many of them, those that need a look first; then by id. */
  first: (limit: number) => { site: Site; stream: string }[];
  neverReported: string[];
  speakers: Tally['speakers'];
}

/** `streams` are those that are counted; `stream`, if given, the only one that has rows. */
export function countFleet(sites: Site[], tally: Tally, streams: string[], stream?: string): FleetCount {
  const { classes, classOf } = classesOf(sites, tally);
  const totals = new Map(streams.map((one) => [one, noTotals(one)]));
  const sizes = classes.map(() => 0);
  for (const one of classOf) sizes[one] = (sizes[one] ?? 0) + 1;
  const rows = classes.map((one) => rowsOf(one, tally).filter((row) => stream === undefined || row.stream === stream));
  let of = 0;
  for (const [index, size] of sizes.entries()) {
    const isActive = classes[index]?.declared.state === 'active';
    for (const row of rows[index] ?? []) {
      of += size;
      if (isActive) count(totals.get(row.stream), size, row);
    }
  }
  const idsOf = (is: (one: Class) => boolean): string[] => {
    const are = classes.map(is);
    return are.includes(true) ? sites.filter((_, at) => are[classOf[at] ?? 0]).map(({ id }) => id) : [];
  };
  const said = (word: keyof Tally['speakers']): string[] => idsOf(({ speaker }) => speaker === word);
  return {
    ...{ totals: [...totals.values()], of, neverReported: idsOf(({ versions }) => versions === undefined) },
    first: (limit) => firstOf(sites, (at) => rows[classOf[at] ?? 0] ?? [], limit),
    speakers: { doubt: said('doubt'), refused: said('refused'), waiting: said('waiting') },
  };
}

/** Sites of which everything that counts here is the same: there are few, so each is judged once. */
interface Class {
  /** One of them, for what all of them declare. */
  declared: Site;
  /** Undefined: never reported. */
  versions?: Record<string, string>;
  speaker?: keyof Tally['speakers'];
  reported: ReadonlyMap<string, JudgedReport>;
  desired: ReadonlyMap<string, JudgedDesired>;
  reverts: string[];
  /** Streams of which there is something that a person should know; empty: all of the site. */
  noted: string[];
}

/** Begins with what sites declare; each group of the registry then parts its sites from those that were the same so far. */
function classesOf(sites: Site[], tally: Tally): { classes: Class[]; classOf: Int32Array } {
  const { classes, classOf } = declaredClasses(sites);
  const placeOf = placesOf(sites);
  const part = (ids: string[], change: (one: Class) => Partial<Class>): void => {
    const parted = new Map<number, number>();
    for (const id of ids) {
      const at = placeOf(id);
      if (at === undefined) continue;
      const before = classOf[at] ?? 0;
      let after = parted.get(before);
      if (after === undefined) {
        const one = classes[before] as Class;
        after = classes.push({ ...one, ...change(one) }) - 1;
        parted.set(before, after);
      }
      classOf[at] = after;
    }
  };
  for (const { versions, sites: ids } of tally.versions) part(ids, () => ({ versions }));
  for (const { stream, report, noted: isNoted, sites: ids } of tally.reported)
    part(ids, ({ reported, noted }) => ({
      reported: new Map([...reported, [stream, report]]),
      noted: isNoted ? [...noted, stream] : noted,
    }));
  for (const { site, stream = '' } of tally.holds) part([site], ({ noted }) => ({ noted: [...noted, stream] }));
  for (const { stream, decided, sites: ids } of tally.desired)
    part(ids, ({ desired }) => ({ desired: new Map([...desired, [stream, decided]]) }));
  for (const { stream, sites: ids } of tally.reverts) part(ids, ({ reverts }) => ({ reverts: [...reverts, stream] }));
  for (const speaker of ['waiting', 'refused', 'doubt'] as const) part(tally.speakers[speaker], () => ({ speaker }));
  return { classes, classOf };
}

function declaredClasses(sites: Site[]): { classes: Class[]; classOf: Int32Array } {
  const classes: Class[] = [];
  const classOf = new Int32Array(sites.length);
  const known = new Map<string, number>();
  let last = -1;
  for (const [at, site] of sites.entries()) {
    const before = classes[last]?.declared;
    if (before === undefined || !declaresSame(site, before)) {
      const key = JSON.stringify([site.state, site.streams, Object.entries(site.versions)]);
      last =
        known.get(key) ??
        classes.push({ declared: site, reported: new Map(), desired: new Map(), reverts: [], noted: [] }) - 1;
      known.set(key, last);
    }
    classOf[at] = last;
  }
  return { classes, classOf };
}

/** False may also mean that they are written in another order. */
function declaresSame(one: Site, other: Site): boolean {
  if (one.state !== other.state || one.streams.length !== other.streams.length) return false;
  if (!one.streams.every((stream, i) => stream === other.streams[i])) return false;
  return !differsFrom(one, other.versions) && !differsFrom(other, one.versions);
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

interface Row {
  stream: string;
  drift: Drift | null;
  revert: boolean;
  urgency: number;
}

function rowsOf(one: Class, tally: Tally): Row[] {
  const { declared, versions, reported, reverts, noted } = one;
  const streams = [...new Set([...declared.streams, ...reported.keys()])].sort();
  const differs = versions !== undefined && differsFrom(declared, versions);
  return (streams.length === 0 ? [NO_STREAM] : streams).map((stream) => {
    const report = reported.get(stream);
    const desired = takesPart(declared, stream) ? desiredOf(one, stream, tally) : undefined;
    const judged = versions === undefined ? undefined : (report ?? null);
    const drift = desired ? judgeDrift(judged, desired, tally.known.get(stream) ?? 0) : null;
    const undeclared = stream !== NO_STREAM && !declared.streams.includes(stream);
    const row = { stream, drift, revert: reverts.includes(stream) };
    const look = differs || undeclared || noted.includes(stream) || noted.includes('');
    return { ...row, urgency: urgencyOf(one, row, report?.state, look) };
  });
}

function desiredOf({ desired }: Class, stream: string, { desiredOfStream }: Tally): JudgedDesired | undefined {
  const [own, ofStream] = [desired.get(stream), desiredOfStream.get(stream)];
  return own !== undefined && own.generation >= (ofStream?.generation ?? 0) ? own : ofStream;
}

const LEAST_URGENT = 6;

/** Where a person should look first: 0 before 6. */
function urgencyOf(
  { speaker, versions }: Class,
  { drift, revert }: Omit<Row, 'urgency'>,
  state: string | undefined,
  look: boolean,
): number {
  if (state === 'safe-mode' || speaker === 'doubt') return 0;
  if (revert) return 1;
  if (drift === 'ahead' || drift === 'owed' || speaker === 'refused') return 2;
  if (drift === 'unknown' || versions === undefined) return 3;
  if (drift === 'pending') return 4;
  return look ? 5 : LEAST_URGENT;
}

/** Only so many are made: of ten thousand sites, a person is shown twenty rows. */
function firstOf(sites: Site[], rowsAt: (at: number) => Row[], limit: number): ReturnType<FleetCount['first']> {
  const first: ReturnType<FleetCount['first']> = [];
  const byId = placesById(sites);
  for (let urgency = 0; urgency <= LEAST_URGENT; urgency += 1) {
    for (const at of byId) {
      const site = sites[at];
      for (const row of rowsAt(at)) {
        if (row.urgency !== urgency || site === undefined) continue;
        if (first.length >= limit) return first;
        first.push({ site, stream: row.stream });
      }
    }
  }
  return first;
}

/** A fleet is in order already, and ten thousand are not sorted to find that out. */
function placesById(sites: Site[]): number[] {
  const places = sites.map((_, at) => at);
  if (sites.every((site, at) => at === 0 || (sites[at - 1]?.id ?? '') < site.id)) return places;
  return places.sort((a, b) => ((sites[a]?.id ?? '') < (sites[b]?.id ?? '') ? -1 : 1));
}

function noTotals(stream: string): StreamTotals {
  const none = { sites: 0, same: 0, owed: 0, pending: 0, ahead: 0, unknown: 0, undecided: 0, owedReverts: 0 };
  return { stream, ...none };
}

function count(totals: StreamTotals | undefined, sites: number, { drift, revert }: Row): void {
  if (totals === undefined) return;
  totals.sites += sites;
  totals[drift ?? 'undecided'] += sites;
  if (revert) totals.owedReverts += sites;
}
