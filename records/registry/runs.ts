/** Which run of a rollout was seen first: how activities find that it was reset (design §4). */
import { takeBack } from './hand-over.js';
import { rolloutRow } from './rollout-row.js';
import type { Db } from './tables.js';

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

/** A person has decided that the rollout goes on in this run. */
export async function adoptRun(db: Db, firstRunId: string, continuation: number, runId: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('runs')
      .values({ first_run_id: firstRunId, continuation, run_id: runId })
      .onConflict((conflict) => conflict.columns(['first_run_id', 'continuation']).doUpdateSet({ run_id: runId }))
      .execute();
    // The sweeper may have sealed it meanwhile.
    const rollout = await rolloutRow(tx, firstRunId);
    if (rollout) await takeBack(tx, firstRunId, rollout.updated_at);
  });
}
