/** How commands end, as an observer brings it: results, with the reports and journals that they carry. */
import type { Result, Settled } from '../../policies/model/command.js';
import type { EvidenceDraft, EvidenceKey } from '../../policies/model/evidence.js';
import type { SiteReport } from '../../policies/model/report.js';
import type { Reason } from '../../policies/model/verdict.js';
import { leavesRevertOwed } from '../../policies/site/not-taken.js';
import { readCommandId } from './command-facts.js';
import { addToLedger, CommandLedger, scheduled, UNKNOWN_PLACE } from './command-ledger.js';
import { appendDrafts, keyedDrafts } from './evidence-log.js';
import { recordJournals } from './inbox.js';
import type { Disbelieved, Registry } from './registry.js';
import { recordReports } from './reports.js';
import { hearSpeakers } from './speakers.js';
import type { Db } from './tables.js';

export async function recordSettled(
  db: Db,
  key: EvidenceKey,
  at: { stage: string; wave: number },
  settled: Settled[],
  now: number,
): ReturnType<Registry['recordSettled']> {
  return db.transaction().execute(async (tx) => {
    const ledger = new CommandLedger();
    await ledger.load(tx, settled.flatMap(idsOf));
    const answers = settled.filter((one) => one.kind === 'result').filter(speaksForItself);
    const { refused } = await hearSpeakers(tx, answers, now);
    const because = new Map([...refused].map(([delivery, reason]) => [delivery.report, reason]));
    const drafts = settled.map((one) => settleOne(ledger, key.firstRunId, at, one, because, now));
    await appendDrafts(tx, keyedDrafts(key, 'settled', drafts), now);
    const told = answers.filter((one) => !because.has(one.report));
    await recordReports(
      tx,
      told.map((one) => one.report),
      now,
    );
    const journals = told.map((one) => ({ site: one.result.site, events: one.events }));
    const { fresh } = await recordJournals(tx, ledger, journals, undefined, now);
    return { fresh, disbelieved: answers.flatMap((one) => disbelievedIn(one, because.get(one.report))) };
  });
}

function disbelievedIn({ commandId, result }: Settled & { kind: 'result' }, reason?: Reason): Disbelieved[] {
  return reason === undefined ? [] : [{ site: result.site, commandId, reason }];
}

function idsOf(settled: Settled): string[] {
  const previous = settled.kind === 'result' ? settled.result.previous?.commandId : undefined;
  return previous === undefined ? [settled.commandId] : [settled.commandId, previous];
}

/** A site speaks for its own commands only: a stolen link must not settle another site. */
function speaksForItself(settled: Settled & { kind: 'result' }): boolean {
  const { commandId, result, report } = settled;
  return commandId === result.commandId && isOwn(commandId, result.site) && report.site === result.site;
}

function isOwn(commandId: string, site: string): boolean {
  const read = readCommandId(commandId);
  return read === undefined || read.site === site;
}

function settleOne(
  ledger: CommandLedger,
  firstRunId: string,
  place: { stage: string; wave: number },
  settled: Settled,
  refused: Map<SiteReport, Reason>,
  now: number,
): EvidenceDraft {
  const { commandId } = settled;
  if (settled.kind === 'unsettled') {
    const site = readCommandId(commandId)?.site ?? ledger.get(commandId)?.site;
    if (site !== undefined) {
      const facts = ledger.touch(commandId, () => scheduled(firstRunId, site, commandId, place, now));
      if (facts.result === undefined) facts.state = settled.state;
    }
    return { kind: 'unsettled', data: { commandId, ...place, state: settled.state } };
  }
  const { result, report, events } = settled;
  const last = events.at(-1);
  const journal = last && { epoch: last.epoch, sequence: last.sequence, hash: last.hash };
  const data = { commandId, site: result.site, ...place, result, journal };
  if (!speaksForItself(settled))
    return { kind: 'result', data: { ...data, counted: false, arrival: 'foreign', reportOf: report.site } };
  // Asked before who speaks: whoever refused the undo, it is owed as before, and this may be the first heard of it.
  if (leavesRevertOwed(result)) {
    leaveOwed(ledger, firstRunId, place, result, result.reason, now);
    return { kind: 'result', data: { ...data, counted: false, arrival: 'not-taken' } };
  }
  // Of an agent that does not speak for its site: the site itself still owes its answer.
  const reason = refused.get(report);
  if (reason !== undefined) {
    leaveOwed(ledger, firstRunId, place, result, reason, now);
    return { kind: 'result', data: { ...data, counted: false, arrival: 'refused', reason } };
  }
  const arrival = addToLedger(ledger, firstRunId, place, result, now);
  addPrevious(ledger, firstRunId, result, now);
  return { kind: 'result', data: { ...data, counted: arrival === 'first' || arrival === 'moved', arrival } };
}

/**
 * An undo that the agent did not take in, or an answer of an agent that does not speak for the site: no result of its id,
 * for the same id, sent right, is carried out.
 */
function leaveOwed(
  ledger: CommandLedger,
  firstRunId: string,
  place: { stage: string; wave: number },
  { site, commandId }: Result,
  reason: Reason | undefined,
  now: number,
): void {
  const facts = ledger.touch(commandId, () => scheduled(firstRunId, site, commandId, place, now));
  if (facts.result !== undefined) return;
  const { stage, wave } = facts;
  const tries = facts.try > 1 ? { try: facts.try } : {};
  facts.disposition = { site, outcome: 'owed', stage, wave, state: null, ...tries, ...(reason && { reason }) };
  facts.recordedAt = now;
}

/** A revert's answer repeats the result of the converge that it undid: it may be the only way that result arrives. */
function addPrevious(ledger: CommandLedger, firstRunId: string, { site, previous }: Result, now: number): void {
  if (previous === undefined || previous.site !== site || !isOwn(previous.commandId, site)) return;
  const owner = readCommandId(previous.commandId)?.firstRunId ?? firstRunId;
  addToLedger(ledger, owner, UNKNOWN_PLACE, previous, now);
}
