/** Rollouts: frozen plans, labels and generations, runs, status rows, findings and samples. */
import type { Finding, FrozenPlan } from '../../policies/model/plan.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Sample } from '../../policies/model/verdict.js';
import { fromText, toText } from './text.js';
import type { FrozenRollout } from './registry.js';
import type { Db, RolloutRow, Tx } from './tables.js';

/** Values with few columns, a row each: far below what a statement may bind. */
const ROWS_AT_ONCE = 500;

export async function freeze(
  db: Db,
  frozen: FrozenPlan,
  run: { firstRunId: string; workflowId: string },
  now: number,
): Promise<FrozenRollout> {
  const body = JSON.stringify(frozen);
  return db.transaction().execute(async (tx) => {
    const known = await rolloutRow(tx, run.firstRunId);
    if (known !== undefined && known.attempt > 0) return frozenRollout(known);
    const { digest, release } = frozen.plan;
    await tx
      .insertInto('plans')
      .values({ digest, body, frozen_at: now })
      .onConflict((conflict) => conflict.column('digest').doNothing())
      .execute();
    const generation = await takeTwoGenerations(tx, release.stream);
    const attempt = (await latestAttempt(tx, release.stream, release.version)) + 1;
    const taken = {
      workflow_id: run.workflowId,
      label: `${release.stream}-${release.version}-${attempt}`,
      stream: release.stream,
      version: release.version,
      attempt,
      generation,
      plan_digest: digest,
    };
    const begun = { first_run_id: run.firstRunId, started_at: now, updated_at: now, sealed: 0, status: null };
    await tx
      .insertInto('rollouts')
      .values({ ...begun, ...taken })
      .onConflict((conflict) => conflict.column('first_run_id').doUpdateSet(taken))
      .execute();
    return frozenRollout(taken);
  });
}

function frozenRollout(row: Pick<RolloutRow, 'label' | 'generation' | 'attempt' | 'plan_digest'>): FrozenRollout {
  const { label, generation, attempt, plan_digest: planDigest } = row;
  return { label, generation, attempt, planDigest };
}

/** The update comes first: on a database with several writers it is also what makes a second freeze wait. */
async function takeTwoGenerations(tx: Tx, stream: string): Promise<number> {
  await tx
    .insertInto('streams')
    .values({ stream, next_generation: 1 })
    .onConflict((conflict) => conflict.column('stream').doNothing())
    .execute();
  const { next_generation: next } = await tx
    .updateTable('streams')
    .set((eb) => ({ next_generation: eb('next_generation', '+', 2) }))
    .where('stream', '=', stream)
    .returning('next_generation')
    .executeTakeFirstOrThrow();
  return next - 2;
}

async function latestAttempt(tx: Tx, stream: string, version: string): Promise<number> {
  const row = await tx
    .selectFrom('rollouts')
    .select(({ fn }) => fn.max<number | null>('attempt').as('attempt'))
    .where('stream', '=', stream)
    .where('version', '=', version)
    .executeTakeFirst();
  return row?.attempt ?? 0;
}

export async function frozenPlan(db: Db, planDigest: string): Promise<FrozenPlan | undefined> {
  const row = await db.selectFrom('plans').select('body').where('digest', '=', planDigest).executeTakeFirst();
  return row && (JSON.parse(row.body) as FrozenPlan);
}

export async function recordRun(db: Db, firstRunId: string, continuation: number, runId: string): Promise<string> {
  return db.transaction().execute(async (tx) => {
    await tx
      .insertInto('runs')
      .values({ first_run_id: firstRunId, continuation, run_id: runId })
      .onConflict((conflict) => conflict.columns(['first_run_id', 'continuation']).doNothing())
      .execute();
    const row = await tx
      .selectFrom('runs')
      .select('run_id')
      .where('first_run_id', '=', firstRunId)
      .where('continuation', '=', continuation)
      .executeTakeFirstOrThrow();
    return row.run_id;
  });
}

