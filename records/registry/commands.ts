/** What was commanded, what is not settled, and how each site of a rollout stands. */
import type { SiteState } from '../../policies/model/command.js';
import type { EvidenceKey } from '../../policies/model/evidence.js';
import type { SiteOutcome } from '../../policies/model/rollout.js';
import { commandedSites, type CommandFacts } from './command-facts.js';
import { CommandLedger, newFacts, saveFacts } from './command-ledger.js';
import { factsOf } from './command-rows.js';
import { appendDrafts, keyedDrafts } from './evidence-log.js';
import type { ChangingMember, CommandedRow, CommandedSite, Registry } from './registry.js';
import type { Db, Tx } from './tables.js';

const SITES_AT_ONCE = 500;

export async function recordCommanded(db: Db, firstRunId: string, rows: CommandedRow[], now: number): Promise<void> {
  await db.transaction().execute((tx) => saveCommanded(tx, firstRunId, rows, now));
}

/** `changing`: who of these groups may be changing, read in the transaction that is given. */
export async function commandClearOfMates(
  db: Db,
  firstRunId: string,
  rows: Parameters<Registry['commandClearOfMates']>[1],
  changing: (tx: Tx, groups: string[]) => Promise<ChangingMember[]>,
  now: number,
): Promise<{ site: string; mate: ChangingMember }[]> {
  const groups = [...new Set(rows.flatMap(({ group }) => group ?? []))];
  return db.transaction().execute(async (tx) => {
    const members = await changing(tx, groups);
    const leftOut = rows.flatMap(({ site, group }) => {
      // What the site itself has in flight is no reason: it takes one command at a time.
      const mate = members.find((member) => member.group === group && member.site !== site);
      return mate ? [{ site, mate }] : [];
    });
    const out = new Set(leftOut.map(({ site }) => site));
    const clear = rows.filter(({ site }) => !out.has(site));
    await saveCommanded(tx, firstRunId, clear, now);
    return leftOut;
  });
}

const KEPT = new Set<SiteOutcome['outcome']>(['deferred', 'untouched']);

async function saveCommanded(tx: Tx, firstRunId: string, rows: CommandedRow[], now: number): Promise<void> {
  const ledger = new CommandLedger();
  await ledger.load(
    tx,
    rows.map((row) => row.commandId),
  );
  for (const { site, stage, wave, verb, commandId, switchBy, carrier } of rows) {
    const facts = ledger.touch(commandId, () => newFacts(firstRunId, site, commandId, { stage, wave }, now));
    Object.assign(facts, { stage, wave, verb, scheduledAt: facts.scheduledAt ?? now });
    // It was kept from it before, and may begin from here on: its redundancy group waits for it as for any other.
    if (facts.disposition && KEPT.has(facts.disposition.outcome)) delete facts.disposition;
    if (switchBy !== undefined) facts.switchBy = switchBy;
    if (carrier !== undefined) facts.carrier = carrier;
  }
  await ledger.save(tx, now);
}

type Dispositions = { site: string; commandId: string; outcome: SiteOutcome }[];

export async function recordDispositions(db: Db, key: EvidenceKey, rows: Dispositions, now: number): Promise<void> {
  await db.transaction().execute((tx) => saveDispositions(tx, key, rows, now));
}

/** A result is never replaced by a disposition; of dispositions the latest counts. */
export async function saveDispositions(tx: Tx, key: EvidenceKey, rows: Dispositions, now: number): Promise<void> {
  const { firstRunId } = key;
  const known = await loadSites(
    tx,
    firstRunId,
    rows.map((row) => row.site),
  );
  const byCommand = new Map(known.map((facts) => [`${facts.site}/${facts.commandId}`, facts]));
  const touched = new Set<CommandFacts>();
  const drafts = rows.map(({ site, commandId, outcome }) => {
    const facts = byCommand.get(`${site}/${commandId}`) ?? newFacts(firstRunId, site, commandId, outcome, now);
    byCommand.set(`${site}/${commandId}`, facts);
    const settled = facts.result !== undefined || facts.later !== undefined;
    if (!settled) touched.add(Object.assign(facts, { disposition: outcome, recordedAt: now }));
    return { kind: 'disposition', data: { site, commandId, outcome, counted: !settled } };
  });
  await saveFacts(tx, [...touched], now);
  await appendDrafts(tx, keyedDrafts(key, 'dispositions', drafts), now);
}

export async function recordState(db: Db, firstRunId: string, site: string, state: SiteState | null): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const known = await loadSites(tx, firstRunId, [site]);
    const order = (a: CommandFacts, b: CommandFacts): number =>
      Number(a.verb === 'revert') - Number(b.verb === 'revert') || a.try - b.try;
    const latest = known.toSorted(order).at(-1);
    if (latest === undefined || latest.result !== undefined) return;
    latest.state = state;
    await saveFacts(tx, [latest], latest.recordedAt);
  });
}

export async function commanded(db: Db, firstRunId: string, stage?: string): Promise<CommandedSite[]> {
  return commandedSites(await loadRollout(db, firstRunId), stage);
}

export async function revertedStages(db: Db, firstRunId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('commands')
    .select('stage')
    .distinct()
    .where('first_run_id', '=', firstRunId)
    .where('verb', '=', 'revert')
    .orderBy('stage')
    .execute();
  return rows.map(({ stage }) => stage);
}

async function loadRollout(db: Db, firstRunId: string): Promise<CommandFacts[]> {
  const rows = await db.selectFrom('commands').selectAll().where('first_run_id', '=', firstRunId).execute();
  return rows.map(factsOf);
}

async function loadSites(tx: Tx, firstRunId: string, sites: string[]): Promise<CommandFacts[]> {
  const unique = [...new Set(sites)];
  const known: CommandFacts[] = [];
  for (let from = 0; from < unique.length; from += SITES_AT_ONCE) {
    const rows = await tx
      .selectFrom('commands')
      .selectAll()
      .where('first_run_id', '=', firstRunId)
      .where('site', 'in', unique.slice(from, from + SITES_AT_ONCE))
      .execute();
    known.push(...rows.map(factsOf));
  }
  return known;
}
