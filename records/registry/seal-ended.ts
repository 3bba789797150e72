/** Sealing a rollout whose workflow has ended without a word: whole, or not at all. */
import { saveDispositions } from './commands.js';
import { appendDrafts, keyedDrafts } from './evidence-log.js';
import { handOverWithin } from './hand-over.js';
import type { EndedRollout } from './known-rollouts.js';
import { saveStatus } from './rollouts.js';
import type { Db, Tx } from './tables.js';

export async function sealEnded(db: Db, ended: EndedRollout, now: number): Promise<boolean> {
  const { sealed, seenAt, runId, unheard, evidence } = ended;
  const { firstRunId, outcome } = sealed;
  if (outcome === undefined) throw new TypeError(`expected an outcome to seal ${sealed.label} with`);
  return db.transaction().execute(async (tx) => {
    if (!(await isAsSeen(tx, firstRunId, seenAt))) return false;
    const key = (what: string) => ({ firstRunId, runId: 'sweep', activityId: `${what}/${runId}` });
    if (unheard.length > 0) await saveDispositions(tx, key('unheard'), unheard, now);
    await appendDrafts(tx, keyedDrafts(key('sealed'), 'append', [evidence]), now);
    await handOverWithin(tx, firstRunId, outcome, now);
    await saveStatus(tx, sealed);
    return true;
  });
}

/** Written to: with several writers, whoever tells something now waits, and what is newer takes the seal back. */
async function isAsSeen(tx: Tx, firstRunId: string, seenAt: number | undefined): Promise<boolean> {
  const update = tx
    .updateTable('rollouts')
    .set({ sealed: 0 })
    .where('first_run_id', '=', firstRunId)
    .where('sealed', '=', 0);
  const asSeen = seenAt === undefined ? update.where('status', 'is', null) : update.where('updated_at', '=', seenAt);
  return (await asSeen.returning('first_run_id').executeTakeFirst()) !== undefined;
}
