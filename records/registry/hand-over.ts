/** Sealing: what becomes of a rollout's debts, and what its sites should run from now on. */
import { CATCH_UP, type HandedOver } from '../../policies/model/debt.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { RolloutOutcome } from '../../policies/model/rollout.js';
import { bySite } from './command-facts.js';
import { factsOf } from './command-rows.js';
import { countDebts } from './debts.js';
import { desiredRowOf, putDesired, putStreamDesired, streamRowOf } from './desired.js';
import { isKeeping } from './owing.js';
import { frozenPlan } from './plans.js';
import { rolloutRow } from './rollout-row.js';
import { putKept, restand, restandRollout } from './standing.js';
import type { Db, RolloutRow, Tx } from './tables.js';

export async function handOver(db: Db, firstRunId: string, outcome: RolloutOutcome, now: number): Promise<HandedOver> {
  return db.transaction().execute((tx) => handOverWithin(tx, firstRunId, outcome, now));
}

export async function handOverWithin(
  tx: Tx,
  firstRunId: string,
  outcome: RolloutOutcome,
  now: number,
): Promise<HandedOver> {
  const rollout = await rolloutRow(tx, firstRunId);
  if (rollout === undefined) {
    const message = `expected a rollout that the registry knows, got the first run id ${firstRunId}: see \`foothold status\``;
    throw new MistakeError('ROLLOUT_NOT_FOUND', message);
  }
  if (rollout.handed_over !== null) return JSON.parse(rollout.handed_over) as HandedOver;
  // A halted rollout waits for a person: it is not sealed, and goes on owning its debts.
  if (outcome === 'halted') return { stream: rollout.stream, passed: { converge: 0, revert: 0 }, cancelled: 0 };
  const promoted = outcome === 'promoted';
  await tx.updateTable('rollouts').set({ handed_outcome: outcome }).where('first_run_id', '=', firstRunId).execute();
  if (promoted) await oweUnanswered(tx, firstRunId, now);
  const counted = await countDebts(tx, firstRunId);
  const handed: HandedOver = {
    stream: rollout.stream,
    passed: { converge: promoted ? counted.converge : 0, revert: counted.revert },
    cancelled: promoted ? 0 : counted.converge,
  };
  const sealed = { handed_outcome: outcome, handed_over: JSON.stringify(handed) };
  await tx.updateTable('rollouts').set(sealed).where('first_run_id', '=', firstRunId).execute();
  await passDebts(tx, firstRunId, promoted);
  await decideDesired(tx, { ...rollout, ...sealed }, now);
  return handed;
}

/**
 * A rollout that was sealed goes on: it was reset after it had ended. What it owes is its own again, and it decides anew
 * what its sites should run. Until then that is what the others had decided, which its promotion had replaced.
 */
export async function takeBack(tx: Tx, firstRunId: string, now: number): Promise<void> {
  const before = await rolloutRow(tx, firstRunId);
  const taken = await tx
    .updateTable('rollouts')
    .set({ handed_outcome: null, handed_over: null })
    .where('first_run_id', '=', firstRunId)
    .where('handed_outcome', 'is not', null)
    .returning('first_run_id')
    .executeTakeFirst();
  if (!taken) return;
  await tx.deleteFrom('desired').where('first_run_id', '=', firstRunId).execute();
  await tx.deleteFrom('stream_desired').where('first_run_id', '=', firstRunId).execute();
  if (before?.handed_outcome === 'promoted' && before.catch_up_of === null) await decideWithout(tx, before, now);
  await restandRollout(tx, firstRunId, now);
}

/**
 * The others decide again in the order in which they were begun, from the last that spoke for the whole stream; what they
 * had decided and still stands is not changed by it.
 */
async function decideWithout(tx: Tx, { stream, first_run_id }: RolloutRow, now: number): Promise<void> {
  const newestFirst = await tx
    .selectFrom('rollouts')
    .selectAll()
    .where('stream', '=', stream)
    .where('first_run_id', '!=', first_run_id)
    .where('handed_outcome', 'is not', null)
    .where('catch_up_of', 'is', null)
    .orderBy('generation', 'desc')
    .execute();
  const again: RolloutRow[] = [];
  for (const rollout of newestFirst) {
    again.unshift(rollout);
    if (isForAll(rollout) && (await frozenPlan(tx, rollout.plan_digest)) !== undefined) break;
  }
  for (const rollout of again) await decideDesired(tx, rollout, rollout.updated_at);
  for (const rollout of again) await restandRollout(tx, rollout.first_run_id, now);
}

