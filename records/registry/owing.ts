/**
 * What the commands of one rollout to one site come to: what it still owes, whether it keeps the release, how it stands.
 * Pure, and the same in whatever order the facts came in.
 */
import type { ReasonCode } from '../../policies/model/reasons.js';
import type { Reason } from '../../policies/model/verdict.js';
import { siteRowsOf, type CommandFacts } from './command-facts.js';
import { stateText } from './command-rows.js';
import type { DebtRow, RolloutRow, StandingRow } from './tables.js';

export type Owed = Omit<DebtRow, 'owner' | 'since'> & { since: number };

/** `ofSite` in the order of (generation, try). At most one debt: a revert takes the place of what it undoes. */
export function owedOf(ofSite: CommandFacts[], rollout: RolloutRow): Owed | undefined {
  const revert = openRevert(ofSite);
  if (revert !== undefined) {
    const { state, scheduledAt, recordedAt } = revert;
    const code = state === undefined ? 'COMMANDED' : codeOfState(state);
    const reason = revert.disposition?.reason ?? reasonOf(code, 'the undo has not been answered');
    return owed(revert, rollout, reason, rollout.generation + 1, scheduledAt ?? recordedAt);
  }
  const converge = openConverge(ofSite, rollout);
  if (converge === undefined) return undefined;
  const state = converge.state ?? converge.disposition?.state ?? null;
  const reason = converge.disposition?.reason ?? reasonOf(codeOfState(state), 'the release has not been answered');
  return owed(converge, rollout, reason, rollout.generation, converge.recordedAt);
}

/**
 * An undo ends with a result of any revert of the rollout, whatever it says: nothing more will ever come of that id. Only
 * `superseded` leaves it to the later try that took its place. What an agent refused without taking it in is no result.
 */
function openRevert(ofSite: CommandFacts[]): CommandFacts | undefined {
  const reverts = ofSite.filter(isUndo);
  const latest = reverts.at(-1);
  if (latest === undefined || latest.result !== undefined) return undefined;
  return reverts.some(({ result }) => result !== undefined && result.result !== 'superseded') ? undefined : latest;
}

/** An undo is issued with the registry down as well: then its disposition is the first that is heard of it. */
function isUndo({ verb, scheduledAt, disposition }: CommandFacts): boolean {
  if (verb !== 'revert') return false;
  return scheduledAt !== undefined || disposition?.outcome === 'owed' || disposition?.outcome === 'deferred';
}

/** What a rollout that was not promoted did not bring, nobody owes any more. */
function openConverge(ofSite: CommandFacts[], rollout: RolloutRow): CommandFacts | undefined {
  if (rollout.handed_outcome !== null && rollout.handed_outcome !== 'promoted') return undefined;
  if (ofSite.some(isUndo)) return undefined;
  const converges = ofSite.filter((facts) => facts.verb === 'converge');
  const latest = converges.at(-1);
  if (latest === undefined || latest.result !== undefined || latest.later !== undefined) return undefined;
  if (converges.some(({ result }) => result?.result === 'confirmed')) return undefined;
  const word = latest.disposition?.outcome;
  if (word === 'owed' || word === 'deferred') return latest;
  // Who was commanded and has not answered owes what was promoted, whoever forgot to say so.
  return rollout.handed_outcome === 'promoted' && latest.scheduledAt !== undefined ? latest : undefined;
}

function owed(facts: CommandFacts, rollout: RolloutRow, reason: Reason, generation: number, since: number): Owed {
  const { site, verb, stage, wave, commandId, disposition, carrier } = facts;
  const wasScheduled = facts.scheduledAt !== undefined || verb === 'revert';
  const state = facts.state === undefined ? disposition?.state : facts.state;
  return {
    stream: rollout.stream,
    site,
    verb,
    first_run_id: rollout.first_run_id,
    stage,
    wave,
    generation,
    try: wasScheduled ? facts.try : 0,
    command_id: wasScheduled ? commandId : null,
    carrier: carrier ?? null,
    reason: JSON.stringify(reason),
    since,
    state: stateText(state),
    until: disposition?.outcome === 'deferred' ? (disposition.until ?? null) : null,
  };
}

function codeOfState(state: CommandFacts['state']): ReasonCode {
  return state === null || state === undefined ? 'UNREACHED' : 'NO_RESULT';
}

function reasonOf(code: ReasonCode, detail: string): Reason {
  return { code, detail };
}

/** Whether a site goes on with what a rollout brought that was not promoted: confirmed, and nobody undid it. */
export function keepsRelease(ofSite: CommandFacts[]): boolean {
  if (ofSite.some(isUndo)) return false;
  const ended = ofSite.findLast(({ verb, result, later }) => verb === 'converge' && (result ?? later) !== undefined);
  return ended?.result?.result === 'confirmed' && ended.later === undefined;
}

/** Outcomes after which sites keep what they confirmed: all but *promoted*, after which all of the plan should run it. */
export function isKeeping(outcome: string | null): boolean {
  return outcome !== null && outcome !== 'promoted';
}

/** Whether a converge of the rollout was ever confirmed: no older converge is owed any more. */
export function hasConfirmed(ofSite: CommandFacts[]): boolean {
  return ofSite.some(({ verb, result }) => verb === 'converge' && result?.result === 'confirmed');
}

/** Below this rank a person should look at the site. */
export const PROBLEMS_BELOW = 5;

export function standingOf(ofSite: CommandFacts[]): StandingRow | undefined {
  const latest = ofSite.at(-1);
  if (latest === undefined) return undefined;
  const { firstRunId: first_run_id, site } = latest;
  const row = siteRowsOf(ofSite)[0];
  if (row === undefined) {
    if (ofSite.every(({ scheduledAt }) => scheduledAt === undefined)) return undefined;
    const { stage, wave } = latest;
    return { first_run_id, site, stage, wave, outcome: 'unsettled', rank: PROBLEMS_BELOW, pending: 1 };
  }
  const { stage, wave, outcome, cause, pending } = row;
  return { first_run_id, site, stage, wave, outcome, rank: rankOf(outcome, cause), pending: pending ? 1 : 0 };
}

function rankOf(outcome: string, cause: string | undefined): number {
  if (outcome === 'reverted' && cause === 'command') return PROBLEMS_BELOW + 2;
  const ranked = ['safe-mode', 'reverted', 'rejected', 'owed', 'deferred', 'unsettled', 'superseded'].indexOf(outcome);
  return ranked < 0 ? PROBLEMS_BELOW + 3 : ranked;
}
