/** `fleet list` (what the files declare) and `fleet status` (what the sites last said, beside it). */
import type { Command } from 'commander';
import { matches, parseSelector } from '../../policies/cohort/selector.js';
import type { Site } from '../../policies/model/fleet.js';
import type { KnownReport } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { harmless } from '../render/paint.js';
import { table } from '../render/table.js';
import { span } from '../render/times.js';
import { collect } from './plan.js';

interface FleetFlags {
  only: string[];
}

export function declareFleet(program: Command, execute: Execute): void {
  const fleet = program.command('fleet').description('the sites');
  const forms: [string, string, (context: Context, only: string[]) => Promise<Answer>][] = [
    ['list', 'what the fleet files declare', listFleet],
    ['status', 'what each site last reported, beside what is declared', fleetStatus],
  ];
  for (const [name, description, body] of forms) {
    fleet
      .command(name)
      .description(description)
      .option('--only <selector>', 'key=value[,value]; repeated: and', collect, [])
      .action((flags: FleetFlags, self: Command) => execute(self, (context) => body(context, flags.only)));
  }
}

/** `{ digest, sites }`, every site with all that it inherits. */
export async function listFleet(context: Context, only: string[]): Promise<Answer> {
  const { digest, sites } = await selected(context, only);
  const rows = sites.map((site) => [
    site.id,
    site.state,
    site.region ?? '-',
    site.cluster ?? '-',
    site.assetType ?? '-',
    site.link.name,
    site.risk,
    site.streams.join(','),
  ]);
  const text = table(['SITE', 'STATE', 'REGION', 'CLUSTER', 'ASSET TYPE', 'LINK', 'RISK', 'STREAMS'], rows);
  return done({ digest, sites }, `${text}${countText(sites)}`);
}

async function selected(context: Context, only: string[]): Promise<{ digest: string; sites: Site[] }> {
  const { digest, sites } = await context.fleet();
  const selector = parseSelector(only);
  return { digest, sites: sites.filter((site) => matches(selector, site)) };
}

function countText(sites: Site[]): string {
  const active = sites.filter((site) => site.state === 'active').length;
  return `${sites.length} sites, ${active} active\n`;
}

interface StreamRow {
  site: string;
  declared: Site['state'];
  stream: string;
  /** Null: the site never reported, or not of this stream. */
  state: string | null;
  version: string | null;
  digest: string | null;
  /** Times in epoch ms: by the centre's clock, and by the site's. */
  receivedAt: number | null;
  reportedAt: number | null;
  /** Versions whose report differs from what the fleet declares. */
  differs: string[];
}

/** `{ sites: [one row a site and stream], neverReported }`; the first differences are what a person should look at. */
export async function fleetStatus(context: Context, only: string[]): Promise<Answer> {
  const { sites } = await selected(context, only);
  const registry = await context.registryIfHere();
  const reports = (await registry?.reports(sites.map((site) => site.id))) ?? new Map<string, KnownReport>();
  const rows = sites.flatMap((site) => rowsOf(site, reports.get(site.id)));
  const neverReported = sites.filter((site) => !reports.has(site.id)).map((site) => site.id);
  const text = `${statusTable(context, rows)}${sites.length} sites, ${neverReported.length} never reported\n`;
  const note = registry ? '' : 'no registry here: what sites reported is not known (--registry)\n';
  return done({ sites: rows, neverReported, ...(registry ? {} : { missing: ['reports'] }) }, `${text}${note}`);
}

function rowsOf(site: Site, known: KnownReport | undefined): StreamRow[] {
  const streams = [...new Set([...site.streams, ...Object.keys(known?.report.streams ?? {})])].sort();
  const differs = known ? differences(site, known) : [];
  return (streams.length === 0 ? ['-'] : streams).map((stream) => {
    const report = known?.report.streams[stream];
    return {
      site: site.id,
      declared: site.state,
      stream,
      state: report?.state ?? null,
      version: report?.live?.version ?? null,
      digest: report?.live?.digest ?? null,
      receivedAt: known?.receivedAt ?? null,
      reportedAt: known?.report.at ?? null,
      differs: [...differs, ...(site.streams.includes(stream) || stream === '-' ? [] : ['stream not declared'])],
    };
  });
}

function differences(site: Site, { report }: KnownReport): string[] {
  return Object.entries(site.versions)
    .filter(([name, declared]) => report.versions[name] !== declared)
    .map(([name, declared]) => `${name}: declared ${declared}, reported ${report.versions[name] ?? 'nothing'}`);
}

function stateText(context: Context, { state, receivedAt }: StreamRow): string {
  if (state !== null) return state;
  return receivedAt === null ? context.paint('yellow', 'never reported') : 'nothing yet';
}

function statusTable(context: Context, rows: StreamRow[]): string {
  const now = context.io.now();
  const lines = rows.map((row) => [
    row.site,
    row.stream,
    row.version ?? '-',
    stateText(context, row),
    row.receivedAt === null ? '-' : `${span(now - row.receivedAt)} ago`,
    [row.declared === 'active' ? '' : row.declared, ...row.differs]
      .filter((part) => part !== '')
      .map(harmless)
      .join('; '),
  ]);
  return table(['SITE', 'STREAM', 'VERSION', 'STATE', 'REPORTED', 'NOTE'], lines);
}
