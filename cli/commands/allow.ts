/** `allow`: a person lifts the block of a release for its stream, or its quarantine at one site. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import { BLOCK_ALONE, type Registry } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantFleet, meantRelease } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { operatorName, requireReason } from '../operator.js';
import { clock } from '../render/times.js';

export interface AllowFlags {
  site?: string;
  everywhere?: boolean;
  reason?: string;
  by?: string;
  dryRun?: boolean;
}

export function declareAllow(program: Command, execute: Execute): void {
  program
    .command('allow')
    .description('lift the block of a release for its stream, its quarantine at one site, or with --everywhere both')
    .argument('<release>', 'stream@version, or its directory')
    .option('--site <id>', 'only the quarantine at this site')
    .option('--everywhere', 'the quarantine at every site too, not only the block of the stream')
    .option('--reason <why>', 'goes into the evidence; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--dry-run', 'say what would be lifted, and lift nothing')
    .action((release: string, flags: AllowFlags, self: Command) =>
      execute(self, (context) => allow(context, release, flags)),
    );
}

/**
 * `{ release, site, everywhere, lifted: { block, quarantinedAt }, by, reason }`: what stood against it is said, and is no
 * condition. The block is the stream's; a quarantine is a site's own experience, and needs its site or `--everywhere`.
 */
export async function allow(context: Context, written: string, flags: AllowFlags): Promise<Answer> {
  const reason = requireReason(flags.reason, 'allow');
  if (flags.site !== undefined && flags.everywhere === true) {
    throw new MistakeError('BAD_ARGUMENT', 'expected --site or --everywhere, got both');
  }
  const by = operatorName(flags.by, context.io.env);
  const { ref } = await meantRelease(context, written);
  const registry = await context.registry();
  await refuseUnknownSite(context, registry, flags.site);
  const stands = await whatStands(registry, ref, flags.site);
  const widely = flags.site !== undefined || flags.everywhere === true;
  const lifted: Lifted = widely ? stands : { ...stands, quarantinedAt: [] };
  const left = widely ? [] : stands.quarantinedAt;
  const document = {
    release: ref,
    site: flags.site ?? null,
    everywhere: flags.everywhere === true,
    lifted,
    stays: { quarantinedAt: left },
    by,
    reason,
  };
  const what = `${describe(context, ref, lifted, flags.site)}${staysText(left)}`;
  if (flags.dryRun === true) return done({ ...document, dryRun: true }, `would lift: ${what}`);
  const where = flags.site ?? (flags.everywhere === true ? undefined : BLOCK_ALONE);
  await registry.allow(ref.stream, ref.digest, where, by, reason, context.io.now());
  return done(
    document,
    `allowed ${ref.stream}@${ref.version}${flags.site === undefined ? '' : ` at ${flags.site}`}: ${what}`,
  );
}

function staysText(quarantinedAt: string[]): string {
  if (quarantinedAt.length === 0) return '';
  return `; still quarantined, because it failed there: ${listed(quarantinedAt)} (--site ID lifts one, --everywhere all)`;
}

function listed(sites: string[]): string {
  return `${sites.slice(0, 10).join(', ')}${sites.length > 10 ? ` … ${sites.length} in all` : ''}`;
}

async function refuseUnknownSite(context: Context, registry: Registry, site: string | undefined): Promise<void> {
  if (site === undefined) return;
  const known = new Set((await meantFleet(context)).sites.map(({ id }) => id));
  // A site that has left the fleet file may still be known by its reports.
  if (known.has(site) || (await registry.reports([site])).has(site)) return;
  throw new MistakeError(
    'SITE_NOT_FOUND',
    `expected a site of the fleet, got ${site}`,
    suggestions(site, known, 'site'),
  );
}

interface Lifted {
  block: { rollout: string; at: number } | null;
  quarantinedAt: string[];
}

async function whatStands(
  registry: Registry,
  ref: { stream: string; digest: string },
  site: string | undefined,
): Promise<Lifted> {
  const block =
    site === undefined ? (await registry.blocks(ref.stream)).find((one) => one.digest === ref.digest) : undefined;
  const reports = await registry.reports(site === undefined ? undefined : [site]);
  const quarantinedAt = [...reports.values()]
    .filter(({ report }) => report.quarantined.some((one) => one.stream === ref.stream && one.digest === ref.digest))
    .map(({ report }) => report.site)
    .sort();
  return { block: block ? { rollout: block.rollout, at: block.at } : null, quarantinedAt };
}

function describe(
  context: Context,
  ref: { stream: string },
  { block, quarantinedAt }: Lifted,
  site: string | undefined,
): string {
  const sites = quarantinedAt.length === 0 ? '' : `quarantine reported by ${listed(quarantinedAt)}`;
  if (site !== undefined)
    return sites === '' ? `no quarantine is reported by ${site}; it is allowed from now on` : sites;
  const blocked = block
    ? `the block of stream ${ref.stream} by ${block.rollout} since ${clock(block.at, context.io.now())}`
    : 'no block stood against it';
  return sites === '' ? blocked : `${blocked}; ${sites}: lifted at each of them`;
}
