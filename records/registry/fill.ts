/** What the rows of an older registry need so that the tables added since can be read. */
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { FrozenPlan } from '../../policies/model/plan.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import { siteIn, whoIn } from './evidence-log.js';
import { restandRollout } from './standing.js';
import type { Tx } from './tables.js';
import { fromText } from './text.js';

const ROWS_AT_ONCE = 500;

export async function fillFirstTables(tx: Tx): Promise<void> {
  await fillEvidence(tx);
  const rows = await tx.selectFrom('rollouts').selectAll().execute();
  for (const { first_run_id, plan_digest, status, updated_at } of rows) {
    const plan = await tx.selectFrom('plans').select('body').where('digest', '=', plan_digest).executeTakeFirst();
    const told = status === null ? undefined : fromText<RolloutStatus>(status);
    const release = plan ? (JSON.parse(plan.body) as FrozenPlan).plan.release : told?.release;
    const filled = { digest: release?.digest ?? '', narrowed: 0 };
    await tx.updateTable('rollouts').set(filled).where('first_run_id', '=', first_run_id).execute();
    await restandRollout(tx, first_run_id, updated_at);
  }
}

async function fillEvidence(tx: Tx): Promise<void> {
  for (;;) {
    const rows = await tx
      .selectFrom('evidence')
      .select(['first_run_id', 'sequence', 'body'])
      .where('at', 'is', null)
      .limit(ROWS_AT_ONCE)
      .execute();
    if (rows.length === 0) return;
    for (const { first_run_id, sequence, body } of rows) {
      const entry = JSON.parse(body) as EvidenceEntry;
      await tx
        .updateTable('evidence')
        .set({ at: entry.at, site: siteIn(entry), who: whoIn(entry) })
        .where('first_run_id', '=', first_run_id)
        .where('sequence', '=', sequence)
        .execute();
    }
  }
}
