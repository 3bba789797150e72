/** `fleet status`: what each site should run, what it last said that it runs, how long ago, and what it owes. */
import { judgeDrift, type Drift } from '../../policies/catch-up/drift.js';
import type { Desired } from '../../policies/model/debt.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { Site } from '../../policies/model/fleet.js';
import type { CentralHold } from '../../policies/model/hold.js';
import { judgeHeld } from '../../policies/rollout/judge-held.js';
import type { KnownReport, Registry } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import { meantFleet } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { fleetStatusText } from '../render/fleet.js';
import { selectedSites } from '../selected.js';
import { speakerNotes, type SpeakerNote, type SpeakerWord } from '../speakers.js';
import { limitOf } from './owed.js';

export interface FleetStatusFlags {
  only: string[];
  stream?: string;
  limit?: string;
}

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

/**
 * `{ totals, sites, neverReported, speakers }`: totals over every site that is selected; `sites` are one row a site and stream,
 * those that need a look first; with `--limit` only the first of them; `speakers` are sites by `doubt`, `refused`, `waiting`.
 */
export async function fleetStatus(context: Context, flags: FleetStatusFlags): Promise<Answer> {
  const all = (await meantFleet(context)).sites;
  const sites = selectedSites(all, flags.only);
  const registry = await context.registryIfHere();
  const ids = sites.map((site) => site.id);
  const reports = (await registry?.reports(ids)) ?? new Map<string, KnownReport>();
  refuseUnknownStream(flags.stream, all, reports);
  const streams = streamsOf(sites, flags.stream);
  const decided = await decisions(registry, streams, ids, context.io.now());
  const notes = registry ? await speakerNotes(registry, ids, context.io.now()) : new Map<string, SpeakerNote>();
  const rows = sites
    .flatMap((site) => rowsOf(site, reports.get(site.id), decided))
    .map((row) => ({ ...row, speaker: notes.get(row.site) ?? null }))
    .filter((row) => flags.stream === undefined || row.stream === flags.stream);
  rows.sort((a, b) => urgency(a) - urgency(b) || (a.site < b.site ? -1 : 1));
  const totals = streams.map((stream) => totalsOf(stream, rows));
  const limit = limitOf(flags.limit, context.flags.json === true ? rows.length : SHOWN) ?? rows.length;
  const shown = rows.slice(0, limit);
  const neverReported = sites.filter((site) => !reports.has(site.id)).map((site) => site.id);
  const said = (word: SpeakerWord): string[] => ids.filter((id) => notes.get(id)?.word === word);
  const speakers = { doubt: said('doubt'), refused: said('refused'), waiting: said('waiting') };
  const document = {
    totals,
    sites: shown,
    neverReported,
    speakers,
    ...(registry ? {} : { missing: ['reports', 'desired', 'owed'] }),
  };
  return done(
    document,
    fleetStatusText(context, {
      totals,
      rows: shown,
      of: rows.length,
      sites: sites.length,
      neverReported,
      speakers,
      known: registry !== undefined,
    }),
  );
}

const SHOWN = 20;

/** Only what a site declares or reports is a stream: any other name would show an empty fleet. */
function refuseUnknownStream(stream: string | undefined, sites: Site[], reports: Map<string, KnownReport>): void {
  if (stream === undefined) return;
  const reported = [...reports.values()].flatMap(({ report }) => Object.keys(report.streams));
  const known = new Set([...sites.flatMap((site) => site.streams), ...reported]);
  if (known.has(stream)) return;
  const message = `expected a stream of the fleet, got ${stream}`;
  throw new MistakeError('BAD_ARGUMENT', message, suggestions(stream, known, 'stream'));
}

function streamsOf(sites: Site[], stream: string | undefined): string[] {
  if (stream !== undefined) return [stream];
  return [...new Set(sites.flatMap((site) => site.streams))].sort();
}

interface Decided {
  desired: Map<string, Map<string, Desired>>;
  /** By stream: the highest generation that a rollout known here may carry. */
  known: Map<string, number>;
  /** By `stream site`. */
  owes: Map<string, { converge: number; revert: number }>;
  holds: CentralHold[];
  now: number;
}

