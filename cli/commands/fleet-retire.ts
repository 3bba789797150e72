/** `fleet retire`: a site is out for good. The registry says so; the fleet file is its owner's to change. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { writtenFleet } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { operatorName, requireReason } from '../operator.js';
import { indent } from '../render/table.js';
import { askBack, askedBackText } from '../withdraw.js';

export interface RetireFlags {
  reason?: string;
  by?: string;
  dryRun?: boolean;
}

export function declareFleetRetire(fleet: Command, execute: Execute): void {
  fleet
    .command('retire')
    .description('take a site out for good: its id is never used again')
    .argument('<site>')
    .option('--reason <why>', 'kept with the site; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--dry-run', 'say what would be cancelled, and retire nothing')
    .action((site: string, flags: RetireFlags, self: Command) =>
      execute(self, (context) => retire(context, site, flags)),
    );
}

/** `{ site, changed, cancelled, running, inFile, by, reason, withdrawal? }`; `inFile` is what the fleet file still says. */
export async function retire(context: Context, site: string, flags: RetireFlags): Promise<Answer> {
  const reason = requireReason(flags.reason, 'fleet retire');
  const by = operatorName(flags.by, context.io.env);
  const registry = await context.registry();
  const { sites } = await writtenFleet(context);
  const declared = sites.find(({ id }) => id === site);
  const known = await registry.identities([site]);
  if (!declared && !known.has(site) && !(await registry.reports([site])).has(site)) {
    const near = suggestions(site, new Set(sites.map(({ id }) => id)), 'site');
    throw new MistakeError('SITE_NOT_FOUND', `expected a site of the fleet, got ${site}`, near);
  }
  const debts = await registry.debts({ site });
  const running: string[] = [];
  for (const stream of declared?.streams ?? [])
    for (const plan of await registry.runningPlans(stream)) if (plan.sites.includes(site)) running.push(plan.label);
  const inFile = declared === undefined || declared.state === 'retired' ? null : declared.state;
  const document = { site, running, inFile, by, reason };
  const owed = debts.map(({ verb, stream, release, label }) => `${verb} of ${stream}@${release.version}, of ${label}`);
  const notes = [
    ...(owed.length === 0 ? [] : [`nobody owes any more:\n${indent(owed.join('\n'))}`]),
    ...(debts.some(({ verb }) => verb === 'revert')
      ? ['whoever carries its undo lets go of it with the next sweep, within a minute']
      : []),
    ...running.map((label) => `rollout ${label} runs with a plan that has ${site}: it goes on counting there`),
    ...(inFile === null ? [] : [`the fleet file still says so; write it there too:\n${indent(diffOf(site, inFile))}`]),
  ];
  if (flags.dryRun === true) {
    const text = [`would retire ${site}, for good`, ...notes].join('\n');
    return done({ ...document, changed: false, cancelled: debts.length, dryRun: true }, text);
  }
  const { changed, cancelled } = await registry.retire({ site, by, reason }, context.io.now());
  const head = changed ? `retired ${site}, for good` : `${site} was retired before; nothing changed`;
  const withdrawal = await askBack(context, site);
  return done({ ...document, changed, cancelled, withdrawal }, [head, askedBackText(withdrawal), ...notes].join('\n'));
}

function diffOf(site: string, state: string): string {
  return [`  - id: ${site}`, `-   state: ${state}`, `+   state: retired`].join('\n');
}
