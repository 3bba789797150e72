/** `fleet import`: a fleet file, or an Ansible inventory, becomes the fleet that plans are made of. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { ResolvedFleet } from '../../policies/model/fleet.js';
import { judgeImport } from '../../policies/site/judge-import.js';
import type { Registry } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { differences } from '../render/difference.js';
import { indent } from '../render/table.js';

export interface ImportFlags {
  ansible?: string;
  returned?: string[];
  dryRun?: boolean;
}

export function declareFleetImport(fleet: Command, execute: Execute): void {
  fleet
    .command('import')
    .description('take a fleet file, or an Ansible inventory, as the fleet from now on')
    .argument('[file]', 'fleet file (default: the project’s)')
    .option('--ansible <file>', 'sites from the JSON of `ansible-inventory --list`, added to those of the fleet file')
    .option('--returned <site...>', 'these ids were gone from the files by mistake, and are the same sites as before')
    .option('--dry-run', 'say what would change, and import nothing')
    .action((file: string | undefined, flags: ImportFlags, self: Command) =>
      execute(self, (context) => importFleet(context, file, flags)),
    );
}

/** `{ digest, sites, changed, before?, difference, dryRun? }`. Throws MistakeError FLEET_INVALID naming every id that is used again or left out. */
export async function importFleet(context: Context, file: string | undefined, flags: ImportFlags): Promise<Answer> {
  const { loadFleet } = await import('../../records/files/fleet-file.js');
  const { FLEET_NAME } = await import('../../records/files/newer-import.js');
  const added = flags.ansible === undefined ? [] : await ansibleSites(context, flags.ansible);
  const fleet = await loadFleet(file === undefined ? await context.fleetPath() : context.path(file), added);
  const registry = flags.dryRun === true ? await context.registryIfHere() : await context.registry();
  const before = await registry?.latestDocument('fleet', FLEET_NAME);
  await refuseReuse(registry, before?.body as ResolvedFleet | undefined, fleet, new Set(flags.returned));
  const changed = before?.digest !== fleet.digest;
  const difference = before && changed ? differences(sitesOf(before.body as ResolvedFleet), sitesOf(fleet)) : [];
  const document = {
    digest: fleet.digest,
    sites: fleet.sites.length,
    changed,
    ...(before && { before: before.digest }),
    difference,
  };
  const head = before === undefined ? 'for the first time' : changed ? `changed from ${before.digest}` : 'unchanged';
  const told = `fleet of ${fleet.sites.length} sites  ${fleet.digest}  (${head})`;
  const lines = difference.length === 0 ? '' : `\n${indent(difference.join('\n'))}`;
  if (flags.dryRun === true) return done({ ...document, dryRun: true }, `would import ${told}${lines}`);
  const body = { digest: fleet.digest, sites: fleet.sites, filled: fleet.filled };
  await registry?.importDocument({ kind: 'fleet', name: FLEET_NAME, digest: fleet.digest, body }, context.io.now());
  return done(document, `imported ${told}${lines}`);
}

/** What plans are made of: the digest and the file's own form would say the same again. */
function sitesOf({ sites }: ResolvedFleet): Pick<ResolvedFleet, 'sites'> {
  return { sites };
}

async function ansibleSites(context: Context, path: string) {
  const { readAnsibleSites } = await import('../../records/files/ansible-inventory.js');
  return readAnsibleSites(context.path(path));
}

async function refuseReuse(
  registry: Registry | undefined,
  before: ResolvedFleet | undefined,
  fleet: ResolvedFleet,
  returned: Set<string>,
): Promise<void> {
  if (registry === undefined) return;
  const identities = [...(await registry.identities()).values()];
  const retired = new Map(
    identities.flatMap(({ site, retired: out }) => (out ? [[site, `${out.by}: ${out.reason}`] as const] : [])),
  );
  const ever = await registry.siteIdsEver();
  const wrong = judgeImport(fleet.sites, { retired, before, ever, returned });
  if (wrong.length === 0) return;
  const message = `expected every id to mean the site that it meant before, got ${wrong.length} that would not: ${wrong[0]}`;
  throw new MistakeError('FLEET_INVALID', message, wrong);
}
