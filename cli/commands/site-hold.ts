/** `site hold|unhold`: nothing new is sent to a site. It stands in the registry, so it works with Temporal down. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { CentralHold } from '../../policies/model/hold.js';
import { EXIT, done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantFleet } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { operatorName, requireReason } from '../operator.js';
import { centralHoldLine, siteHoldLine } from '../render/hold.js';
import { indent } from '../render/table.js';
import { askBack, askedBackText } from '../withdraw.js';
import { untilOf } from './freeze.js';

export interface HoldFlags {
  until?: string;
  reason?: string;
  by?: string;
  dryRun?: boolean;
}

export function declareSiteHold(site: Command, execute: Execute): void {
  site
    .command('hold')
    .description('send the site nothing new, until a time or until it is lifted; an undo never waits')
    .argument('<site>')
    .argument('[stream]', 'only this stream (default: every stream)')
    .option('--until <time>', 'such as 2026-12-27T06:00:00Z, or a duration from now such as 8h (default: no end)')
    .option('--reason <why>', 'shown wherever it holds something up; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--dry-run', 'say what would be held, and hold nothing')
    .action((id: string, stream: string | undefined, flags: HoldFlags, self: Command) =>
      execute(self, (context) => holdSite(context, id, stream, flags)),
    );
  site
    .command('unhold')
    .description('lift a hold that was put at the centre')
    .argument('<site>')
    .argument('[stream]', 'as it was held')
    .option('--reason <why>', 'kept with the hold; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--dry-run', 'say what would be lifted, and lift nothing')
    .action((id: string, stream: string | undefined, flags: HoldFlags, self: Command) =>
      execute(self, (context) => unholdSite(context, id, stream, flags)),
    );
}

/**
 * `{ hold, inForce, withdrawal? }`: what was put, all that is in force at the site now, at the centre and as the site reports it,
 * and of how many commands under way the return was asked for.
 */
export async function holdSite(
  context: Context,
  site: string,
  stream: string | undefined,
  flags: HoldFlags,
): Promise<Answer> {
  const now = context.io.now();
  const reason = requireReason(flags.reason, 'site hold');
  await refuseUnknown(context, site, stream);
  const until = flags.until === undefined ? {} : { until: untilOf(flags.until, now) };
  const by = operatorName(flags.by, context.io.env);
  const draft = { site, ...(stream === undefined ? {} : { stream }), ...until, by, reason, at: now };
  if (flags.dryRun === true) {
    const line = centralHoldLine({ ...draft, id: 'would hold' }, now);
    return done({ hold: draft, inForce: await inForceAt(context, site), dryRun: true }, line);
  }
  const hold = await (await context.registry()).putHold(draft);
  const inForce = await inForceAt(context, site);
  const withdrawal = await askBack(context, hold.id);
  const head = `${context.paint('green', 'held')}\n${askedBackText(withdrawal)}`;
  return done({ hold, inForce, withdrawal }, `${head}\n${inForceText(context, site, inForce)}`);
}

/** `{ lifted, inForce }`; exit code 1 if there was nothing to lift. */
export async function unholdSite(
  context: Context,
  site: string,
  stream: string | undefined,
  flags: HoldFlags,
): Promise<Answer> {
  const now = context.io.now();
  const reason = requireReason(flags.reason, 'site unhold');
  await refuseUnknown(context, site, stream);
  const registry = await context.registry();
  if (flags.dryRun === true) {
    const wouldLift = (await registry.holds(now)).filter((one) => one.site === site && one.stream === stream);
    const lines = wouldLift.map((one) => centralHoldLine(one, now)).join('\n');
    return { ...lifting(wouldLift), document: { wouldLift, dryRun: true }, text: lines || 'nothing would be lifted' };
  }
  const lifted = await registry.liftHolds(site, stream, {
    at: now,
    by: operatorName(flags.by, context.io.env),
    reason,
  });
  const inForce = await inForceAt(context, site);
  const head =
    lifted.length === 0
      ? `nothing was lifted: no hold at the centre is on ${stream === undefined ? 'every stream' : stream} of ${site}`
      : `${context.paint('green', 'lifted')}\n${indent(lifted.map((one) => centralHoldLine(one, now)).join('\n'))}`;
  return { ...lifting(lifted), document: { lifted, inForce }, text: `${head}\n${inForceText(context, site, inForce)}` };
}

function lifting(lifted: CentralHold[]): Pick<Answer, 'exit'> {
  return { exit: lifted.length === 0 ? EXIT.no : EXIT.done };
}

type InForce = Awaited<ReturnType<typeof inForceAt>>;

async function inForceAt(context: Context, site: string) {
  const registry = await context.registry();
  const centre = (await registry.holds(context.io.now())).filter((one) => one.site === site);
  const report = (await registry.reports([site])).get(site)?.report;
  return { centre, atSite: report?.holds ?? [] };
}

function inForceText(context: Context, site: string, { centre, atSite }: InForce): string {
  const now = context.io.now();
  const lines = [
    ...centre.map((one) => centralHoldLine(one, now)),
    ...atSite.map((one) => `${siteHoldLine(one)}; it is lifted there: foothold agent unhold`),
  ];
  if (lines.length === 0) return `${site} is not held`;
  return `in force: nothing new is sent there; an undo never waits\n${indent(lines.join('\n'))}`;
}

/** A typing error would hold nothing, and look done. */
async function refuseUnknown(context: Context, site: string, stream: string | undefined): Promise<void> {
  const { sites } = await meantFleet(context);
  const declared = sites.find(({ id }) => id === site);
  const report = (await (await context.registry()).reports([site])).get(site)?.report;
  if (!declared && !report) {
    const known = sites.map(({ id }) => id);
    const message = `expected a site of the fleet, or one that reported, got ${site}`;
    throw new MistakeError('SITE_NOT_FOUND', message, suggestions(site, known, 'site'));
  }
  const streams = [...(declared?.streams ?? []), ...Object.keys(report?.streams ?? {})];
  if (stream === undefined || streams.includes(stream)) return;
  const message = `expected a stream of ${site}, got ${stream}`;
  throw new MistakeError('BAD_ARGUMENT', message, suggestions(stream, streams, 'stream'));
}