async function decisions(
  registry: Registry | undefined,
  streams: string[],
  ids: string[],
  now: number,
): Promise<Decided> {
  const decided: Decided = { desired: new Map(), known: new Map(), owes: new Map(), holds: [], now };
  if (!registry) return decided;
  decided.holds = await registry.holds(now);
  for (const stream of streams) {
    decided.desired.set(stream, await registry.desired(stream, ids));
    decided.known.set(stream, await registry.knownGeneration(stream));
  }
  for (const { stream, site, verb } of await registry.debts()) {
    const key = `${stream} ${site}`;
    const owes = decided.owes.get(key) ?? { converge: 0, revert: 0 };
    owes[verb] += 1;
    decided.owes.set(key, owes);
  }
  return decided;
}

function rowsOf(site: Site, known: KnownReport | undefined, decided: Decided): Omit<StreamRow, 'speaker'>[] {
  const streams = [...new Set([...site.streams, ...Object.keys(known?.report.streams ?? {})])].sort();
  const differs = known ? differences(site, known) : [];
  return (streams.length === 0 ? ['-'] : streams).map((stream) => {
    const report = known?.report.streams[stream];
    const desired = decided.desired.get(stream)?.get(site.id);
    const takesPart = site.state === 'active' && site.streams.includes(stream);
    const reported = known === undefined ? undefined : (report ?? null);
    return {
      site: site.id,
      declared: site.state,
      stream,
      state: report?.state ?? null,
      version: report?.live?.version ?? null,
      digest: report?.live?.digest ?? null,
      desired: desired?.release ?? null,
      drift: desired && takesPart ? judgeDrift(reported, desired, decided.known.get(stream) ?? 0) : null,
      owes: decided.owes.get(`${stream} ${site.id}`) ?? { converge: 0, revert: 0 },
      receivedAt: known?.receivedAt ?? null,
      reportedAt: known?.report.at ?? null,
      notes: notesOf(site.id, stream, known, decided),
      differs: [...differs, ...(site.streams.includes(stream) || stream === '-' ? [] : ['stream not declared'])],
    };
  });
}

function notesOf(site: string, stream: string, known: KnownReport | undefined, { holds, now }: Decided): string[] {
  const held = judgeHeld(site, stream, known, holds, now);
  const drift = known?.report.streams[stream]?.drift;
  const end = held?.until === undefined ? '' : ` until ${new Date(held.until).toISOString()}`;
  const paths = drift && drift.total > 0 ? [`${drift.total} paths differ from ${drift.against.version}`] : [];
  return [...(held ? [`${held.code} ${held.detail}${end}`] : []), ...paths];
}

function differences(site: Site, { report }: KnownReport): string[] {
  return Object.entries(site.versions)
    .filter(([name, declared]) => report.versions[name] !== declared)
    .map(([name, declared]) => `${name}: declared ${declared}, reported ${report.versions[name] ?? 'nothing'}`);
}

/** Where a person should look first. */
function urgency({ state, owes, drift, receivedAt, differs, notes, speaker }: StreamRow): number {
  if (state === 'safe-mode' || speaker?.word === 'doubt') return 0;
  if (owes.revert > 0) return 1;
  if (drift === 'ahead' || drift === 'owed' || speaker?.word === 'refused') return 2;
  if (drift === 'unknown' || receivedAt === null) return 3;
  if (drift === 'pending') return 4;
  return differs.length + notes.length > 0 ? 5 : 6;
}

function totalsOf(stream: string, all: StreamRow[]): StreamTotals {
  const rows = all.filter((row) => row.stream === stream && row.declared === 'active');
  const count = (drift: Drift): number => rows.filter((row) => row.drift === drift).length;
  return {
    stream,
    sites: rows.length,
    same: count('same'),
    owed: count('owed'),
    pending: count('pending'),
    ahead: count('ahead'),
    unknown: count('unknown'),
    undecided: rows.filter((row) => row.drift === null).length,
    owedReverts: rows.filter((row) => row.owes.revert > 0).length,
  };
}
