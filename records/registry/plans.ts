/** Frozen plans, and the label, attempt and generations that freezing takes. */
import type { FrozenPlan } from '../../policies/model/plan.js';
import type { FrozenRollout, Registry } from './registry.js';
import { rolloutRow } from './rollout-row.js';
import type { Db, RolloutRow, Tx } from './tables.js';

export async function freeze(
  db: Db,
  frozen: FrozenPlan,
  run: Parameters<Registry['freeze']>[1],
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
    const attempt = await nextAttempt(tx, release.stream, release.version, generation);
    const taken = {
      workflow_id: run.workflowId,
      label: `${release.stream}-${release.version}-${attempt}`,
      stream: release.stream,
      version: release.version,
      attempt,
      generation,
      plan_digest: digest,
      digest: release.digest,
      catch_up_of: run.of ?? null,
      narrowed: run.only === undefined ? 0 : 1,
      namespace: run.namespace?.name ?? null,
      namespace_id: run.namespace?.id ?? null,
    };
    const open = { sealed: 0, status: null, handed_outcome: null, handed_over: null };
    const begun = { first_run_id: run.firstRunId, started_at: now, updated_at: now, ...open };
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

/**
 * Every frozen rollout took two generations. If more are gone, rollouts are missing: the registry was restored to an
 * earlier point, and their labels, whichever versions they were of, are passed over. Shards go by the label, and those of
 * a rollout that was lost may still carry its undo.
 */
async function nextAttempt(tx: Tx, stream: string, version: string, generation: number): Promise<number> {
  const rows = await tx
    .selectFrom('rollouts')
    .select(['version', ({ fn }) => fn.countAll<number>().as('count')])
    .where('stream', '=', stream)
    .where('attempt', '>', 0)
    .groupBy('version')
    .execute();
  const frozen = rows.reduce((sum, { count }) => sum + count, 0);
  const ofVersion = rows.find((row) => row.version === version)?.count ?? 0;
  const lost = Math.max(0, Math.ceil((generation - 1) / 2) - frozen);
  return ofVersion + lost + 1;
}

export async function frozenPlan(db: Db, planDigest: string): Promise<FrozenPlan | undefined> {
  const row = await db.selectFrom('plans').select('body').where('digest', '=', planDigest).executeTakeFirst();
  return row && (JSON.parse(row.body) as FrozenPlan);
}

export async function runningPlans(
  db: Db,
  stream: string,
  planOf: (digest: string) => Promise<FrozenPlan | undefined>,
): ReturnType<Registry['runningPlans']> {
  const rows = await db
    .selectFrom('rollouts')
    .select(['label', 'first_run_id', 'workflow_id', 'plan_digest', 'catch_up_of'])
    .where('stream', '=', stream)
    .where('sealed', '=', 0)
    .orderBy('started_at')
    .orderBy('attempt')
    .execute();
  const running = rows.map(async ({ label, first_run_id, workflow_id, plan_digest, catch_up_of }) => {
    const stages = (await planOf(plan_digest))?.plan.stages ?? [];
    const sites = stages.flatMap((stage) => stage.waves.flatMap((wave) => wave.sites.map(({ id }) => id)));
    const of = catch_up_of === null ? {} : { of: catch_up_of };
    return { label, firstRunId: first_run_id, workflowId: workflow_id, sites, ...of };
  });
  return Promise.all(running);
}
