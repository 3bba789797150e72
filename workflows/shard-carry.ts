/** Carrying one command to one site, to a result or a disposition (design §4.7). */
import { TimeoutType } from '@temporalio/common';
import {
  ActivityFailure,
  CancellationScope,
  CancelledFailure,
  condition,
  isCancellation,
  TimeoutFailure,
} from '@temporalio/workflow';
import type { IssuedCommand } from '../activities/contract.js';
import type { Settled, SiteState } from '../policies/model/command.js';
import type { SiteOutcome } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { tallyOf } from '../policies/rollout/budget.js';
import { outcomeOf } from '../policies/rollout/outcomes.js';
import { leavesRevertOwed } from '../policies/site/not-taken.js';
import { atSite } from './proxies.js';
import type { Flight } from './messages.js';
import { defer } from './shard-defer.js';
import { refuse } from './shard-refused.js';
import { dispositionOf, linkOf, recordDisposition, tellRollout, type ShardRun } from './shard-run.js';

/** A revert is observed in attempts of this length until the site answers. */
const REVERT_ATTEMPT_MS = 24 * 3_600_000;
/** A result that is on its way when time is up still counts. */
const SETTLE_GRACE_MS = 1_000;

type Attempt =
  | { settled: Settled }
  | { late: 'start' | 'settle'; state: SiteState | null }
  | { cancelled: true; beforeStart: boolean };

export async function carry(run: ShardRun, flight: Flight): Promise<void> {
  const { command } = flight;
  run.inFlight.set(command.site, flight);
  if (flight.hasSlot) run.inSlot += 1;
  let state: SiteState | null = null;
  // Carried over continue-as-new: to observe it again is to schedule it again.
  if (!flight.hasSlot && run.unheard.size > 0 && !(await mayScheduleAgain(run, command))) {
    return endUnsettled(run, command, state);
  }
  for (;;) {
    const attempt = await observe(run, command, flight.hasSlot);
    if (goesOn(run, flight, attempt)) continue;
    if (flight.hasSlot) run.inSlot -= 1;
    flight.hasSlot = false;
    if ('late' in attempt) state = attempt.state ?? state;
    if (isStartTimeout(attempt) && (await mayScheduleAgain(run, command))) continue;
    if (!('settled' in attempt)) return endUnsettled(run, command, state);
    run.inFlight.delete(command.site);
    run.calledOff.delete(command.site);
    return settle(run, command, attempt.settled);
  }
}

/** Whatever was called off at the very moment in which its agent took it up is observed on: it has begun. */
function goesOn(run: ShardRun, flight: Flight, attempt: Attempt): boolean {
  const { site } = flight.command;
  const state = stateSaid(attempt);
  if (state) flight.begun = true;
  if (!run.calledOff.has(site)) return false;
  if (!('cancelled' in attempt && attempt.beforeStart) && !isStartTimeout(attempt)) run.unsure.add(site);
  if (!state || run.stopped || timeLeft(flight.command) <= 0) return false;
  run.calledOff.delete(site);
  return true;
}

function isStartTimeout(attempt: Attempt): boolean {
  return 'late' in attempt && attempt.late === 'start';
}

/** The state in which an agent is known to have it; null: none is known. */
function stateSaid(attempt: Attempt): SiteState | null {
  if ('cancelled' in attempt) return null;
  if ('late' in attempt) return attempt.state;
  return attempt.settled.kind === 'unsettled' ? attempt.settled.state : null;
}

/** No word of it: withdrawn, if that was asked for, else owed. */
function endUnsettled(run: ShardRun, command: IssuedCommand, state: SiteState | null): void {
  const why = run.calledOff.get(command.site);
  run.calledOff.delete(command.site);
  run.inFlight.delete(command.site);
  // Given up meanwhile: its site was retired.
  if (run.outcomes.has(command.site)) return;
  if (!why || run.stopped || state) return leaveOwed(run, command, state);
  defer(run, why);
}

/** As with any new command: nothing is scheduled while the rollout has not answered for a failure of this shard. */
async function mayScheduleAgain(run: ShardRun, command: IssuedCommand): Promise<boolean> {
  const left = timeLeft(command);
  if (run.input.verb === 'converge' && run.unheard.size > 0 && !run.stopped && left > 0) {
    await condition(() => run.unheard.size === 0 || run.stopped || run.calledOff.has(command.site), left);
  }
  return !run.stopped && !run.calledOff.has(command.site) && timeLeft(command) > 0;
}