/** Raises what is lower; `reported` are generations that sites have accepted. */
export async function adoptGenerations(tx: Tx, reported: Map<string, number>): Promise<void> {
  const rows = [...reported].map(([stream, generation]) => ({ stream, next_generation: generation + 1 }));
  if (rows.length === 0) return;
  await tx
    .insertInto('streams')
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .column('stream')
        .doUpdateSet((eb) => ({ next_generation: eb.ref('excluded.next_generation') }))
        .whereRef('streams.next_generation', '<', 'excluded.next_generation'),
    )
    .execute();
}

/** An older status never replaces a newer one, whichever activity ends first. */
export async function putStatus(db: Db, status: RolloutStatus): Promise<void> {
  const told = {
    updated_at: status.updatedAt,
    sealed: status.state === 'sealed' ? 1 : 0,
    status: toText(status),
  };
  await db.transaction().execute(async (tx) => {
    const known = await rolloutRow(tx, status.firstRunId);
    if (known === undefined) {
      await tx
        .insertInto('rollouts')
        .values({ ...unfrozen(status), ...told })
        .execute();
    } else if (known.status === null || known.updated_at <= status.updatedAt) {
      // Label and generation of a frozen rollout are the registry's own; before, they are what the rollout says.
      const named = known.attempt === 0 ? { ...unfrozen(status), ...told } : told;
      await tx.updateTable('rollouts').set(named).where('first_run_id', '=', status.firstRunId).execute();
    }
  });
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
    .orderBy('attempt', 'desc')
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
    .orderBy('attempt', 'desc');
  if (filter.stream !== undefined) query = query.where('stream', '=', filter.stream);
  if (filter.running !== undefined) query = query.where('sealed', '=', filter.running ? 0 : 1);
  if (filter.limit !== undefined) query = query.limit(filter.limit);
  return (await query.execute()).map(statusOf);
}

function statusOf(row: { status: string | null }): RolloutStatus {
  return fromText<RolloutStatus>(row.status ?? 'null');
}

export async function rolloutRow(db: Db, firstRunId: string): Promise<RolloutRow | undefined> {
  return db.selectFrom('rollouts').selectAll().where('first_run_id', '=', firstRunId).executeTakeFirst();
}

export async function putFindings(db: Db, firstRunId: string, findings: Finding[]): Promise<void> {
  const body = toText(findings);
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('findings')
      .values({ first_run_id: firstRunId, body })
      .onConflict((conflict) => conflict.column('first_run_id').doUpdateSet({ body }))
      .execute();
  });
}

export async function findings(db: Db, firstRunId: string): Promise<Finding[]> {
  const row = await db.selectFrom('findings').select('body').where('first_run_id', '=', firstRunId).executeTakeFirst();
  return row ? fromText<Finding[]>(row.body) : [];
}

/** A sample that was taken is never taken again: the first one for a time stays. */
export async function putSamples(
  db: Db,
  firstRunId: string,
  stage: string,
  wave: number,
  samples: Sample[],
): Promise<void> {
  const rows = samples.map((sample) => ({
    first_run_id: firstRunId,
    stage,
    wave,
    metric: sample.metric,
    scheduled_at: sample.scheduledAt,
    body: toText(sample),
  }));
  await db.transaction().execute(async (tx) => {
    for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
      await tx
        .insertInto('samples')
        .values(rows.slice(from, from + ROWS_AT_ONCE))
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
  });
}

export async function samples(
  db: Db,
  firstRunId: string,
  stage?: string,
  wave?: number,
): Promise<(Sample & { stage: string; wave: number })[]> {
  let query = db.selectFrom('samples').selectAll().where('first_run_id', '=', firstRunId);
  if (stage !== undefined) query = query.where('stage', '=', stage);
  if (wave !== undefined) query = query.where('wave', '=', wave);
  const rows = await query.orderBy('scheduled_at').orderBy('stage').orderBy('wave').orderBy('metric').execute();
  return rows.map((row) => ({ ...fromText<Sample>(row.body), stage: row.stage, wave: row.wave }));
}
