/** Signing commands shortly before they are scheduled (design §4 "Commands are signed"). */
import { Context } from '@temporalio/activity';
import { isAllowed } from '../../policies/preflight/facts.js';
import type { Command } from '../../policies/model/command.js';
import { commandIdOf } from '../../policies/model/command-id.js';
import type { OutlineSite, ShardInput } from '../../policies/model/outline.js';
import type { PlannedSite } from '../../policies/model/plan.js';
import type { CommandedRow, KnownReport } from '../../records/registry/registry.js';
import type { DeferredCommand, Issued, IssuedCommand } from '../contract.js';
import { readAddressees, rememberedAddressees, UNKNOWN_ADDRESSEE, type Addressee } from './addressees.js';
import { deferredMates, hinderedSites } from './defer.js';
import type { ControlDeps } from './deps.js';
import { readSigning, rememberedSigning, signFor, type Signing } from './signing.js';

/**
 * Commands for `sites`, recorded as commanded before they are handed out. A revert is issued with the registry down
 * as well: it needs nothing from there, and an undo must not wait for a record.
 */
export async function issueCommands(deps: ControlDeps, input: ShardInput, sites: OutlineSite[]): Promise<Issued[]> {
  return input.verb === 'revert' ? issueReverts(deps, input, sites) : issueConverges(deps, input, sites);
}

async function issueReverts(deps: ControlDeps, input: ShardInput, sites: OutlineSite[]): Promise<IssuedCommand[]> {
  const now = deps.now();
  const known = await atMost(UNDO_PATIENCE_MS, read(deps, input, sites), remembered(deps, sites));
  const issued = sites.map((site) => issue(input, site, known, now));
  await atMost(UNDO_PATIENCE_MS, record(deps, input, issued, now), undefined);
  return issued;
}

async function issueConverges(deps: ControlDeps, input: ShardInput, sites: OutlineSite[]): Promise<Issued[]> {
  const now = deps.now();
  const known = await read(deps, input, sites);
  const held = await hinderedSites(deps, input, sites, known);
  const issued = sites.filter(({ id }) => !held.has(id)).map((site) => issue(input, site, known, now));
  const mates = await recordClear(deps, input, issued, sites, now);
  for (const mate of mates) held.set(mate.site, mate);
  // Who froze or held a site since has looked for commands under way: of these only if they were on record by then.
  const left = sites.filter(({ id }) => !held.has(id));
  const addressees = await readAddressees(
    deps,
    left.map(({ id }) => id),
  );
  for (const late of (await hinderedSites(deps, input, left, { ...known, addressees })).values())
    held.set(late.site, late);
  return [...issued.filter(({ site }) => !held.has(site)), ...held.values()];
}

/** Who is left out was signed for and is told nothing: what is not handed out does not exist. */
async function recordClear(
  deps: ControlDeps,
  input: ShardInput,
  issued: IssuedCommand[],
  sites: OutlineSite[],
  now: number,
): Promise<DeferredCommand[]> {
  const groups = new Map(sites.flatMap(({ id, group }) => (group === undefined ? [] : [[id, group]])));
  if (groups.size === 0) {
    await record(deps, input, issued, now);
    return [];
  }
  const rows = commandedRows(input, issued).map((row) => {
    const group = groups.get(row.site);
    return group === undefined ? row : { ...row, group };
  });
  return deferredMates(await deps.registry.commandClearOfMates(input.firstRunId, rows, now));
}

async function record(deps: ControlDeps, input: ShardInput, issued: IssuedCommand[], now: number): Promise<void> {
  await deps.registry.recordCommanded(input.firstRunId, commandedRows(input, issued), now);
}

function commandedRows(input: ShardInput, issued: IssuedCommand[]): CommandedRow[] {
  const carrier = Context.current().info.workflowExecution?.workflowId;
  const { stage, wave, verb } = input;
  return issued.map(({ site, commandId, settleBy }) => ({
    site,
    stage,
    wave,
    verb,
    commandId,
    ...(settleBy === undefined ? {} : { switchBy: settleBy }),
    ...(carrier === undefined ? {} : { carrier }),
  }));
}

const UNDO_PATIENCE_MS = 1_000;

interface Known {
  planned: Record<string, PlannedSite>;
  allowed: Set<string>;
  addressees: Map<string, Addressee>;
  signing: Signing;
}

/** With the registry away: an undo needs nothing but whom it is for, and the keys. */
function remembered(deps: ControlDeps, sites: OutlineSite[]): Known {
  const addressees = rememberedAddressees(
    deps,
    sites.map((site) => site.id),
  );
  return { planned: {}, allowed: new Set(), addressees, signing: rememberedSigning(deps) };
}

async function read(deps: ControlDeps, input: ShardInput, sites: OutlineSite[]): Promise<Known> {
  const frozen = await deps.registry.frozenPlan(input.planDigest);
  if (!frozen) throw new TypeError(`the registry does not hold plan ${input.planDigest}`);
  const { stream, digest } = input.release;
  const allowances = await deps.registry.allowances(stream, digest);
  const reports =
    allowances.length === 0
      ? new Map<string, KnownReport>()
      : await deps.registry.reports(sites.map((site) => site.id));
  const allowed = sites.filter((site) => isAllowed(reports.get(site.id)?.report, input.release, allowances));
  const addressees = await readAddressees(
    deps,
    sites.map((site) => site.id),
  );
  const signing = await readSigning(deps);
  return { planned: frozen.sites, allowed: new Set(allowed.map((site) => site.id)), addressees, signing };
}

/** What `work` gives, or `otherwise` if it fails or takes too long: a registry that is locked must not hold an undo. */
async function atMost<T>(ms: number, work: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => (timer = setTimeout(() => resolve(otherwise), ms)));
  const done = work.catch(() => otherwise);
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}

function issue(input: ShardInput, site: OutlineSite, known: Known, now: number): IssuedCommand {
  const settleBy = input.verb === 'converge' ? now + patienceOf(input, site) : undefined;
  const named = { firstRunId: input.firstRunId, site: site.id, stream: input.release.stream, verb: input.verb };
  const number = input.tries?.[site.id] ?? input.try;
  const command: Command = {
    version: 1,
    id: commandIdOf({ ...named, try: number }),
    rollout: input.label,
    site: site.id,
    stream: input.release.stream,
    verb: input.verb,
    generation: input.generation,
    try: number,
    digest: input.release.digest,
    releaseVersion: input.release.version,
    vars: known.planned[site.id]?.vars ?? {},
    planDigest: input.planDigest,
    issuedAt: now,
    allowed: known.allowed.has(site.id),
    ...(known.addressees.get(site.id) ?? UNKNOWN_ADDRESSEE).fields,
    ...(settleBy === undefined ? {} : { switchBy: settleBy }),
  };
  const envelope = signFor(known.signing, command);
  return {
    site: site.id,
    queue: site.queue ?? `site-${site.id}`,
    commandId: command.id,
    page: { commands: [{ site: site.id, commandId: command.id, envelope }] },
    issuedAt: now,
    ...(settleBy === undefined ? {} : { settleBy }),
  };
}

function patienceOf(input: ShardInput, site: OutlineSite): number {
  if (input.settleWithin !== 'link') return input.settleWithin;
  const link = input.links[site.link];
  if (!link) throw new TypeError(`site ${site.id} has no link class`);
  return link.settleWithin;
}