async function observe(run: ShardRun, command: IssuedCommand, hasSlot: boolean): Promise<Attempt> {
  const scope = new CancellationScope();
  run.observing.set(command.site, scope);
  try {
    const [settled] = await scope.run(() => atSite(patienceFor(run, command, hasSlot)).converge(command.page));
    return settled ? { settled } : { late: 'settle', state: null };
  } catch (error) {
    return readFailure(error, command);
  } finally {
    run.observing.delete(command.site);
  }
}

function patienceFor(run: ShardRun, command: IssuedCommand, hasSlot: boolean) {
  const link = linkOf(run, command.site);
  const { verb, release } = run.input;
  const words = `${verb} ${release.stream}@${release.version} at ${command.site}`;
  const patience = { queue: command.queue, heartbeatMs: link.heartbeat, summary: words };
  if (command.settleBy === undefined) return { ...patience, attemptMs: REVERT_ATTEMPT_MS };
  const left = Math.max(timeLeft(command), 1) + SETTLE_GRACE_MS;
  return {
    ...patience,
    attemptMs: left,
    settleMs: left,
    startWithinMs: hasSlot ? Math.min(link.startWithin, left) : left,
    summary: `${words}, until ${new Date(command.settleBy).toISOString()}`,
  };
}

function readFailure(error: unknown, command: IssuedCommand): Attempt {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  if (isCancellation(error)) return { cancelled: true, beforeStart: wasBeforeStart(cause) };
  if (!(cause instanceof TimeoutFailure)) return { late: 'settle', state: null };
  const state = stateIn(cause.lastHeartbeatDetails, command.commandId);
  return { late: cause.timeoutType === TimeoutType.SCHEDULE_TO_START ? 'start' : 'settle', state };
}

/** As the server says it of an attempt that no worker had; of one before it, that is of no word. */
function wasBeforeStart(cause: Error | undefined): boolean {
  return cause instanceof CancelledFailure && cause.details?.[0] === 'ACTIVITY_ID_NOT_STARTED';
}

function stateIn(details: unknown, commandId: string): SiteState | null {
  if (typeof details !== 'object' || details === null) return null;
  return ((details as Record<string, unknown>)[commandId] as SiteState | undefined) ?? null;
}

function settle(run: ShardRun, command: IssuedCommand, settled: Settled): void {
  if (settled.kind === 'unsettled') return leaveOwed(run, command, settled.state);
  // A site answers for itself: another's result would be final there, and hide the real one.
  if (settled.commandId !== command.commandId || settled.result.site !== command.site) {
    return leaveOwed(run, command, 'accepted');
  }
  if (leavesRevertOwed(settled.result)) return refuse(run, command, settled);
  run.refused.delete(command.site);
  const outcome = outcomeOf(settled.result, run.input.stage, run.input.wave);
  run.outcomes.set(command.site, outcome);
  run.unrecorded.push(settled);
  if (run.input.verb === 'revert') return tellRollout(run, { outcomes: [], answers: [settled.result] });
  if (outcome.outcome === 'confirmed') return;
  // What may exceed the budget is heard of before the next site is commanded.
  if (tallyOf(outcome) === 'failed') run.unheard.add(outcome.site);
  tellRollout(run, { outcomes: [outcome] });
}

/** `state` is the last one that was heartbeated; null means that the command was never received. */
function leaveOwed(run: ShardRun, command: IssuedCommand, state: SiteState | null): void {
  const reason: Reason = state
    ? { code: 'NO_RESULT', detail: `last seen ${state}` }
    : { code: 'UNREACHED', detail: 'the site did not fetch its command' };
  const outcome: SiteOutcome = { ...dispositionOf(run, command.site, 'owed'), reason, state };
  if (command.settleBy !== undefined) outcome.until = command.settleBy;
  run.refused.delete(command.site);
  run.outcomes.set(command.site, outcome);
  recordDisposition(run, outcome);
  if (run.input.verb === 'converge') tellRollout(run, { outcomes: [outcome] });
}

function timeLeft(command: IssuedCommand): number {
  return command.settleBy === undefined ? Infinity : command.settleBy - Date.now();
}
