/** Takes commands in: verified, ordered, durable before the answer (design §4 "Commands are signed", §5 rule 4). */
import { Command, type Envelope, type Result, type SiteState } from '../policies/model/command.js';
import { MistakeError } from '../policies/model/failure.js';
import type { Reason } from '../policies/model/verdict.js';
import { openEnvelope, readUnverified } from '../policies/signing/dsse.js';
import { judgeAddressee, type Addressee } from '../policies/site/judge-addressee.js';
import type { NotTaken } from '../policies/site/not-taken.js';
import { decideAdmission, judgeCommand, type Admission } from '../policies/site/decide-command.js';
import { advance, journal, liveAtRest, liveRelease, resultOf } from './advance.js';
import type { SiteContext } from './context.js';
import { judgeHeldHere } from './holds.js';
import type { CommandRow, StreamRow } from './store/rows.js';
import { isUndoneBy, notLive } from './revert-command.js';
import type { AskedUndo } from './stream-work.js';
import { learnFromCommand } from './trust.js';

/** `wake`: there may be work; `interrupt`: what is under way is to end; `nothing`: it is answered. */
export type Accepted =
  | { kind: 'taken'; command: Command; then: 'wake' | 'interrupt' | 'nothing' }
  /** The disk took nothing: undone all the same, and the command is answered once it can be taken. */
  | { kind: 'unjournaled'; command: Command; asked: AskedUndo; error: unknown }
  /** Never stored: whoever cannot sign as the centre must not decide what an id means. */
  | { kind: 'refused'; result: Result };

/** Throws MistakeError SIGNATURE_INVALID only if not even an id can be read from the envelope. */
export function acceptEnvelope(context: SiteContext, envelope: Envelope): Accepted {
  learnFromCommand(context, envelope);
  const command = openEnvelope(envelope, context.trust.pems);
  if (!command) return refuseUnsigned(context, envelope);
  if (command.site !== context.site) {
    const detail = `the command is for site ${command.site}, this is ${context.site}`;
    return refused(context, command, { code: 'WRONG_SITE', detail });
  }
  const notForThis = judgeAddressee(command, addresseeOf(context)) ?? judgeObserving(context, command);
  if (notForThis) return refused(context, command, notForThis);
  const { fault } = context.storage;
  if (fault && command.verb === 'converge' && !context.store.command(command.id)) {
    return refused(context, command, { code: 'STORAGE_FAULT', detail: fault.detail });
  }
  try {
    const then = context.store.transact(() => take(context, command, envelope));
    context.step('accepted');
    return { kind: 'taken', command, then };
  } catch (error) {
    const asked = undoAllTheSame(context, command, error);
    if (asked === undefined) throw error;
    return { kind: 'unjournaled', command, asked, error };
  }
}

/** The undo that a revert command asks for, if only the disk keeps it from being taken. */
function undoAllTheSame(context: SiteContext, command: Command, error: unknown): AskedUndo | undefined {
  const { clock, storage, store } = context;
  if (command.verb !== 'revert' || storage.note(error, 'a revert command') === undefined) return undefined;
  const row = store.stream(command.stream);
  const live = liveAtRest(context, row);
  if (!live || !isUndoneBy(command, row, live) || judgeCommand(command, row, false) !== 'fresh') return undefined;
  const detail = `rollout ${command.rollout} commanded the undo of ${live.version}`;
  return { live, undo: { cause: 'command', reason: { code: 'COMMANDED', detail }, begunAt: clock.now() } };
}

/** Not taken in: an agent that changes the site again takes the same command as if it had never seen it. */
function judgeObserving(context: SiteContext, command: Command): NotTaken | undefined {
  if (!context.observing) return undefined;
  const what = 'the agent was started with --observe';
  if (command.verb === 'converge') return { code: 'OBSERVING', detail: `${what}: it changes nothing` };
  const row = context.store.stream(command.stream);
  const live = liveRelease(context, row);
  // An undo of what is not live changes nothing anyway, and is answered as ever.
  if (!live || !isUndoneBy(command, row, live)) return undefined;
  return { code: 'OBSERVING', detail: `${what}: ${live.version} stays live` };
}

export function addresseeOf({ store }: SiteContext): Addressee {
  return {
    epoch: store.number('epoch'),
    instance: store.fact('instance'),
    sequence: store.lastEvent()?.sequence ?? 0,
    hashAt: (sequence) => store.eventAt(sequence)?.hash,
  };
}

