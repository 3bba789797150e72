/** `site show`: all that the centre knows of one site. From the registry, so it answers with Temporal down. */
import type { Command } from 'commander';
import type { Debt, Desired } from '../../policies/model/debt.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { Site } from '../../policies/model/fleet.js';
import type { CentralHold } from '../../policies/model/hold.js';
import type { KnownReport, Registry, SiteAnomaly } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { explainDebt } from '../explanation/debts.js';
import { explainSiteState } from '../explanation/sites.js';
import { meantFleet } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { eventLine } from '../render/event.js';
import { reasonText } from '../render/headline.js';
import { gapLine, outboxLine } from '../render/outbox.js';
import { harmless } from '../render/paint.js';
import { indent, table } from '../render/table.js';
import { clock, span } from '../render/times.js';
import { speakerNotes, type SpeakerNote } from '../speakers.js';
import { centralHoldLine, driftLines, safeModeLines, siteHoldLine } from '../render/hold.js';
import { readable } from './owed.js';
import { declareSiteHold } from './site-hold.js';

export function declareSite(program: Command, execute: Execute): void {
  const site = program.command('site').description('one site');
  declareSiteHold(site, execute);
  site
    .command('show')
    .description('all that the centre knows of a site: its report, what it should run, what it owes, its last events')
    .argument('<site>')
    .action((id: string, _flags: unknown, self: Command) => execute(self, (context) => showSite(context, id)));
}

const EVENTS = 10;
const ANOMALIES = 10;
const OUTBOX = 10;

interface Known {
  declared: Site | undefined;
  known: KnownReport | undefined;
  desired: Desired[];
  debts: Debt[];
  anomalies: SiteAnomaly[];
  speaker: SpeakerNote | undefined;
  holds: CentralHold[];
}

/** `{ site, declared, report, receivedAt, speaker, desired, holds, debts, anomalies, events, outbox }`; `declared` and `report` are null where there is none. */
export async function showSite(context: Context, id: string): Promise<Answer> {
  const registry = await readable(context);
  const declared = (await meantFleet(context)).sites.find((one) => one.id === id);
  const known = (await registry.reports([id])).get(id);
  if (!declared && !known) await refuseUnknown(context, id);
  const of: Known = {
    declared,
    known,
    desired: await desiredAt(registry, id, declared, known),
    debts: await registry.debts({ site: id }),
    anomalies: await registry.siteAnomalies(id, ANOMALIES),
    speaker: (await speakerNotes(registry, [id], context.io.now())).get(id),
    holds: (await registry.holds(context.io.now())).filter((one) => one.site === id),
  };
  const events = await registry.siteEvents(id, EVENTS);
  const outbox = await registry.siteOutbox(id, OUTBOX);
  const now = context.io.now();
  const document = {
    site: id,
    declared: declared ?? null,
    report: known?.report ?? null,
    receivedAt: known?.receivedAt ?? null,
    speaker: of.speaker ?? null,
    desired: of.desired,
    holds: of.holds,
    debts: of.debts.map((debt) => ({ ...debt, explanation: explainDebt(debt) })),
    anomalies: of.anomalies,
    events,
    outbox,
  };
  const blocks = [
    of.speaker ? `${speakerLine(context, id, of.speaker)}\n${headText(id, of, now)}` : headText(id, of, now),
    streamsText(context, of),
    block(
      'owes',
      of.debts.map((debt) => debtLine(debt, now)),
    ),
    block('held: nothing new is switched there; an undo never waits', holdLines(of, now)),
    block('safe mode', known ? safeModeLines(known.report, now) : []),
    block('drift, by the clock of the site', driftOf(known, now)),
    block('quarantined', quarantineLines(known, now)),
    block(
      'anomalies in what it told',
      of.anomalies.map((one) => anomalyLine(one, now)),
    ),
    block(
      'last events, as the site journaled them',
      events.map((event) => eventLine(event, now)),
    ),
    block('last of what it measured and logged', [
      ...outbox.entries.map((entry) => outboxLine(entry, now)),
      ...outbox.gaps.map(gapLine),
    ]),
  ];
  return done(document, blocks.filter((part) => part !== '').join('\n\n'));
}

async function refuseUnknown(context: Context, id: string): Promise<never> {
  const { sites } = await meantFleet(context);
  const hints = suggestions(
    id,
    sites.map((one) => one.id),
    'site',
  );
  throw new MistakeError('SITE_NOT_FOUND', `expected a site of the fleet, or one that reported, got ${id}`, hints);
}

