/** `owed`: what sites still owe, and whose it is. From the registry alone, so it answers with Temporal down. */
import type { Command } from 'commander';
import { CATCH_UP, type Debt } from '../../policies/model/debt.js';
import type { CentralHold } from '../../policies/model/hold.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { Site } from '../../policies/model/fleet.js';
import type { KnownReport, Registry } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { explainDebt, type Explanation } from '../explanation/debts.js';
import { suggestions } from '../nearest.js';
import { reasonText } from '../render/headline.js';
import { freezeLine } from '../render/freeze.js';
import { centralHoldLine } from '../render/hold.js';
import { indent, table } from '../render/table.js';
import { span } from '../render/times.js';

export interface OwedFlags {
  site?: string;
  limit?: string;
}

export function declareOwed(program: Command, execute: Execute): void {
  program
    .command('owed')
    .description('what sites still owe, owed reverts first: who, why, since, whose it is, what would unblock it')
    .argument('[stream]')
    .option('--site <id>', 'only this site')
    .option('--limit <n>', 'show at most so many (default: 20 for people, all with --json)')
    .action((stream: string | undefined, flags: OwedFlags, self: Command) =>
      execute(self, (context) => owed(context, stream, flags)),
    );
}

const SHOWN = 20;

interface OwedRow extends Debt {
  /** When the centre last heard of the site, epoch ms; null: never. */
  lastSeenAt: number | null;
  /** Label of the rollout, or `catchUp`. */
  ownerName: string;
  unblocks: string;
  who: string;
  next: string[];
}

/** `{ totals, debts, freezes, holds }`; the totals count all, `debts` are the first of them. */
export async function owed(context: Context, stream: string | undefined, flags: OwedFlags): Promise<Answer> {
  const registry = await readable(context);
  const all = await registry.debtTotals();
  const totals = all.filter((one) => stream === undefined || one.stream === stream);
  if (stream !== undefined && totals.length === 0) await refuseUnknownStream(context, registry, stream);
  if (flags.site !== undefined) await refuseUnknownSite(context, registry, flags.site);
  const limit = limitOf(flags.limit, context.flags.json === true ? undefined : SHOWN);
  const debts = await registry.debts({
    ...(stream === undefined ? {} : { stream }),
    ...(flags.site === undefined ? {} : { site: flags.site }),
    ...(limit === undefined ? {} : { limit }),
  });
  const reports = await registry.reports([...new Set(debts.map(({ site }) => site))]);
  const owners = await ownerNames(registry, debts);
  const rows = debts.map((debt) => rowOf(debt, reports.get(debt.site), owners));
  const freezes = await registry.freezes(context.io.now());
  const holds = (await registry.holds(context.io.now())).filter(({ site }) => (flags.site ?? site) === site);
  const sum = flags.site === undefined ? totals.reduce((count, one) => count + one.count, 0) : rows.length;
  const text = [
    totalsLine(context, flags.site === undefined ? totals : countsOf(rows), stream),
    rowsText(context, rows, sum),
    ...(freezes.length === 0 ? [] : [freezeBlock(context, freezes)]),
    ...(holds.length === 0 ? [] : [holdBlock(context, holds)]),
  ];
  return done({ totals, debts: rows, freezes, holds }, text.filter((part) => part !== '').join('\n\n'));
}

/** Throws MistakeError PROJECT_NOT_FOUND, or REGISTRY_INVALID where nothing was recorded yet. */
export async function readable(context: Context): Promise<Registry> {
  if (context.flags.registry === undefined) context.projectPath();
  const registry = await context.registryIfHere();
  if (registry) return registry;
  throw new MistakeError(
    'REGISTRY_INVALID',
    `expected a registry at ${await context.registryUrl()}, there is none yet: the control worker makes it, or --registry says where it is`,
  );
}

/** One that has left the fleet file may still owe, or be known by its reports. */
async function refuseUnknownSite(context: Context, registry: Registry, site: string): Promise<void> {
  if ((await registry.reports([site])).has(site) || (await registry.debts({ site, limit: 1 })).length > 0) return;
  const { refuseUnknownSites } = await import('../selected.js');
  refuseUnknownSites([site], await fleetSites(context).then((sites) => sites.map(({ id }) => id)));
}

/** Only where a name is not known to the registry: the fleet file of ten thousand sites is not read for the usual answer. */
async function fleetSites(context: Context): Promise<Site[]> {
  if (context.flags.fleet === undefined && context.projectPathIfAny() === undefined) return [];
  const { meantFleet } = await import('../inputs.js');
  return (await meantFleet(context)).sites;
}

