/** What `fleet status` says of a site and a stream: read site by site, for those that are shown. */
import { judgeDrift, type Drift } from '../policies/catch-up/drift.js';
import type { Desired } from '../policies/model/debt.js';
import type { Site } from '../policies/model/fleet.js';
import type { CentralHold } from '../policies/model/hold.js';
import { judgeHeld } from '../policies/rollout/judge-held.js';
import type { KnownReport, Registry } from '../records/registry/registry.js';
import { speakerNotes, type SpeakerNote } from './speakers.js';

export interface StreamRow {
  site: string;
  declared: Site['state'];
  stream: string;
  /** Null: the site never reported, or not of this stream. */
  state: string | null;
  version: string | null;
  digest: string | null;
  /** Null: no rollout has decided what it should run. */
  desired: { version: string; digest: string } | null;
  /** Null where nothing is desired, or the site does not take part. */
  drift: Drift | null;
  /** Open debts of this stream. */
  owes: { converge: number; revert: number };
  /** Times in epoch ms: by the centre's clock, and by the site's. */
  receivedAt: number | null;
  reportedAt: number | null;
  /** Versions whose report differs from what the fleet declares. */
  differs: string[];
  /** What a person should know of it: who holds it and why, safe mode, paths that differ from the release. */
  notes: string[];
  /** Null where nothing is to be said of who speaks for the site. */
  speaker: SpeakerNote | null;
}

/** In place of a stream, where a site declares and reports none. */
export const NO_STREAM = '-';

/** One row for every stream that a site declares or reports. `known`: the highest generation known of each stream. */
export async function fleetRows(
  registry: Registry | undefined,
  sites: Site[],
  known: ReadonlyMap<string, number>,
  now: number,
): Promise<StreamRow[]> {
  const ids = sites.map((site) => site.id);
  const reports = (await registry?.reports(ids)) ?? new Map<string, KnownReport>();
  const decided = await decisions(registry, known, ids, now);
  const notes = registry ? await speakerNotes(registry, ids, now) : new Map<string, SpeakerNote>();
  return sites.flatMap((site) => rowsOf(site, reports.get(site.id), decided, notes.get(site.id) ?? null));
}

interface Decided {
  desired: Map<string, Map<string, Desired>>;
  known: ReadonlyMap<string, number>;
  /** By `stream site`. */
  owes: Map<string, { converge: number; revert: number }>;
  holds: CentralHold[];
  now: number;
}

/** Above so many sites, the debts of all are read. */
const ASKED_BY_NAME = 500;

async function decisions(
  registry: Registry | undefined,
  known: ReadonlyMap<string, number>,
  ids: string[],
  now: number,
): Promise<Decided> {
  const decided: Decided = { desired: new Map(), known, owes: new Map(), holds: [], now };
  if (!registry) return decided;
  decided.holds = await registry.holds(now);
  for (const stream of known.keys()) decided.desired.set(stream, await registry.desired(stream, ids));
  for (const { stream, site, verb } of await registry.debts(ids.length > ASKED_BY_NAME ? {} : { sites: ids })) {
    const key = `${stream} ${site}`;
    const owes = decided.owes.get(key) ?? { converge: 0, revert: 0 };
    owes[verb] += 1;
    decided.owes.set(key, owes);
  }
  return decided;
}

function rowsOf(
  site: Site,
  known: KnownReport | undefined,
  decided: Decided,
  speaker: SpeakerNote | null,
): StreamRow[] {
  const streams = [...new Set([...site.streams, ...Object.keys(known?.report.streams ?? {})])].sort();
  const differs = known ? differences(site, known.report.versions) : [];
  return (streams.length === 0 ? [NO_STREAM] : streams).map((stream) => {
    const report = known?.report.streams[stream];
    const desired = decided.desired.get(stream)?.get(site.id);
    const reported = known === undefined ? undefined : (report ?? null);
    const isDeclared = site.streams.includes(stream);
    return {
      site: site.id,
      declared: site.state,
      stream,
      state: report?.state ?? null,
      version: report?.live?.version ?? null,
      digest: report?.live?.digest ?? null,
      desired: desired?.release ?? null,
      drift: desired && takesPart(site, stream) ? judgeDrift(reported, desired, decided.known.get(stream) ?? 0) : null,
      owes: decided.owes.get(`${stream} ${site.id}`) ?? { converge: 0, revert: 0 },
      receivedAt: known?.receivedAt ?? null,
      reportedAt: known?.report.at ?? null,
      differs: [...differs, ...(isDeclared || stream === NO_STREAM ? [] : ['stream not declared'])],
      notes: notesOf(site.id, stream, known, decided),
      speaker,
    };
  });
}

function notesOf(site: string, stream: string, known: KnownReport | undefined, { holds, now }: Decided): string[] {
  const held = judgeHeld(site, stream, known, holds, now);
  const drift = known?.report.streams[stream]?.drift;
  const end = held?.until === undefined ? '' : ` until ${new Date(held.until).toISOString()}`;
  const ahead = known?.report.streams[stream]?.prefetched;
  const files = ahead ? [`${ahead.whole ? 'has the files' : 'fetches the files'} of ${ahead.version}`] : [];
  const paths = drift && drift.total > 0 ? [`${drift.total} paths differ from ${drift.against.version}`] : [];
  return [...(held ? [`${held.code} ${held.detail}${end}`] : []), ...paths, ...files];
}

export function takesPart(site: Site, stream: string): boolean {
  return site.state === 'active' && site.streams.includes(stream);
}

/** Whether there are any `differences`. */
export function differsFrom({ versions }: Site, reported: Record<string, string>): boolean {
  for (const name in versions) if (reported[name] !== versions[name]) return true;
  return false;
}

function differences(site: Site, reported: Record<string, string>): string[] {
  return Object.entries(site.versions)
    .filter(([name, declared]) => reported[name] !== declared)
    .map(([name, declared]) => `${name}: declared ${declared}, reported ${reported[name] ?? 'nothing'}`);
}