async function desiredAt(
  registry: Registry,
  id: string,
  declared: Site | undefined,
  known: KnownReport | undefined,
): Promise<Desired[]> {
  const streams = new Set([...(declared?.streams ?? []), ...Object.keys(known?.report.streams ?? {})]);
  const found = await Promise.all([...streams].sort().map((stream) => registry.desired(stream, [id])));
  return found.flatMap((one) => one.get(id) ?? []);
}

function headText(id: string, { declared, known }: Known, now: number): string {
  const about = declared
    ? [
        declared.state,
        declared.region,
        declared.cluster,
        declared.assetType,
        `${declared.link.name} link`,
        `${declared.risk} risk`,
      ]
    : ['not in the fleet file'];
  const heard = known
    ? `last report ${span(now - known.receivedAt)} ago, agent ${known.report.agentVersion}, epoch ${known.report.epoch}`
    : 'never reported';
  return harmless(`${id} · ${about.filter((part) => part !== undefined).join(', ')} · ${heard}`);
}

function speakerLine(context: Context, id: string, { word, text }: SpeakerNote): string {
  const colour = word === 'doubt' || word === 'refused' ? 'red' : 'yellow';
  const next = word === 'doubt' ? ` · next: foothold fleet replace ${id} --reason …, or stop the other agent` : '';
  return context.paint(colour, harmless(`${text}${next}`));
}

function streamsText(context: Context, { declared, known, desired }: Known): string {
  const streams = known?.report.streams ?? {};
  const names = new Set([
    ...(declared?.streams ?? []),
    ...Object.keys(streams),
    ...desired.map(({ stream }) => stream),
  ]);
  const rows = [...names].sort().map((name) => {
    const [report, wanted] = [streams[name], desired.find(({ stream }) => stream === name)];
    const same = wanted === undefined || report?.live?.digest === wanted.release.digest;
    const live = report?.live?.version ?? '-';
    const sampled = (report?.checks ?? []).filter((check) => check.sampledAt === undefined);
    const sick = sampled.filter((check) => !check.healthy).map((check) => check.name);
    const meaning = report ? explainSiteState(report.state) : 'it told nothing of this stream';
    return [
      name,
      same ? live : context.paint('yellow', live),
      wanted ? `${wanted.release.version} by ${wanted.label}` : '-',
      report?.lkg?.version ?? '-',
      report?.state ?? '-',
      sick.length > 0 ? context.paint('red', `sick: ${sick.join(', ')}`) : harmless(meaning),
    ];
  });
  return table(['STREAM', 'LIVE', 'DESIRED', 'LAST KNOWN GOOD', 'STATE', ''], rows).trimEnd();
}

function block(title: string, lines: string[]): string {
  return lines.length === 0 ? '' : `${title}\n${indent(lines.join('\n'))}`;
}

function holdLines({ holds, known }: Known, now: number): string[] {
  return [
    ...holds.map((one) => `${centralHoldLine(one, now)} · next: foothold site unhold ${one.site} --reason …`),
    ...(known?.report.holds ?? []).map(
      (one) => `${siteHoldLine(one)} · next, at the site: foothold agent unhold --reason …`,
    ),
    ...(known?.report.observing ? ['at the site  its agent only observes (agent run --observe)'] : []),
  ];
}

function driftOf(known: KnownReport | undefined, now: number): string[] {
  return Object.entries(known?.report.streams ?? {}).flatMap(([stream, { drift }]) => driftLines(stream, drift, now));
}

function debtLine(debt: Debt, now: number): string {
  const { unblocks, next } = explainDebt(debt);
  const what = `${debt.verb === 'revert' ? 'an undo of' : ''} ${debt.stream}@${debt.release.version}`.trim();
  return `${what}, since ${span(now - debt.since)}: ${reasonText(debt.reason)} · ${unblocks} · next: ${next[0] ?? ''}`;
}

function quarantineLines(known: KnownReport | undefined, now: number): string[] {
  return (known?.report.quarantined ?? []).map(
    ({ stream, version, code, at }) =>
      `${stream}@${version} since ${clock(at, now)}: ${harmless(code)} · next: foothold allow ${stream}@${version} --site ${known?.report.site ?? ''} --reason …`,
  );
}

function anomalyLine({ kind, epoch, sequence, at, detail }: SiteAnomaly, now: number): string {
  return harmless(`${clock(at, now)} ${kind} at event ${epoch}/${sequence} ${JSON.stringify(detail)}`).slice(0, 160);
}
