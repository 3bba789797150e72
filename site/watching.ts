/** From the switch to the confirmation: samples the checks, and confirms or undoes on their verdict. */
import { advance, atRest, resultOf } from './advance.js';
import { watchChecks } from './checks/watch.js';
import type { SiteContext } from './context.js';
import { CONFIRMED_KEPT } from './files/holdings.js';
import { revertStream } from './revert.js';
import type { HeldRow, Trial } from './store/rows.js';

/** `signal` ends it with nothing decided: a newer command or a person is about to, or the agent stops. */
export async function watchRelease(context: SiteContext, stream: string, signal: AbortSignal): Promise<void> {
  const { trial } = context.store.stream(stream);
  const held = trial && context.store.held(trial.releaseId);
  if (!trial || !held) throw new Error(`stream ${stream} is watching and has no release on trial`);
  const end = await watchChecks({
    release: held.release,
    cwd: context.holdings.directory(held.root),
    switchedElapsed: trial.switchedElapsed,
    // The end of the switch, or the restart of the agent: what was healthy before it proves nothing.
    healthyFrom: context.clock.elapsed(),
    within: trial.within,
    elapsed: () => context.clock.elapsed(),
    onTallies: (tallies) => {
      context.recorder.sampled(context, stream, context.tallies.get(stream) ?? [], tallies);
      context.tallies.set(stream, [...tallies]);
    },
    signal,
  });
  if (end.kind === 'stopped') return;
  if (end.kind === 'confirm') return confirmRelease(context, stream, held, trial);
  const cause = end.code === 'CHECK_FAILED' ? 'check' : 'deadline';
  const undo = { cause, reason: { code: end.code, detail: end.detail }, begunAt: context.clock.now() } as const;
  await revertStream(context, stream, { trial, undo });
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
      store.putHeld({ ...held, confirmedAt: clock.now() });
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
