/** From the switch to the confirmation and for a while after it: samples the checks, and confirms or undoes on their verdict. */
import { switchOf } from '../policies/site/decide-boot.js';
import { healthOf, type CheckTally } from '../policies/site/decide-watch.js';
import { elapsedSince, onThisBoot } from '../policies/site/elapsed.js';
import { advance, atRest, liveRelease, messageOf, resultOf } from './advance.js';
import type { Surroundings } from './checks/probe.js';
import { watchChecks, watchConfirmedChecks } from './checks/watch.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import { endDoubt, tellDoubted } from './doubted.js';
import { CONFIRMED_KEPT } from './files/holdings.js';
import { revertStream } from './revert.js';
import type { Reason } from '../policies/model/verdict.js';
import type { HeldRow, Trial, Undo } from './store/rows.js';
import { probeAllLive } from './task.js';
import { needsUplink, probeUplink } from './uplink.js';

const CAUSES = { CHECK_FAILED: 'check', DEADLINE_PASSED: 'deadline', UPLINK_LOST: 'uplink' } as const;

/** What the checks of a release need of the site; `trial` only from its switch on. */
export function surroundingsOf(context: SiteContext, held: HeldRow, trial?: Trial): Surroundings {
  const { clock, store } = context;
  const answers = trial && {
    of: (check: string) => store.held(held.id)?.answers?.[check],
    askedAt: onThisBoot(switchOf(trial), momentOf(clock)),
    within: trial.within,
  };
  return {
    cwd: context.holdings.directory(held.root),
    now: () => clock.now(),
    elapsed: () => clock.elapsed(),
    ...(answers ? { answers } : {}),
  };
}

/** `signal` ends it with nothing decided: a newer command or a person is about to, or the agent stops. */
export async function watchRelease(context: SiteContext, stream: string, signal: AbortSignal): Promise<void> {
  const { trial } = context.store.stream(stream);
  const held = trial && context.store.held(trial.releaseId);
  if (!trial || !held) throw new Error(`stream ${stream} is watching and has no release on trial`);
  const end = await watchChecks({
    release: held.release,
    around: surroundingsOf(context, held, trial),
    ...(needsUplink(held) ? { echo: (over: AbortSignal) => probeUplink(context, over) } : {}),
    switchedElapsed: onThisBoot(switchOf(trial), momentOf(context.clock)),
    // The end of the switch, or the restart of the agent: what was healthy before it proves nothing.
    healthyFrom: context.clock.elapsed(),
    within: trial.within,
    elapsed: () => context.clock.elapsed(),
    fault: () => context.storage.fault?.detail,
    onMended: (then) => context.storage.onMended(then),
    onTallies: (tallies) => takeTallies(context, held, tallies, 'trial'),
    signal,
  });
  if (end.kind === 'stopped') return;
  if (end.kind === 'confirm') return confirmLive(context, held, trial, signal);
  const cause = CAUSES[end.code];
  const detail = end.code === 'DEADLINE_PASSED' ? `${end.detail}${restartsIn(trial)}` : end.detail;
  const undo = { cause, reason: { code: end.code, detail }, begunAt: context.clock.now() } as const;
  await revertStream(context, stream, { trial, undo });
}

/** A release that was healthy all the time may have had no time left to show it. */
function restartsIn({ restarts }: Trial): string {
  if (restarts === 0) return '';
  return `; the agent was restarted meanwhile (${restarts}), and what was healthy before that proves nothing`;
}

/**
 * An undo that the disk did not let be written down is made all the same, and a process that dies then leaves books that know
 * nothing of it. So what was watched over a restart is confirmed only if it is still what is live.
 */
async function confirmLive(context: SiteContext, held: HeldRow, trial: Trial, signal: AbortSignal): Promise<void> {
  const isLive = context.switched.has(held.id) || (await probeAllLive(context, held));
  // The disk may have failed meanwhile: the watch begins anew, and waits.
  if (signal.aborted || context.storage.fault) return;
  if (isLive) return confirmRelease(context, held.stream, held, trial);
  await revertStream(context, held.stream, { trial, undo: noLongerLive(context, held) });
}

/** Why a release is undone that the books go on watching and that is not what is live. */
export function noLongerLive({ clock }: SiteContext, held: HeldRow): Undo {
  const detail = `${held.version} is no longer what is live here`;
  return { cause: 'boot', reason: { code: 'NOT_LIVE', detail }, begunAt: clock.now() };
}

