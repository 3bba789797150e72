/**
 * What is known of one command, and what a further fact makes of it. Pure, and the same whatever order the facts come
 * in: through an observer, through the inbox, twice, or late.
 */
import type { Result, SiteState, Verb } from '../../policies/model/command.js';
import type { SiteEvent } from '../../policies/model/report.js';
import type { SiteOutcome } from '../../policies/model/rollout.js';
import { REASONS, type ReasonCode } from '../../policies/model/reasons.js';
import type { CommandedSite, SiteRow } from './registry.js';

/** How a site ended up: a result, or a local revert after it. */
export type Ending = Pick<Result, 'result' | 'at' | 'cause' | 'reason' | 'changed'>;

export interface CommandFacts {
  firstRunId: string;
  site: string;
  commandId: string;
  verb: Verb;
  try: number;
  stage: string;
  wave: number;
  switchBy?: number;
  scheduledAt?: number;
  /** null: never received. */
  state?: SiteState | null;
  /** Final for the command. */
  result?: Result;
  /** The site reverted by itself after it had confirmed. */
  later?: Ending;
  disposition?: SiteOutcome;
  /** Workflow id of the shard that carries it. */
  carrier?: string;
  recordedAt: number;
}

/** What a result was, to what was known: it ended the command, moved its outcome, was known, or contradicts it. */
export type Arrival = 'first' | 'moved' | 'known' | 'contradiction';

const COMMAND_ID = /^([\w.:-]+)\/([\w.-]+)\/([\w.-]+)\/(converge|revert)\/(\d{1,9})$/;

/** The parts of `<first run id>/<site>/<stream>/<verb>/<try>`, or undefined if it is no such id. */
export function readCommandId(
  commandId: string,
): { firstRunId: string; site: string; stream: string; verb: Verb; try: number } | undefined {
  const found = COMMAND_ID.exec(commandId);
  if (found === null) return undefined;
  const [, firstRunId = '', site = '', stream = '', verb, tries] = found;
  return { firstRunId, site, stream, verb: verb as Verb, try: Number(tries) };
}

/** Adds a journaled result to what is known. What is final stays: a contradiction changes nothing. */
export function addResult(facts: CommandFacts, arrived: Result): Arrival {
  const known = facts.result;
  if (known === undefined) {
    facts.result = arrived;
    // Without a result there can be a later revert: the outcome was told by then.
    return facts.later === undefined ? 'first' : 'known';
  }
  if (known.result === arrived.result || facts.later?.result === arrived.result) return 'known';
  if (facts.verb !== 'converge' || facts.later !== undefined) return 'contradiction';
  if (known.result === 'confirmed' && isUndone(arrived)) {
    facts.later = endingOf(arrived);
    return 'moved';
  }
  if (arrived.result === 'confirmed' && isUndone(known)) {
    facts.result = arrived;
    facts.later = endingOf(known);
    return 'known';
  }
  return 'contradiction';
}

/** Adds an event that carries no result: only a site that went back by itself says something of a command. */
export function addLocalRevert(facts: CommandFacts, event: SiteEvent): Arrival {
  const ending = endingOfEvent(event);
  if (ending === undefined || facts.verb !== 'converge') return 'known';
  if (facts.later !== undefined || (facts.result !== undefined && facts.result.result !== 'confirmed')) return 'known';
  facts.later = ending;
  return 'moved';
}

function isUndone(ending: Ending): boolean {
  return ending.result === 'reverted' || ending.result === 'safe-mode';
}

function endingOf({ result, at, cause, reason, changed }: Result): Ending {
  return { result, at, changed, ...(cause && { cause }), ...(reason && { reason }) };
}

const CAUSES = ['check', 'deadline', 'boot', 'person', 'switch', 'uplink'] as const;

function endingOfEvent({ kind, at, detail }: SiteEvent): Ending | undefined {
  if (kind !== 'reverted' && kind !== 'safe-mode') return undefined;
  const cause = CAUSES.find((word) => word === detail['cause']);
  const reason = readReason(detail['reason']) ?? readReason(detail);
  return { result: kind, at, changed: true, ...(cause && { cause }), ...(reason && { reason }) };
}