function isForAll({ handed_outcome, attempt, narrowed }: RolloutRow): boolean {
  return handed_outcome === 'promoted' && attempt > 0 && narrowed !== 1;
}

/** What follows from commands without an answer is another thing once their rollout is promoted: they are owed. */
async function oweUnanswered(tx: Tx, firstRunId: string, now: number): Promise<void> {
  const rows = await tx
    .selectFrom('standings')
    .select('site')
    .where('first_run_id', '=', firstRunId)
    .where((eb) => eb.or([eb('outcome', 'in', ['unsettled', 'untouched']), eb('pending', '=', 1)]))
    .execute();
  const unanswered = rows.map(({ site }) => ({ firstRunId, site }));
  await restand(tx, unanswered, now);
}

async function passDebts(tx: Tx, firstRunId: string, promoted: boolean): Promise<void> {
  if (!promoted)
    await tx.deleteFrom('debts').where('first_run_id', '=', firstRunId).where('verb', '=', 'converge').execute();
  const owned = tx.updateTable('debts').set({ owner: CATCH_UP }).where('first_run_id', '=', firstRunId);
  await owned.where('owner', '=', firstRunId).execute();
}

async function decideDesired(tx: Tx, rollout: RolloutRow, now: number): Promise<void> {
  // A batch brings what another rollout had decided, and decides nothing.
  if (rollout.catch_up_of !== null) return;
  if (isKeeping(rollout.handed_outcome)) await keepConfirmed(tx, rollout, now);
  else await desirePlan(tx, rollout, now);
}

async function keepConfirmed(tx: Tx, rollout: RolloutRow, now: number): Promise<void> {
  const rows = await tx.selectFrom('commands').selectAll().where('first_run_id', '=', rollout.first_run_id).execute();
  const grouped = [...bySite(rows.map(factsOf))];
  for (let from = 0; from < grouped.length; from += SITES_AT_ONCE)
    await putKept(tx, rollout, new Map(grouped.slice(from, from + SITES_AT_ONCE)), now);
}

const SITES_AT_ONCE = 200;

/** Every site of the plan should run it, confirmed or not: whatever differs is owed. */
async function desirePlan(tx: Tx, rollout: RolloutRow, now: number): Promise<void> {
  const { stream, generation } = rollout;
  const frozen = await frozenPlan(tx, rollout.plan_digest);
  const stages = frozen?.plan.stages ?? [];
  const rows = stages.flatMap((stage) =>
    stage.waves.flatMap((wave) => wave.sites.map(({ id }) => desiredRowOf(rollout, id, stage.name, now))),
  );
  await putDesired(tx, rows);
  // Without the plan nobody knows whether it was for all: then it speaks for nobody else.
  if (frozen !== undefined && isForAll(rollout)) {
    await putStreamDesired(tx, streamRowOf(rollout, now));
    await tx.deleteFrom('desired').where('stream', '=', stream).where('generation', '<', generation).execute();
    await dropOlder(tx, stream, generation);
    return;
  }
  const sites = rows.map(({ site }) => site);
  for (let from = 0; from < sites.length; from += SITES_AT_ONCE) {
    const some = sites.slice(from, from + SITES_AT_ONCE);
    const older = tx.deleteFrom('desired').where('stream', '=', stream).where('generation', '<', generation);
    await older.where('site', 'in', some).execute();
    await dropOlder(tx, stream, generation, some);
  }
}

/** Converges that an earlier decision left: what the sites should run now is another release. */
async function dropOlder(tx: Tx, stream: string, generation: number, sites?: string[]): Promise<void> {
  let older = tx.deleteFrom('debts').where('stream', '=', stream).where('verb', '=', 'converge');
  if (sites !== undefined) older = older.where('site', 'in', sites);
  await older.where('generation', '<', generation).execute();
}