/** What is live and was confirmed less than `watchFor` ago; undefined: nothing here needs watching. */
export function guardedRelease(context: SiteContext, stream: string): HeldRow | undefined {
  const held = liveRelease(context, context.store.stream(stream));
  if (!held?.confirmed || !hasRequiredCheck(held)) return undefined;
  return elapsedSince(held.confirmed, momentOf(context.clock)) < held.release.watchFor ? held : undefined;
}

/** Something decides about it once it is confirmed. */
export function hasRequiredCheck({ release }: HeldRow): boolean {
  return release.checks.some(({ need }) => need === 'required');
}

/**
 * Checks go on after the confirmation (design §5 rule 7). Returns the reason for an undo, or nothing: `watchFor` is over,
 * or `signal` ended it.
 */
export async function watchConfirmed(
  context: SiteContext,
  held: HeldRow,
  signal: AbortSignal,
): Promise<Reason | undefined> {
  const { clock } = context;
  if (!held.confirmed) return undefined;
  const doubted = held.doubted !== undefined;
  const end = await watchConfirmedChecks({
    release: held.release,
    around: surroundingsOf(context, held),
    confirmedElapsed: onThisBoot(held.confirmed, momentOf(clock)),
    doubted,
    healthyFrom: clock.elapsed(),
    elapsed: () => clock.elapsed(),
    onTallies: (tallies) => {
      takeTallies(context, held, tallies, 'confirmed');
      if (doubted) tellDoubted(context, held, tallies);
    },
    signal,
  });
  if (end.kind === 'well') return watchConfirmed(context, endDoubt(context, held), signal);
  return end.kind === 'undo' ? { code: end.code, detail: end.detail } : undefined;
}

/** What cannot be recorded of a sample is lost alone: an error here would begin the watch anew, with no failure counted. */
function takeTallies(
  context: SiteContext,
  { id: releaseId, stream }: HeldRow,
  tallies: CheckTally[],
  on: 'trial' | 'confirmed',
): void {
  const known = context.tallies.get(stream);
  const before = known?.releaseId === releaseId ? known : { tallies: [], sampledAt: [] };
  const now = context.clock.now();
  const sampledAt = tallies.map((tally, index) => {
    if (healthOf(tally) === 'not sampled') return undefined;
    return tally === before.tallies[index] ? before.sampledAt[index] : now;
  });
  context.tallies.set(stream, { releaseId, tallies: [...tallies], sampledAt });
  try {
    context.recorder.sampled(context, stream, before.tallies, tallies, on);
  } catch (error) {
    context.storage.note(error, 'samples of checks');
    context.log.error({ stream, error: messageOf(error) }, 'samples of checks could not be recorded');
  }
}

function confirmRelease(context: SiteContext, stream: string, held: HeldRow, trial: Trial): void {
  const { store, clock } = context;
  const command = trial.commandId === undefined ? undefined : store.command(trial.commandId)?.command;
  const result =
    command &&
    resultOf(context, command, { result: 'confirmed', changed: true, live: held, switchedAt: trial.switchedAt });
  context.step('confirming');
  advance(context, stream, {
    event: 'confirm',
    change: atRest,
    also: () => {
      store.putHeld({ ...held, confirmedAt: clock.now(), confirmed: momentOf(clock) });
      forgetOld(context, stream, held.id);
      if (command?.allowed) store.liftQuarantine(stream, held.digest);
    },
    journal: { kind: 'confirmed', commandId: trial.commandId, detail: {}, ...(result ? { result } : {}) },
  });
  // What was read back whole is believed for one trial only: disks rot in the months after.
  for (const key of context.verified) if (key.includes(`/releases/${stream}/`)) context.verified.delete(key);
  context.step('confirmed');
}

/** Keeps the last confirmed releases; what was stranded before is settled by this confirmation. */
function forgetOld(context: SiteContext, stream: string, live: number): void {
  const { store } = context;
  context.untidy = true;
  const kept = new Set(
    store
      .confirmed(stream)
      .slice(0, CONFIRMED_KEPT)
      .map((one) => one.id),
  ).add(live);
  for (const one of store.allHeld()) if (one.stream === stream && !kept.has(one.id)) store.dropHeld(one.id);
}
