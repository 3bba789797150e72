/**
 * What follows from commands that have changed: debts open and close, sites keep or lose what they confirmed, and how
 * each stands is written down to be counted. All is computed anew from everything known of the (rollout, site): a retry
 * or another order of the same facts comes to the same.
 */
import { CATCH_UP } from '../../policies/model/debt.js';
import { bySite, type CommandFacts } from './command-facts.js';
import { factsOf } from './command-rows.js';
import { desiredRowOf, desiredGeneration } from './desired.js';
import { rolloutRow } from './rollout-row.js';
import { hasConfirmed, isKeeping, keepsRelease, owedOf, standingOf } from './owing.js';
import type { DebtRow, RolloutRow, StandingRow, Tx } from './tables.js';

const ROWS_AT_ONCE = 200;

/** `changed` are saved already. */
export async function restand(
  tx: Tx,
  changed: Pick<CommandFacts, 'firstRunId' | 'site'>[],
  now: number,
): Promise<void> {
  const sites = new Map<string, Set<string>>();
  for (const { firstRunId, site } of changed) sites.set(firstRunId, (sites.get(firstRunId) ?? new Set()).add(site));
  for (const firstRunId of [...sites.keys()].toSorted()) {
    const rollout = await rolloutRow(tx, firstRunId);
    const all = [...(sites.get(firstRunId) ?? [])];
    for (let from = 0; from < all.length; from += ROWS_AT_ONCE)
      await restandSites(tx, firstRunId, rollout, all.slice(from, from + ROWS_AT_ONCE), now);
  }
}

/** Of a rollout that became known after its commands. */
export async function restandRollout(tx: Tx, firstRunId: string, now: number): Promise<void> {
  const rows = await tx
    .selectFrom('commands')
    .select('site')
    .distinct()
    .where('first_run_id', '=', firstRunId)
    .execute();
  await restand(
    tx,
    rows.map(({ site }) => ({ firstRunId, site })),
    now,
  );
}

async function restandSites(
  tx: Tx,
  firstRunId: string,
  rollout: RolloutRow | undefined,
  sites: string[],
  now: number,
): Promise<void> {
  const rows = await tx
    .selectFrom('commands')
    .selectAll()
    .where('first_run_id', '=', firstRunId)
    .where('site', 'in', sites)
    .execute();
  const grouped = bySite(rows.map(factsOf));
  await putStandings(
    tx,
    [...grouped.values()].flatMap((ofSite) => standingOf(ofSite) ?? []),
  );
  // Of a rollout that the registry does not know, there is nothing to tell what its commands were for.
  if (rollout === undefined) return;
  await putConverged(tx, rollout, grouped);
  await putDebts(tx, rollout, grouped);
  if (isKeeping(rollout.handed_outcome)) await putKept(tx, rollout, grouped, now);
}

async function putStandings(tx: Tx, rows: StandingRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx
    .insertInto('standings')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['first_run_id', 'site']).doUpdateSet((eb) => ({
        stage: eb.ref('excluded.stage'),
        wave: eb.ref('excluded.wave'),
        outcome: eb.ref('excluded.outcome'),
        rank: eb.ref('excluded.rank'),
        pending: eb.ref('excluded.pending'),
      })),
    )
    .execute();
}

type BySite = Map<string, CommandFacts[]>;

/** A confirmed converge ends what was owed before it, by whichever rollout. */
async function putConverged(tx: Tx, { stream, generation }: RolloutRow, grouped: BySite): Promise<void> {
  const sites = [...grouped].filter(([, ofSite]) => hasConfirmed(ofSite)).map(([site]) => site);
  await goneBeyond(tx, stream, sites, generation);
}

/** The sites have, or had, what was decided in this generation: older converges are owed no more. */
export async function goneBeyond(tx: Tx, stream: string, sites: string[], generation: number): Promise<void> {
  if (sites.length === 0) return;
  await tx
    .insertInto('converged')
    .values(sites.map((site) => ({ stream, site, generation })))
    .onConflict((conflict) =>
      conflict
        .columns(['stream', 'site'])
        .doUpdateSet((eb) => ({ generation: eb.ref('excluded.generation') }))
        .whereRef('converged.generation', '<', 'excluded.generation'),
    )
    .execute();
  await tx
    .deleteFrom('debts')
    .where('stream', '=', stream)
    .where('verb', '=', 'converge')
    .where('site', 'in', sites)
    .where('generation', '<=', generation)
    .execute();
}

