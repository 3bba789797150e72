/** `fleet list` (what the files declare) and `fleet status` (what the sites last said, beside it). */
import type { Command } from 'commander';
import type { Site } from '../../policies/model/fleet.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantFleet } from '../inputs.js';
import { table } from '../render/table.js';
import { fleetStatus, type FleetStatusFlags } from './fleet-status.js';
import { declareFleetEnrol } from './fleet-enrol.js';
import { declareFleetImport } from './fleet-import.js';
import { declareFleetRetire } from './fleet-retire.js';
import { collect } from '../repeated.js';
import { selectedSites } from '../selected.js';

interface FleetFlags {
  only: string[];
}

export function declareFleet(program: Command, execute: Execute): void {
  const fleet = program.command('fleet').description('the sites');
  declareFleetImport(fleet, execute);
  declareFleetEnrol(fleet, execute);
  declareFleetRetire(fleet, execute);
  fleet
    .command('list')
    .description('the sites as the centre goes by them: the fleet file or a later import, and who was retired since')
    .option('--only <selector>', 'key=value[,value]; repeated: and', collect, [])
    .action((flags: FleetFlags, self: Command) => execute(self, (context) => listFleet(context, flags.only)));
  fleet
    .command('status')
    .description('what the sites should run, what they last reported, how long ago, and what they owe')
    .option('--only <selector>', 'key=value[,value]; repeated: and', collect, [])
    .option('--stream <stream>', 'only this stream')
    .option('--limit <n>', 'show at most so many (default: 20 for people, all with --json)')
    .action((flags: FleetStatusFlags, self: Command) => execute(self, (context) => fleetStatus(context, flags)));
}

/** `{ digest, sites, retiredAtCentre }`, every site with all that it inherits; the last are retired whatever a file says. */
export async function listFleet(context: Context, only: string[]): Promise<Answer> {
  const { digest, sites, retiredAtCentre } = await selected(context, only);
  const rows = sites.map((site) => [
    site.id,
    retiredAtCentre.includes(site.id) ? 'retired at the centre' : site.state,
    site.region ?? '-',
    site.cluster ?? '-',
    site.assetType ?? '-',
    site.link.name,
    site.risk,
    site.streams.join(','),
  ]);
  const text = table(['SITE', 'STATE', 'REGION', 'CLUSTER', 'ASSET TYPE', 'LINK', 'RISK', 'STREAMS'], rows);
  return done({ digest, sites, retiredAtCentre }, `${text}${countText(sites)}`);
}

interface Selected {
  digest: string;
  sites: Site[];
  retiredAtCentre: string[];
}
async function selected(context: Context, only: string[]): Promise<Selected> {
  const { digest, sites } = await meantFleet(context);
  const retired = (await (await context.registryIfHere())?.retiredSites()) ?? new Set();
  const found = selectedSites(sites, only);
  const retiredAtCentre = found.map(({ id }) => id).filter((id) => retired.has(id));
  return { digest, sites: found, retiredAtCentre };
}

function countText(sites: Site[]): string {
  const active = sites.filter((site) => site.state === 'active').length;
  return `${sites.length} sites, ${active} active\n`;
}
