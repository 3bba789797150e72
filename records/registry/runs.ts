/** Which run of a rollout was seen first: how activities find that it was reset (design §4). */
import { takeBack } from './hand-over.js';
import { rolloutRow } from './rollout-row.js';
import type { Db, Tx } from './tables.js';

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

/** In the place of a run: none may command until a person has decided for one. */
const NOBODY = 'nobody';

export async function disownRuns(db: Db, firstRunId: string, continuation: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('runs')
      .values({ first_run_id: firstRunId, continuation, run_id: NOBODY })
      .onConflict((conflict) => conflict.columns(['first_run_id', 'continuation']).doUpdateSet({ run_id: NOBODY }))
      .execute();
    await goesOn(tx, firstRunId);
  });
}

/**
 * A person has decided that the rollout goes on in this run. False where another was decided for that this one knows nothing
 * of: a reset has thrown that one away, and Temporal repeats in the next run what a person had said to it.
 */
export async function adoptRun(db: Db, firstRunId: string, continuation: number, runId: string): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const { numInsertedOrUpdatedRows } = await tx
      .insertInto('runs')
      .values({ first_run_id: firstRunId, continuation, run_id: runId })
      .onConflict((conflict) =>
        conflict
          .columns(['first_run_id', 'continuation'])
          .doUpdateSet({ run_id: runId })
          .where('runs.run_id', 'in', [NOBODY, runId]),
      )
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows !== 1n) return false;
    await goesOn(tx, firstRunId);
    return true;
  });
}

/** The sweeper may have sealed it meanwhile. */
async function goesOn(tx: Tx, firstRunId: string): Promise<void> {
  const rollout = await rolloutRow(tx, firstRunId);
  if (rollout) await takeBack(tx, firstRunId, rollout.updated_at);
}
