/**
 * `retry`: try again at sites where it did not work. A running rollout is asked; of one that was promoted the reconciler
 * is woken; of one that ended otherwise nothing is owed, and it says what to do instead.
 */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { RolloutStatus, VerbPayload } from '../../policies/model/rollout.js';
import type { KnownReport, Registry } from '../../records/registry/registry.js';
import { EXIT, done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { suggestions } from '../nearest.js';
import { operatorName, requireReason } from '../operator.js';
import { findRollout } from '../rollouts.js';
import { wakeCatchUp } from '../wake.js';
import { askRollout, dryVerb, verbAnswer } from './verbs.js';

export interface RetryFlags {
  reason?: string;
  by?: string;
  allow?: boolean;
  dryRun?: boolean;
}

export function declareRetry(program: Command, execute: Execute): void {
  program
    .command('retry')
    .description('try again at sites where it did not work')
    .argument('<rollout>', 'its id, or the stream while only one runs')
    .argument('[sites...]', 'these alone (default: every site that can be tried again)')
    .option('--allow', 'after a promoted rollout: lift the quarantine at these sites first')
    .option('--reason <why>', 'goes into the evidence; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--dry-run', 'say what would be tried again, and ask nothing')
    .action((reference: string, sites: string[], flags: RetryFlags, self: Command) =>
      execute(self, (context) => retry(context, reference, sites, flags)),
    );
}

/** Exit code 1 if nothing can be tried again. */
export async function retry(context: Context, reference: string, sites: string[], flags: RetryFlags): Promise<Answer> {
  const payload: VerbPayload = {
    by: operatorName(flags.by, context.io.env),
    reason: requireReason(flags.reason, 'retry'),
    ...(sites.length === 0 ? {} : { sites }),
  };
  const { rollout, registry } = await findRollout(context, reference);
  if (rollout.state !== 'sealed') {
    if (flags.dryRun === true) return dryVerb(context, 'retry', rollout, payload);
    return verbAnswer(context, 'retry', rollout, await askRollout(context, 'retry', rollout, payload));
  }
  if (rollout.outcome !== 'promoted') return endedOtherwise(context, rollout);
  return retryPromoted(context, rollout, registry ?? (await context.registry()), payload, flags);
}

async function retryPromoted(
  context: Context,
  rollout: RolloutStatus,
  registry: Registry,
  { by, reason, sites }: VerbPayload,
  flags: RetryFlags,
): Promise<Answer> {
  const owing = await behind(registry, rollout, sites);
  if (owing.length === 0) return nothingOwed(context, rollout, sites);
  const quarantined = quarantinedAmong(await registry.reports(owing), rollout);
  const allowed = flags.allow === true ? quarantined : [];
  const left = quarantined.filter((site) => !allowed.includes(site));
  const document = { rollout: rollout.label, sites: owing, allowed, quarantined: left, by, reason };
  const what = `${owing.length} ${owing.length === 1 ? 'site owes' : 'sites owe'} ${releaseOf(rollout)}: ${shown(owing)}`;
  const stays = left.length === 0 ? '' : `\nquarantined, and not tried without --allow: ${shown(left)}`;
  if (flags.dryRun === true) {
    const lifts = allowed.length === 0 ? '' : `\nwould lift the quarantine at ${shown(allowed)}`;
    return done({ ...document, dryRun: true }, `would look again at once at ${what}${lifts}${stays}`);
  }
  if (left.length === owing.length) {
    const text = `${context.paint('red', 'refused')} · nothing can be tried again: ${what}${stays}`;
    return { exit: EXIT.no, document: { ...document, code: 'QUARANTINED' }, text };
  }
  // Before the quarantine is lifted: without Temporal nothing would follow from it, and nobody would be told.
  await context.temporal();
  for (const site of allowed) {
    await registry.allow(rollout.stream, rollout.release.digest, site, by, reason, context.io.now());
  }
  await wakeCatchUp(context, rollout.stream, owing);
  const lifted = allowed.length === 0 ? '' : `\nlifted the quarantine at ${shown(allowed)}`;
  const text = `${context.paint('green', 'accepted')} · catch-up looks again now at ${what}${lifted}${stays}\nnext: foothold owed ${rollout.stream}`;
  return done(document, text);
}

/**
 * Sites of the rollout that do not run its release: what is owed, and where it failed within the budget. Narrowed to
 * those named; throws MistakeError SITE_NOT_FOUND for one that was not in it.
 */
async function behind(registry: Registry, rollout: RolloutStatus, named: string[] | undefined): Promise<string[]> {
  if (named !== undefined) await refuseStrangers(registry, rollout, named);
  const debts = await registry.debts({ stream: rollout.stream, firstRunId: rollout.firstRunId, verb: 'converge' });
  const problems = await registry.problemSites(rollout.firstRunId, MOST);
  const sites = [...new Set([...debts, ...problems].map(({ site }) => site))].sort();
  const meant = named === undefined ? sites : sites.filter((site) => named.includes(site));
  const reports = await registry.reports(meant);
  const live = (site: string) => reports.get(site)?.report.streams[rollout.stream]?.live?.digest;
  return meant.filter((site) => live(site) !== rollout.release.digest);
}

const MOST = 10_000;

async function refuseStrangers(registry: Registry, rollout: RolloutStatus, named: string[]): Promise<void> {
  const planned = Object.keys((await registry.frozenPlan(rollout.planDigest))?.sites ?? {});
  const strange = named.find((site) => !planned.includes(site));
  if (strange === undefined) return;
  const message = `expected sites of ${rollout.label}, got ${strange}`;
  throw new MistakeError('SITE_NOT_FOUND', message, suggestions(strange, planned, 'site in it'));
}

function quarantinedAmong(reports: Map<string, KnownReport>, { stream, release }: RolloutStatus): string[] {
  return [...reports.values()]
    .filter(({ report }) => report.quarantined.some((one) => one.stream === stream && one.digest === release.digest))
    .map(({ report }) => report.site)
    .sort();
}

function nothingOwed(context: Context, rollout: RolloutStatus, sites: string[] | undefined): Answer {
  const where = sites === undefined ? 'no site' : `none of ${shown(sites)}`;
  const detail = `${where} owes anything of ${rollout.label}`;
  const next = `foothold owed ${rollout.stream}`;
  const text = `${context.paint('yellow', 'nothing to retry')} · NOTHING_OWED: ${detail} · next: ${next}`;
  return { exit: EXIT.no, document: { rollout: rollout.label, code: 'NOTHING_OWED', detail, next: [next] }, text };
}

function endedOtherwise(context: Context, rollout: RolloutStatus): Answer {
  const outcome = rollout.outcome ?? 'over';
  const lift = outcome === 'reverted' ? [`foothold allow ${releaseOf(rollout)} --reason …`] : [];
  const next = [...lift, `foothold start ${releaseOf(rollout)} ${rollout.strategy} --reason …`];
  const detail = `${rollout.label} is sealed as ${outcome}: what its sites owed of it was cancelled`;
  const text = `${context.paint('red', 'refused')} · NOTHING_OWED: ${detail}\nnext: ${next.join('\n      ')}`;
  return { exit: EXIT.no, document: { rollout: rollout.label, outcome, code: 'NOTHING_OWED', detail, next }, text };
}

function releaseOf({ stream, release }: RolloutStatus): string {
  return `${stream}@${release.version}`;
}

function shown(sites: string[]): string {
  return `${sites.slice(0, 10).join(', ')}${sites.length > 10 ? ` … ${sites.length} in all` : ''}`;
}
