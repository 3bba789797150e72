/** What was commanded, what is not settled, and how each site of a rollout stands. */
import type { SiteState } from '../../policies/model/command.js';
import type { EvidenceKey } from '../../policies/model/evidence.js';
import type { SiteOutcome } from '../../policies/model/rollout.js';
import { commandedSites, type CommandFacts } from './command-facts.js';
import { CommandLedger, newFacts, saveFacts } from './command-ledger.js';
import { factsOf } from './command-rows.js';
import { appendDrafts, keyedDrafts } from './evidence-log.js';
import type { CommandedSite, Registry } from './registry.js';
import type { Db, Tx } from './tables.js';

const SITES_AT_ONCE = 500;

export async function recordCommanded(
  db: Db,
  firstRunId: string,
  rows: Parameters<Registry['recordCommanded']>[1],
  now: number,
): Promise<void> {
  const ids = rows.map((row) => row.commandId);
  await db.transaction().execute(async (tx) => {
    const ledger = new CommandLedger();
    await ledger.load(tx, ids);
    for (const { site, stage, wave, verb, commandId, switchBy, carrier } of rows) {
      const facts = ledger.touch(commandId, () => newFacts(firstRunId, site, commandId, { stage, wave }, now));
      Object.assign(facts, { stage, wave, verb, scheduledAt: facts.scheduledAt ?? now });
      if (switchBy !== undefined) facts.switchBy = switchBy;
      if (carrier !== undefined) facts.carrier = carrier;
    }
    await ledger.save(tx, now);
  });
}

/** A result is never replaced by a disposition; of dispositions the latest counts. */
export async function recordDispositions(
  db: Db,
  key: EvidenceKey,
  rows: { site: string; commandId: string; outcome: SiteOutcome }[],
  now: number,
): Promise<void> {
  const { firstRunId } = key;
  await db.transaction().execute(async (tx) => {
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
  });
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
