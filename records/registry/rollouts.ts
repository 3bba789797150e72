/** Rollouts as they last said they stand, and how they are found. */
import { commandIdOf } from '../../policies/model/command-id.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import { saveFacts, scheduled, UNKNOWN_PLACE } from './command-ledger.js';
import { adoptGenerations } from './generations.js';
import { takeBack } from './hand-over.js';
import { rolloutRow } from './rollout-row.js';
import { restandRollout } from './standing.js';
import { fromText, toText } from './text.js';
import type { Db, RolloutRow, Tx } from './tables.js';

/** An older status never replaces a newer one, whichever activity ends first. */
export async function putStatus(db: Db, status: RolloutStatus): Promise<void> {
  await db.transaction().execute((tx) => saveStatus(tx, status));
}

export async function saveStatus(tx: Tx, status: RolloutStatus): Promise<void> {
  const told = {
    updated_at: status.updatedAt,
    sealed: status.state === 'sealed' ? 1 : 0,
    status: toText(status),
  };
  const known = await rolloutRow(tx, status.firstRunId);
  if (known === undefined) {
    await tx
      .insertInto('rollouts')
      .values({ ...unfrozen(status), ...told })
      .execute();
    // The registry may have been restored to an earlier point while the rollout went on.
    if (status.generation > 0) await adoptGenerations(tx, new Map([[status.stream, status.generation + 1]]));
    await restandRollout(tx, status.firstRunId, status.updatedAt);
  } else if (isNews(known, status)) {
    // Label and generation of a frozen rollout are the registry's own; before, they are what the rollout says.
    const { namespace, namespace_id } = known;
    const named = known.attempt === 0 ? { ...unfrozen(status), ...told, namespace, namespace_id } : told;
    await tx.updateTable('rollouts').set(named).where('first_run_id', '=', status.firstRunId).execute();
    if (status.state !== 'sealed') await takeBack(tx, status.firstRunId, status.updatedAt);
  }
  await recordUndo(tx, status);
}

/** Of two that were told in the same moment the seal stays: what is written late must not undo it. */
function isNews(known: RolloutRow, status: RolloutStatus): boolean {
  if (known.status === null || known.updated_at < status.updatedAt) return true;
  return known.updated_at === status.updatedAt && (known.sealed === 0 || status.state === 'sealed');
}

/**
 * An undo does not wait for the registry. What it could not record then, the rollout tells again with its status, and it
 * is owed from here on.
 */
async function recordUndo(tx: Tx, { firstRunId, stream, owedReverts, updatedAt }: RolloutStatus): Promise<void> {
  if (owedReverts.length === 0) return;
  const rows = await tx
    .selectFrom('commands')
    .select(['site', 'verb', 'stage', 'wave'])
    .where('first_run_id', '=', firstRunId)
    .execute();
  const known = new Set(rows.filter(({ verb }) => verb === 'revert').map(({ site }) => site));
  const places = new Map(rows.map(({ site, stage, wave }) => [site, { stage, wave }]));
  const missing = owedReverts.filter((site) => !known.has(site));
  const facts = missing.map((site) => {
    const commandId = commandIdOf({ firstRunId, site, stream, verb: 'revert', try: 1 });
    return scheduled(firstRunId, site, commandId, places.get(site) ?? UNKNOWN_PLACE, updatedAt);
  });
  await saveFacts(tx, facts, updatedAt);
}

function unfrozen(status: RolloutStatus): Omit<RolloutRow, 'updated_at' | 'sealed' | 'status'> {
  return {
    first_run_id: status.firstRunId,
    workflow_id: status.workflowId,
    label: status.label,
    stream: status.stream,
    version: status.release.version,
    attempt: 0,
    generation: status.generation,
    plan_digest: status.planDigest,
    started_at: status.startedAt,
    digest: status.release.digest,
    catch_up_of: null,
    narrowed: null,
    handed_outcome: null,
    handed_over: null,
    namespace: null,
    namespace_id: null,
  };
}

export async function findRollout(db: Db, reference: string): Promise<RolloutStatus | undefined> {
  const named = await latestFirst(db)
    .where((eb) =>
      eb.or([eb('first_run_id', '=', reference), eb('label', '=', reference), eb('workflow_id', '=', reference)]),
    )
    .executeTakeFirst();
  const row = named ?? (await latestFirst(db).where('stream', '=', reference).executeTakeFirst());
  return row && statusOf(row);
}

/** What is running comes first: a stream or a workflow id that was used again means the rollout in motion. */
function latestFirst(db: Db) {
  return db
    .selectFrom('rollouts')
    .select('status')
    .where('status', 'is not', null)
    .orderBy('sealed')
    .orderBy('started_at', 'desc')
    .orderBy('generation', 'desc')
    .limit(1);
}

export async function rollouts(
  db: Db,
  filter: { stream?: string; running?: boolean; limit?: number } = {},
): Promise<RolloutStatus[]> {
  let query = db
    .selectFrom('rollouts')
    .select('status')
    .where('status', 'is not', null)
    .orderBy('started_at', 'desc')
    .orderBy('generation', 'desc');
  if (filter.stream !== undefined) query = query.where('stream', '=', filter.stream);
  if (filter.running !== undefined) query = query.where('sealed', '=', filter.running ? 0 : 1);
  if (filter.limit !== undefined) query = query.limit(filter.limit);
  return (await query.execute()).map(statusOf);
}

function statusOf(row: { status: string | null }): RolloutStatus {
  return fromText<RolloutStatus>(row.status ?? 'null');
}
