/** What a rollout was judged by: preflight's findings and the samples of its gates. */
import type { Finding } from '../../policies/model/plan.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { Db } from './tables.js';
import { fromText, toText } from './text.js';

/** Values with few columns, a row each: far below what a statement may bind. */
const ROWS_AT_ONCE = 500;

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
