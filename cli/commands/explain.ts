/** `explain`: why a rollout or a site stands where it does, what would unblock it, who can, and what is typed next. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { Finding } from '../../policies/model/plan.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { Registry, SiteRow } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { explainDebt } from '../explanation/debts.js';
import { explanationOf, type Explanation, type Subject } from '../explanation/explanation.js';
import { explainRolloutState, subjectOf } from '../explanation/rollouts.js';
import { explainSiteOutcome, explainSiteState } from '../explanation/sites.js';
import { suggestions } from '../nearest.js';
import { eventLine } from '../render/event.js';
import { explanationsText, firstText } from '../render/explanation.js';
import { headline } from '../render/headline.js';
import { indent } from '../render/table.js';
import { clock } from '../render/times.js';
import { findRollout } from '../rollouts.js';

export function declareExplain(program: Command, execute: Execute): void {
  program
    .command('explain')
    .description('why a rollout, or a site of it, stands where it does; what would unblock it, and who can')
    .argument('<rollout>', 'its id, or the stream while only one runs')
    .argument('[site]')
    .action((reference: string, site: string | undefined, _flags: unknown, self: Command) =>
      execute(self, (context) => explain(context, reference, site)),
    );
}

/** Problem sites that are read: a person looks at ten, a script at the totals of `status`. */
const PROBLEMS = 200;
const EVENTS = 20;

/**
 * `{ rollout, reasons, next }`; a reason is `{ about, code, detail, meaning, playbook, unblocks, who, next }`, the first that
 * of the rollout's own state. With a site also its row, findings, report, debts and events.
 */
export async function explain(context: Context, reference: string, site?: string): Promise<Answer> {
  const { rollout, registry } = await findRollout(context, reference);
  return site === undefined
    ? explainRollout(context, rollout, registry)
    : explainSite(context, rollout, site, registry);
}

async function explainRollout(context: Context, rollout: RolloutStatus, registry?: Registry): Promise<Answer> {
  const findings = (await registry?.findings(rollout.firstRunId)) ?? [];
  const problems = (await registry?.problemSites(rollout.firstRunId, PROBLEMS)) ?? [];
  const state = explainRolloutState(rollout);
  const subject = subjectOf(rollout);
  const others = [
    ...rollout.stages.flatMap((stage) =>
      stage.gate ? [more(`gate of ${stage.name} (${stage.gate.verdict})`, stage.gate.reason, subject)] : [],
    ),
    ...findings.filter(({ result }) => result !== 'pass').map((finding) => explainFinding(finding, subject)),
    ...problems.map((row) => explainSiteOutcome(row, subject)),
  ];
  const view = { now: context.io.now(), paint: context.paint };
  const text = [headline(rollout, view), firstText(state), explanationsText(others)]
    .filter((part) => part !== '')
    .join('\n\n');
  return done({ rollout, reasons: [state, ...others], next: state.next }, text);
}

function explainFinding(finding: Finding, subject: Subject): Explanation {
  const about = `preflight of ${finding.site ?? 'the release'} (${finding.result})`;
  return more(about, finding, { ...subject, ...(finding.site === undefined ? {} : { site: finding.site }) });
}

function more(about: string, { code, detail }: Reason, subject: Subject): Explanation {
  const next = [`foothold status ${subject.label ?? subject.stream}`];
  const otherwise = { unblocks: 'what is named here being mended', who: 'the person on duty', next };
  return explanationOf({ about, reason: { code, detail }, subject, otherwise });
}

async function explainSite(
  context: Context,
  rollout: RolloutStatus,
  site: string,
  registry: Registry | undefined,
): Promise<Answer> {
  const [row] = (await registry?.siteRows(rollout.firstRunId, { site })) ?? [];
  const all = (await registry?.findings(rollout.firstRunId)) ?? [];
  const findings = all.filter((finding) => finding.site === site);
  const debts = (await registry?.debts({ site, stream: rollout.stream })) ?? [];
  if (!row && findings.length === 0 && debts.length === 0) await refuseStranger(rollout, site, registry);
  const events = (await registry?.siteEvents(site, EVENTS)) ?? [];
  const report = (await registry?.reports([site]))?.get(site);
  const subject = subjectOf(rollout);
  const reasons = [
    explainSiteOutcome(row ?? { site, outcome: 'untouched', stage: '', wave: 0, ...notCommanded(rollout) }, subject),
    ...debts.map(explainDebt),
    ...findings.map((finding) => explainFinding(finding, subject)),
  ];
  const now = context.io.now();
  const text = [
    `${site} in ${rollout.label}: ${stateText(row, now)}`,
    explanationsText(reasons),
    events.length === 0
      ? 'no event of this site has arrived'
      : `last events, as the site journaled them\n${indent(events.map((event) => eventLine(event, now)).join('\n'))}`,
  ].join('\n\n');
  const next = [...new Set(reasons.flatMap((reason) => reason.next))];
  return done(
    { rollout: rollout.label, site: row ?? null, reasons, next, findings, debts, report: report ?? null, events },
    text,
  );
}

function notCommanded({ state }: RolloutStatus): { reason: Reason } {
  const detail = state === 'sealed' ? 'it was never commanded' : 'its turn has not come yet';
  return { reason: { code: 'NOT_COMMANDED', detail } };
}

function stateText(row: SiteRow | undefined, now: number): string {
  if (!row) return 'not commanded';
  const cause = row.cause === undefined ? '' : ` (${row.cause})`;
  const at = row.at === undefined ? '' : ` at ${clock(row.at, now)}, by the site’s clock`;
  const pending = row.pending
    ? `; a ${row.pending.verb} is under way: ${explainSiteState(row.pending.state ?? null)}`
    : row.state === undefined
      ? ''
      : `: ${explainSiteState(row.state)}`;
  return `${row.outcome}${cause}${at}${pending}`;
}

async function refuseStranger(rollout: RolloutStatus, site: string, registry: Registry | undefined): Promise<void> {
  const planned = Object.keys((await registry?.frozenPlan(rollout.planDigest))?.sites ?? {});
  if (planned.includes(site)) return;
  const message = `expected a site of ${rollout.label}, got ${site}`;
  throw new MistakeError('SITE_NOT_FOUND', message, suggestions(site, planned, 'site in it'));
}