async function refuseUnknownStream(context: Context, registry: Registry, stream: string): Promise<void> {
  const [known] = await registry.rollouts({ stream, limit: 1 });
  const desired = await registry.desiredStreams();
  if (known || desired.includes(stream)) return;
  const declared = (await fleetSites(context)).flatMap((site) => site.streams);
  if (declared.includes(stream)) return;
  const rolledOut = (await registry.rollouts({ limit: 100 })).map((rollout) => rollout.stream);
  const streams = [...desired, ...declared, ...rolledOut];
  const message = `expected a stream of the fleet, or one that was rolled out, got ${stream}`;
  throw new MistakeError('BAD_ARGUMENT', message, suggestions(stream, streams, 'stream'));
}

export function limitOf(written: string | undefined, otherwise: number | undefined): number | undefined {
  if (written === undefined) return otherwise;
  if (/^[1-9]\d{0,5}$/.test(written)) return Number(written);
  throw new MistakeError('BAD_ARGUMENT', `expected --limit as a whole number above 0, got ${written}`);
}

async function ownerNames(registry: Registry, debts: Debt[]): Promise<Map<string, string>> {
  const names = new Map<string, string>([[CATCH_UP, CATCH_UP]]);
  for (const { owner } of debts) {
    if (!names.has(owner)) names.set(owner, (await registry.findRollout(owner))?.label ?? owner);
  }
  return names;
}

function rowOf(debt: Debt, report: KnownReport | undefined, owners: Map<string, string>): OwedRow {
  const explanation: Explanation = explainDebt(debt);
  const { unblocks, who, next } = explanation;
  const ownerName = owners.get(debt.owner) ?? debt.owner;
  return { ...debt, ownerName, lastSeenAt: report?.receivedAt ?? null, unblocks, who, next };
}

type Total = { stream: string; verb: Debt['verb']; count: number };

function countsOf(rows: OwedRow[]): Total[] {
  return rows.map(({ stream, verb }) => ({ stream, verb, count: 1 }));
}

function totalsLine(context: Context, totals: Total[], stream: string | undefined): string {
  const count = (verb: Debt['verb']): number =>
    totals.filter((one) => one.verb === verb).reduce((sum, one) => sum + one.count, 0);
  const [reverts, converges] = [count('revert'), count('converge')];
  const where = stream === undefined ? `${new Set(totals.map((one) => one.stream)).size} streams` : stream;
  if (reverts + converges === 0)
    return `${context.paint('green', 'NOTHING OWED')}${stream === undefined ? '' : ` · ${stream}`}`;
  const line = `${reverts} owed ${reverts === 1 ? 'revert' : 'reverts'}, ${converges} owed ${converges === 1 ? 'converge' : 'converges'} · ${where}`;
  return context.paint(reverts > 0 ? 'red' : 'yellow', line);
}

function rowsText(context: Context, rows: OwedRow[], sum: number): string {
  if (rows.length === 0) return '';
  const now = context.io.now();
  const lines = rows.map((row) => [
    row.site,
    row.stream,
    `${row.verb === 'revert' ? 'undo of' : 'converge to'} ${row.release.version}`,
    reasonText(row.reason, 50),
    `${span(now - row.since)} ago`,
    row.ownerName,
    row.lastSeenAt === null ? 'never' : `${span(now - row.lastSeenAt)} ago`,
  ]);
  const list = table(['SITE', 'STREAM', 'OWES', 'WHY', 'SINCE', 'OWNER', 'LAST SEEN'], lines).trimEnd();
  const more = sum > rows.length ? `\n… and ${sum - rows.length} more (--limit ${sum}, or --json)` : '';
  return `${list}${more}\n\nwhat would unblock\n${indent(unblockText(rows))}`;
}

/** Once for each kind of debt and code, not once for each of a thousand sites. */
function unblockText(rows: OwedRow[]): string {
  const kinds = new Map<string, OwedRow[]>();
  for (const row of rows) {
    const key = `${row.verb} ${row.reason.code}`;
    kinds.set(key, [...(kinds.get(key) ?? []), row]);
  }
  return [...kinds.entries()]
    .map(([kind, [first]]) => `${kind}: ${first?.unblocks ?? ''} · ${first?.who ?? ''} · next: ${first?.next[0] ?? ''}`)
    .join('\n');
}

function holdBlock(context: Context, holds: CentralHold[]): string {
  const lines = holds.map((one) => centralHoldLine(one, context.io.now()));
  return `held at the centre: no converge begins there; owed reverts are delivered\n${indent(lines.join('\n'))}`;
}

function freezeBlock(context: Context, freezes: Parameters<typeof freezeLine>[0][]): string {
  const lines = freezes.map((one) => freezeLine(one, context.io.now()));
  return `frozen: no converge begins there; owed reverts are delivered\n${indent(lines.join('\n'))}`;
}
