/** Every change of a stream's state: one transaction with the event that tells of it, and the results that it ends. */
import type { Command, Result } from '../policies/model/command.js';
import type { SiteEventKind } from '../policies/model/report.js';
import type { Reason } from '../policies/model/verdict.js';
import { beginningOf } from '../policies/site/cut-text.js';
import { nextState, type StreamEvent } from '../policies/site/transitions.js';
import type { SiteContext } from './context.js';
import type { CommandRow, HeldRow, StreamRow } from './store/rows.js';
import type { Store } from './store/store.js';

export interface Advance {
  event: StreamEvent;
  /** What the journal says; absent for a change that another event of the same transaction tells of. */
  journal?: { kind: SiteEventKind; commandId?: string | undefined; detail?: Record<string, unknown>; result?: Result };
  /** The row as it is after the change, its state set already. */
  change?: (row: StreamRow) => StreamRow;
  /** Further writes of the same transaction, before the journal entry. */
  also?: (row: StreamRow) => void;
}

/** Makes the change durable. Throws IllegalTransition, with nothing changed, if the table has no such transition. */
export function advance(context: SiteContext, stream: string, to: Advance): StreamRow {
  const { store } = context;
  return store.transact(() => {
    const before = store.stream(stream);
    const moved = { ...before, state: nextState(before.state, to.event) };
    const after = to.change ? to.change(moved) : moved;
    store.putStream(after);
    to.also?.(after);
    if (to.journal) journal(context, stream, to.journal);
    return after;
  });
}

/** Appends to the journal; a result ends its command, for good. Inside a transaction. */
export function journal(context: SiteContext, stream: string, entry: NonNullable<Advance['journal']>): void {
  const { kind, commandId, detail = {}, result } = entry;
  if (result) keepResult(context, result);
  context.store.append({
    kind,
    stream,
    detail,
    ...(commandId === undefined ? {} : { commandId }),
    ...(result === undefined ? {} : { result }),
  });
}

function keepResult({ store }: SiteContext, result: Result): void {
  const row = store.command(result.commandId);
  if (!row) return;
  store.putCommand(row.result ? { ...row, later: result } : { ...row, result });
}

export type ResultWords = Pick<Result, 'result' | 'changed'> & {
  cause?: Result['cause'] | undefined;
  reason?: Reason | undefined;
  live?: HeldRow | undefined;
  switchedAt?: number | undefined;
  previous?: Result | undefined;
};

export function resultOf(context: SiteContext, command: Command, words: ResultWords): Result {
  const { result, changed, cause, reason, live, switchedAt, previous } = words;
  return {
    commandId: command.id,
    site: context.site,
    stream: command.stream,
    verb: command.verb,
    generation: command.generation,
    try: command.try,
    result,
    at: context.clock.now(),
    changed,
    ...(cause === undefined ? {} : { cause }),
    ...(reason === undefined ? {} : { reason }),
    ...(live === undefined ? {} : { live: { version: live.version, digest: live.digest } }),
    ...(switchedAt === undefined ? {} : { switchedAt }),
    ...(previous === undefined ? {} : { previous: withoutPrevious(previous) }),
  };
}

/** Results do not nest: a revert of a revert would otherwise grow without end. */
function withoutPrevious({ previous: _, ...result }: Result): Result {
  return result;
}

/** What is live: the release on trial from its switch on, else the one confirmed last. */
export function liveRelease({ store }: SiteContext, row: StreamRow): HeldRow | undefined {
  if (row.trial && row.state !== 'switching' && row.state !== 'accepted' && row.state !== 'staged') {
    return store.held(row.trial.releaseId);
  }
  return store.confirmed(row.stream)[0];
}

/** What is live as soon as nothing is under way any more: also what an undo left stranded. */
export function liveAtRest(context: SiteContext, row: StreamRow): HeldRow | undefined {
  return liveRelease(context, row.state === 'accepted' || row.state === 'staged' ? { ...row, state: 'rejected' } : row);
}

export function commandUnderWay(store: Store, { commandId }: StreamRow): CommandRow | undefined {
  return commandId === undefined ? undefined : store.command(commandId);
}

/** The row with nothing under way. */
export function atRest(row: StreamRow): StreamRow {
  const { commandId: _command, beforeBegun: _before, stagedId: _staged, trial: _trial, ...rest } = row;
  return rest;
}

/** Ends the command under way, with nothing switched, and lets go of what was staged for it. May be part of a transaction. */
export function rejectPending(context: SiteContext, { command }: CommandRow, reason: Reason): void {
  const { store } = context;
  const row = store.stream(command.stream);
  const live = liveRelease(context, row);
  const result = resultOf(context, command, { result: 'rejected', changed: false, reason, live });
  advance(context, command.stream, {
    event: 'reject',
    change: ended,
    also: () => dropStaged(context, row.stagedId),
    journal: { kind: 'rejected', commandId: command.id, detail: { reason }, result },
  });
}

/** At rest; a trial that an earlier undo left stranded stays on the books. */
export function ended(row: StreamRow): StreamRow {
  return { ...atRest(row), ...(row.trial ? { trial: row.trial } : {}) };
}

export function dropStaged(context: SiteContext, stagedId: number | undefined): void {
  if (stagedId === undefined) return;
  context.store.dropHeld(stagedId);
  context.untidy = true;
}

/** A message may repeat all that was wrong with a release, or a whole script; it goes with a result, which nothing else cuts. */
const LONGEST_MESSAGE = 2_000;

export function messageOf(error: unknown): string {
  return beginningOf(error instanceof Error ? error.message : String(error), LONGEST_MESSAGE);
}
