/** `explain`: why a rollout or a site of it stands where it does, in the words of the playbooks. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { Finding } from '../../policies/model/plan.js';
import { REASONS, type ReasonCode } from '../../policies/model/reasons.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { Registry, SiteRow } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { suggestions } from '../nearest.js';
import { playbookOf } from '../render/failure.js';
import { harmless } from '../render/paint.js';
import { headline, problemSites } from '../render/rollout.js';
import { indent } from '../render/table.js';
import { clock } from '../render/times.js';
import { findRollout } from '../rollouts.js';

export function declareExplain(program: Command, execute: Execute): void {
  program
    .command('explain')
    .description('why a rollout, or a site of it, stands where it does')
    .argument('<rollout>', 'its id, or the stream while only one runs')
    .argument('[site]')
    .action((reference: string, site: string | undefined, _flags: unknown, self: Command) =>
      execute(self, (context) => explain(context, reference, site)),
    );
}

interface Explained extends Reason {
  about: string;
  meaning: string;
  playbook: string;
}

/** `{ rollout, reasons: [{ about, code, detail, meaning, playbook }], next }`, with `site` one site's row and events too. */
export async function explain(context: Context, reference: string, site?: string): Promise<Answer> {
  const { rollout, registry } = await findRollout(context, reference);
  const rows = (await registry?.siteRows(rollout.firstRunId)) ?? [];
  const findings = (await registry?.findings(rollout.firstRunId)) ?? [];
  return site === undefined
    ? explainRollout(context, rollout, rows, findings)
    : explainSite(context, rollout, { site, rows, findings }, registry);
}

function explainRollout(context: Context, rollout: RolloutStatus, rows: SiteRow[], findings: Finding[]): Answer {
  const about: [string, Reason | undefined][] = [
    [`rollout ${rollout.label} waits`, rollout.wait?.reason],
    [`rollout ${rollout.label} is ${rollout.outcome ?? rollout.state}`, rollout.wait ? undefined : rollout.reason],
    ...rollout.stages.map((stage): [string, Reason | undefined] => [`gate of ${stage.name}`, stage.gate?.reason]),
    ...findings
      .filter((finding) => finding.result !== 'pass')
      .map((finding): [string, Reason] => [
        `preflight of ${finding.site ?? 'the release'} (${finding.result})`,
        finding,
      ]),
    ...problemSites(rows).map((row): [string, Reason | undefined] => [
      `site ${row.site} is ${row.outcome}`,
      row.reason,
    ]),
  ];
  const reasons = about.flatMap(([what, reason]) => (reason ? [explained(what, reason)] : []));
  const next = nextCommands(rollout);
  const view = { now: context.io.now(), paint: context.paint };
  const body = reasons.length === 0 ? 'no reason was recorded: nothing stands in its way\n' : reasonsText(reasons);
  const text = `${headline(rollout, view)}\n\n${body}\nnext\n${indent(next.join('\n'))}`;
  return done({ rollout, reasons, next }, text);
}

const EVENTS = 20;

async function explainSite(
  context: Context,
  rollout: RolloutStatus,
  of: { site: string; rows: SiteRow[]; findings: Finding[] },
  registry: Registry | undefined,
): Promise<Answer> {
  const row = of.rows.find((one) => one.site === of.site);
  const findings = of.findings.filter((finding) => finding.site === of.site);
  if (!row && findings.length === 0) {
    const known = of.rows.map((one) => one.site);
    throw new MistakeError(
      'SITE_NOT_FOUND',
      `expected a site of ${rollout.label}, got ${of.site}`,
      suggestions(of.site, known, 'site'),
    );
  }
  const events = (await registry?.siteEvents(of.site, EVENTS)) ?? [];
  const report = (await registry?.reports([of.site]))?.get(of.site);
  const reasons = [
    ...(row?.reason ? [explained(`site ${of.site} is ${row.outcome}`, row.reason)] : []),
    ...findings.map((finding) => explained(`preflight (${finding.result})`, finding)),
  ];
  const now = context.io.now();
  const lines = events.map((event) =>
    `${clock(event.at, now)}  ${event.stream ?? ''} ${event.kind} ${harmless(event.result?.reason?.detail ?? '')}`.trimEnd(),
  );
  const state = row
    ? `${row.outcome}${row.cause ? ` (${row.cause})` : ''}${row.at === undefined ? '' : ` at ${clock(row.at, now)}, by the site’s clock`}`
    : 'not commanded';
  const text = [
    `${of.site} in ${rollout.label}: ${state}`,
    reasonsText(reasons).trimEnd(),
    lines.length === 0
      ? 'no event of this site has arrived'
      : `last events, as the site journaled them\n${indent(lines.join('\n'))}`,
  ].join('\n\n');
  return done({ rollout: rollout.label, site: row ?? null, reasons, findings, report: report ?? null, events }, text);
}

function explained(about: string, { code, detail }: Reason): Explained {
  return { about, code, detail, meaning: meaningOf(code), playbook: playbookOf(code) };
}

// A site or a workflow of a newer version may know codes that this one does not.
function meaningOf(code: ReasonCode): string {
  return (REASONS as Record<string, string>)[code] ?? 'a reason that this version does not know';
}

function reasonsText(reasons: Explained[]): string {
  const byCode = new Map<string, Explained[]>();
  for (const reason of reasons) byCode.set(reason.code, [...(byCode.get(reason.code) ?? []), reason]);
  const blocks = [...byCode].map(([code, group]) => {
    const about = group.slice(0, 10).map((one) => `${one.about}: ${harmless(one.detail)}`);
    const more = group.length > 10 ? [`… and ${group.length - 10} more`] : [];
    const [first] = group;
    return `${code}: ${first?.meaning ?? ''}\n${indent([...about, ...more, `see ${first?.playbook ?? ''}`].join('\n'))}`;
  });
  return `${blocks.join('\n')}\n`;
}

/** What can be done now, as it is typed. */
function nextCommands(rollout: RolloutStatus): string[] {
  const { label } = rollout;
  if (rollout.state === 'sealed') {
    const blocked = rollout.outcome === 'reverted';
    const release = `${rollout.stream}@${rollout.release.version}`;
    return blocked
      ? [`foothold allow ${release} --reason …   (it was blocked for the stream)`]
      : [`foothold status ${label}`];
  }
  if (rollout.state === 'paused') return [`foothold resume ${label} --reason …`, `foothold abort ${label} --reason …`];
  if (rollout.state === 'waiting') {
    const override = rollout.outcome === 'halted' ? ' --override' : '';
    return [
      `foothold promote ${label}${override} --reason …`,
      `foothold abort ${label} --reason …`,
      `foothold revert ${label} --reason …`,
    ];
  }
  return [`foothold watch ${label}`, `foothold pause ${label} --reason …`];
}