function readReason(value: unknown): { code: ReasonCode; detail: string } | undefined {
  if (typeof value !== 'object' || value === null || !('code' in value)) return undefined;
  const { code } = value;
  if (typeof code !== 'string' || !Object.hasOwn(REASONS, code)) return undefined;
  const detail = 'detail' in value && typeof value.detail === 'string' ? value.detail : '';
  return { code: code as ReasonCode, detail };
}

/** What one command makes of its site; undefined while there is neither result nor disposition. */
export function outcomeOf(facts: CommandFacts): SiteOutcome | undefined {
  const { site, stage, wave } = facts;
  const ending = facts.later ?? facts.result;
  if (ending === undefined) return facts.disposition && { ...facts.disposition, site };
  const { result: outcome, at, cause, reason } = ending;
  return { site, outcome, stage, wave, at, ...(cause && { cause }), ...(reason && { reason }) };
}

/** The rows of a rollout, one a site that has an outcome, ordered by site. */
export function siteRowsOf(commands: CommandFacts[]): SiteRow[] {
  return [...bySite(commands).values()].flatMap((ofSite) => siteRowOf(ofSite) ?? []);
}

/** Every site with a scheduled converge, ordered by site; with `stage`, only of that stage. */
export function commandedSites(commands: CommandFacts[], stage?: string): CommandedSite[] {
  return [...bySite(commands).values()].flatMap((ofSite) => {
    const converges = ofSite.filter((facts) => facts.verb === 'converge' && facts.scheduledAt !== undefined);
    const converge = converges.findLast((facts) => stage === undefined || facts.stage === stage);
    if (converge === undefined) return [];
    const { site, wave, commandId, switchBy, state } = converge;
    const row = siteRowOf(ofSite);
    const known = { ...(switchBy !== undefined && { switchBy }), ...(state !== undefined && { state }) };
    return [{ site, stage: converge.stage, wave, commandId, ...known, ...(row && { outcome: plainOutcome(row) }) }];
  });
}

/** Commands of each site in the order of (generation, try): a rollout's reverts carry the higher generation. */
export function bySite(commands: CommandFacts[]): Map<string, CommandFacts[]> {
  const order = (a: CommandFacts, b: CommandFacts): number =>
    compare(a.site, b.site) || Number(a.verb === 'revert') - Number(b.verb === 'revert') || a.try - b.try;
  const grouped = new Map<string, CommandFacts[]>();
  for (const facts of commands.toSorted(order)) {
    const ofSite = grouped.get(facts.site);
    if (ofSite === undefined) grouped.set(facts.site, [facts]);
    else ofSite.push(facts);
  }
  return grouped;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function siteRowOf(ofSite: CommandFacts[]): SiteRow | undefined {
  const last = ofSite.findLast((facts) => outcomeOf(facts) !== undefined);
  if (last === undefined) return undefined;
  const told = undoneBefore(ofSite, last) ?? last;
  const outcome = outcomeOf(told);
  if (outcome === undefined) return undefined;
  const { commandId, verb, recordedAt } = last;
  const first = told.later && told.result && { result: told.result.result, at: told.result.at };
  const newest = ofSite.at(-1);
  const pending = newest !== last && newest !== undefined ? pendingOf(newest) : undefined;
  return { ...outcome, commandId, verb, recordedAt, ...(first && { first }), ...(pending && { pending }) };
}

/** A central revert that changed nothing: the site had gone back by itself, or never switched. Its own reason stays. */
function undoneBefore(ofSite: CommandFacts[], last: CommandFacts): CommandFacts | undefined {
  if (last.verb !== 'revert' || last.result?.result !== 'reverted' || last.result.changed) return undefined;
  return ofSite.findLast((facts) => {
    const ending = facts.verb === 'converge' ? (facts.later ?? facts.result) : undefined;
    if (ending === undefined) return false;
    return ending.result === 'rejected' || (isUndone(ending) && ending.cause !== 'command');
  });
}

function pendingOf({ commandId, verb, state }: CommandFacts): NonNullable<SiteRow['pending']> {
  return { commandId, verb, ...(state !== undefined && { state }) };
}

function plainOutcome({ commandId: _, verb: __, recordedAt: ___, first: ____, pending: _____, ...outcome }: SiteRow) {
  return outcome satisfies SiteOutcome;
}
