/** Carrying one command to one site, to a result or a disposition (design §4.7). */
import { TimeoutType } from '@temporalio/common';
import { ActivityFailure, CancellationScope, isCancellation, TimeoutFailure } from '@temporalio/workflow';
import type { IssuedCommand } from '../activities/contract.js';
import type { Settled, SiteState } from '../policies/model/command.js';
import type { LinkClass } from '../policies/model/fleet.js';
import type { SiteOutcome } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { outcomeOf } from '../policies/rollout/outcomes.js';
import { atSite } from './proxies.js';
import { tellRollout, type ShardRun } from './shard-run.js';

/** A revert is observed in attempts of this length until the site answers. */
const REVERT_ATTEMPT_MS = 24 * 3_600_000;
/** A result that is on its way when time is up still counts. */
const SETTLE_GRACE_MS = 1_000;

type Attempt = { settled: Settled } | { late: 'start' | 'settle'; state: SiteState | null } | { cancelled: true };

export async function carry(run: ShardRun, command: IssuedCommand): Promise<void> {
  let hasSlot = true;
  run.inSlot += 1;
  let state: SiteState | null = null;
  for (;;) {
    const attempt = await observe(run, command, hasSlot);
    if ('settled' in attempt) {
      if (hasSlot) run.inSlot -= 1;
      return settle(run, command, attempt.settled);
    }
    if ('late' in attempt) state = attempt.state ?? state;
    if (hasSlot) run.inSlot -= 1;
    hasSlot = false;
    const mayScheduleAgain = 'late' in attempt && attempt.late === 'start' && !run.stopped && timeLeft(command) > 0;
    if (!mayScheduleAgain) return leaveOwed(run, command, state);
    run.withoutSlot.add(command.site);
  }
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
  if (isCancellation(error)) return { cancelled: true };
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  if (!(cause instanceof TimeoutFailure)) return { late: 'settle', state: null };
  const state = stateIn(cause.lastHeartbeatDetails, command.commandId);
  return { late: cause.timeoutType === TimeoutType.SCHEDULE_TO_START ? 'start' : 'settle', state };
}

function stateIn(details: unknown, commandId: string): SiteState | null {
  if (typeof details !== 'object' || details === null) return null;
  return ((details as Record<string, unknown>)[commandId] as SiteState | undefined) ?? null;
}

function settle(run: ShardRun, command: IssuedCommand, settled: Settled): void {
  run.withoutSlot.delete(command.site);
  if (settled.kind === 'unsettled') return leaveOwed(run, command, settled.state);
  // A site answers for itself: another's result would be final there, and hide the real one.
  if (settled.commandId !== command.commandId || settled.result.site !== command.site) {
    return leaveOwed(run, command, 'accepted');
  }
  const outcome = outcomeOf(settled.result, run.input.stage, run.input.wave);
  run.outcomes.set(command.site, outcome);
  run.unrecorded.push(settled);
  if (run.input.verb === 'revert') tellRollout(run, { outcomes: [], answers: [settled.result] });
  else if (settled.result.result !== 'confirmed') tellRollout(run, { outcomes: [outcome] });
}

/** `state` is the last one that was heartbeated; null means that the command was never received. */
function leaveOwed(run: ShardRun, command: IssuedCommand, state: SiteState | null): void {
  run.withoutSlot.delete(command.site);
  const reason: Reason = state
    ? { code: 'NO_RESULT', detail: `last seen ${state}` }
    : { code: 'UNREACHED', detail: 'the site did not fetch its command' };
  const { stage, wave } = run.input;
  const outcome: SiteOutcome = { site: command.site, outcome: 'owed', stage, wave, reason, state };
  if (command.settleBy !== undefined) outcome.until = command.settleBy;
  run.outcomes.set(command.site, outcome);
  run.unrecordedDispositions.push({ site: command.site, commandId: command.commandId, outcome });
  if (run.input.verb === 'converge') tellRollout(run, { outcomes: [outcome] });
}

function timeLeft(command: IssuedCommand): number {
  return command.settleBy === undefined ? Infinity : command.settleBy - Date.now();
}

function linkOf(run: ShardRun, id: string): LinkClass {
  const name = run.input.sites.find((site) => site.id === id)?.link;
  const link = name === undefined ? undefined : run.input.links[name];
  if (!link) throw new TypeError(`site ${id} has no link class`);
  return link;
}