function take(context: SiteContext, command: Command, envelope: Envelope): 'wake' | 'interrupt' | 'nothing' {
  const { store, clock } = context;
  store.raiseFact('timeFloor', command.issuedAt);
  store.acknowledge(command.ackedThrough);
  const row = store.stream(command.stream);
  const judged = judgeCommand(command, row, store.command(command.id) !== undefined);
  if (judged === 'same') return 'wake';
  const taken: CommandRow = {
    command,
    envelope,
    acceptedAt: clock.now(),
    acceptedElapsed: clock.elapsed(),
    bootId: clock.bootId(),
  };
  store.putCommand(taken);
  if (judged === 'stale') {
    refuseStale(context, command, row);
    return 'nothing';
  }
  store.putStream({ ...row, generation: command.generation, try: command.try });
  const held = command.verb === 'converge' ? judgeHeldHere(context, command.stream) : undefined;
  if (held) {
    refuseAtDoor(context, command, row, held);
    return 'nothing';
  }
  return admit(context, taken);
}

function refuseStale(context: SiteContext, command: Command, row: StreamRow): void {
  const detail =
    `expected a command above generation ${row.generation}, try ${row.try}; ` +
    `got generation ${command.generation}, try ${command.try}`;
  refuseAtDoor(context, command, row, { code: 'STALE', detail });
}

/** Answered for good; what the stream is about stays as it is. */
function refuseAtDoor(context: SiteContext, command: Command, row: StreamRow, reason: Reason): void {
  const live = liveRelease(context, row);
  const result = resultOf(context, command, { result: 'rejected', changed: false, reason, live });
  journal(context, command.stream, { kind: 'rejected', commandId: command.id, detail: { reason }, result });
}

function admit(context: SiteContext, taken: CommandRow): 'wake' | 'interrupt' | 'nothing' {
  const { command } = taken;
  const { id: commandId, stream } = command;
  const row = context.store.stream(stream);
  const admission = admissionOf(context, command, row);
  const detail = { verb: command.verb, generation: command.generation, try: command.try, rollout: command.rollout };
  const entry = { kind: 'accepted', commandId, detail } as const;
  if (admission === 'begin') {
    advance(context, stream, { event: 'accept', change: (after) => ({ ...after, commandId }), journal: entry });
    return 'wake';
  }
  journal(context, stream, entry);
  if (admission === 'answer') {
    const result = notLive(context, taken, liveRelease(context, row));
    journal(context, stream, { kind: 'reverted', commandId, detail: { changed: false }, result });
    return 'nothing';
  }
  if (row.queuedId !== undefined) supersedeQueued(context, row.queuedId, commandId);
  context.store.putStream({ ...row, queuedId: commandId });
  return admission === 'interrupt' ? 'interrupt' : 'wake';
}

function admissionOf(context: SiteContext, command: Command, row: StreamRow): Admission {
  const { store } = context;
  const digests = [row.queuedId, row.commandId].map((id) =>
    id === undefined ? undefined : store.command(id)?.command,
  );
  const pending = digests.find((one) => one?.verb === 'converge' && one.digest === command.digest)?.digest;
  // From its durable switch on a release counts as live, however far the switch has come.
  const trial = row.trial && store.held(row.trial.releaseId);
  const live = trial?.digest === command.digest ? trial : liveRelease(context, row);
  const situation = {
    state: row.state,
    ...(isUndoneBy(command, row, live) ? { live: command.digest } : {}),
    ...(pending ? { pending } : {}),
  };
  return decideAdmission(command, situation, row.queuedId !== undefined);
}

function supersedeQueued(context: SiteContext, queuedId: string, newer: string): void {
  const queued = context.store.command(queuedId);
  if (!queued) return;
  const reason = { code: 'SUPERSEDED', detail: `${newer} was accepted before this one began` } as const;
  const result = resultOf(context, queued.command, { result: 'superseded', changed: false, reason });
  journal(context, queued.command.stream, { kind: 'superseded', commandId: queuedId, result });
}

/** What an unsigned envelope claims is read only to answer the one who sent it. */
function refuseUnsigned(context: SiteContext, envelope: Envelope): Accepted {
  const reason: NotTaken = {
    code: 'SIGNATURE_INVALID',
    detail: 'no control key that this site trusts has signed this command',
  };
  context.log.warn({ site: context.site }, reason.detail);
  const claimed = claimOf(envelope);
  if (!claimed) throw new MistakeError(reason.code, `${reason.detail}, and it is not of the expected form`);
  return refused(context, claimed, reason);
}

function claimOf(envelope: Envelope): Command | undefined {
  try {
    const read = Command.safeParse(readUnverified(envelope));
    return read.success ? read.data : undefined;
  } catch {
    return undefined;
  }
}

function refused(context: SiteContext, command: Command, reason: NotTaken): Accepted {
  const result = resultOf(context, command, { result: 'rejected', changed: false, reason });
  return { kind: 'refused', result: { ...result, site: context.site } };
}

/** Where a command is: its own state, not that of a later one of its stream. */
export function stateOf(context: SiteContext, row: CommandRow): SiteState {
  const stream = context.store.stream(row.command.stream);
  const { result } = row;
  if (!result) return stream.commandId === row.command.id ? stream.state : 'accepted';
  return result.result === 'superseded' ? stream.state : result.result;
}
