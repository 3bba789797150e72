/** One rollout's row. */
import type { Db, RolloutRow } from './tables.js';

export async function rolloutRow(db: Db, firstRunId: string): Promise<RolloutRow | undefined> {
  return db.selectFrom('rollouts').selectAll().where('first_run_id', '=', firstRunId).executeTakeFirst();
}