async function putDebts(tx: Tx, rollout: RolloutRow, grouped: BySite): Promise<void> {
  const wanted = [...grouped.values()].flatMap((ofSite) => owedOf(ofSite, rollout) ?? []);
  const current = await stillOwed(tx, rollout, wanted);
  const before = await tx
    .selectFrom('debts')
    .selectAll()
    .where('first_run_id', '=', rollout.first_run_id)
    .where('site', 'in', [...grouped.keys()])
    .execute();
  const keyOf = ({ site, verb }: Pick<DebtRow, 'site' | 'verb'>): string => `${site}/${verb}`;
  const open = new Set(current.map(keyOf));
  const since = new Map(before.map((debt) => [keyOf(debt), debt.since]));
  for (const verb of ['converge', 'revert'] as const) {
    const closed = before.filter((debt) => debt.verb === verb && !open.has(keyOf(debt))).map(({ site }) => site);
    if (closed.length > 0) await dropDebts(tx, rollout.first_run_id, verb, closed);
  }
  const owner = rollout.handed_outcome === null ? rollout.first_run_id : CATCH_UP;
  await saveDebts(
    tx,
    current.map((debt) => ({ ...debt, owner, since: Math.min(debt.since, since.get(keyOf(debt)) ?? debt.since) })),
  );
}

async function dropDebts(tx: Tx, firstRunId: string, verb: DebtRow['verb'], sites: string[]): Promise<void> {
  await tx
    .deleteFrom('debts')
    .where('first_run_id', '=', firstRunId)
    .where('verb', '=', verb)
    .where('site', 'in', sites)
    .execute();
}

/** Without converges that the site has confirmed, or that a later decision has replaced. */
async function stillOwed<T extends Pick<DebtRow, 'site' | 'verb' | 'generation'>>(
  tx: Tx,
  rollout: RolloutRow,
  wanted: T[],
): Promise<T[]> {
  const sites = wanted.filter(({ verb }) => verb === 'converge').map(({ site }) => site);
  if (sites.length === 0) return wanted;
  const rows = await tx
    .selectFrom('converged')
    .selectAll()
    .where('stream', '=', rollout.stream)
    .where('site', 'in', sites)
    .execute();
  const reached = new Map(rows.map(({ site, generation }) => [site, generation]));
  const decided = await desiredGeneration(tx, rollout.stream, sites);
  return wanted.filter(({ site, verb, generation }) => {
    if (verb === 'revert') return true;
    return (reached.get(site) ?? 0) < generation && (decided.get(site) ?? 0) <= generation;
  });
}

async function saveDebts(tx: Tx, rows: DebtRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx
    .insertInto('debts')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['stream', 'site', 'verb', 'first_run_id']).doUpdateSet((eb) => ({
        stage: eb.ref('excluded.stage'),
        wave: eb.ref('excluded.wave'),
        generation: eb.ref('excluded.generation'),
        try: eb.ref('excluded.try'),
        command_id: eb.ref('excluded.command_id'),
        carrier: eb.ref('excluded.carrier'),
        owner: eb.ref('excluded.owner'),
        reason: eb.ref('excluded.reason'),
        since: eb.ref('excluded.since'),
        state: eb.ref('excluded.state'),
        until: eb.ref('excluded.until'),
      })),
    )
    .execute();
}

/** Sites that confirmed under a rollout that was sealed otherwise than *promoted* keep what they have. */
export async function putKept(tx: Tx, rollout: RolloutRow, grouped: BySite, now: number): Promise<void> {
  // A batch brings what another rollout had decided: that one is what the site should run, before and after.
  if (rollout.catch_up_of !== null) return;
  const kept = [...grouped].filter(([, ofSite]) => keepsRelease(ofSite));
  const lost = [...grouped.keys()].filter((site) => !kept.some(([keeping]) => keeping === site));
  if (lost.length > 0)
    await tx
      .deleteFrom('desired')
      .where('stream', '=', rollout.stream)
      .where('site', 'in', lost)
      .where('first_run_id', '=', rollout.first_run_id)
      .execute();
  if (kept.length === 0) return;
  const rows = kept.map(([site, ofSite]) => desiredRowOf(rollout, site, ofSite[0]?.stage ?? null, now));
  await tx
    .insertInto('desired')
    .values(rows)
    .onConflict((conflict) => conflict.columns(['stream', 'site', 'first_run_id']).doNothing())
    .execute();
}
