/**
 * Generations that sites have seen, and what that says of the registry: one that was restored to an earlier point takes
 * over what the sites report, never the reverse (O3).
 */
import { putDesired, desiredGeneration } from './desired.js';
import { goneBeyond } from './standing.js';
import type { Db, Tx } from './tables.js';

/** A generation that no stream reaches: taking it over would leave the stream without a next one. */
const HIGHEST_GENERATION = 2 ** 48;

export function isGeneration(generation: unknown): boolean {
  return Number.isSafeInteger(generation) && (generation as number) >= 0 && (generation as number) < HIGHEST_GENERATION;
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

/** The highest generation that a rollout known here may carry; 0 if there is none. */
export async function knownGeneration(db: Db, stream: string): Promise<number> {
  const row = await db
    .selectFrom('rollouts')
    .select(({ fn }) => fn.max<number | null>('generation').as('generation'))
    .where('stream', '=', stream)
    .executeTakeFirst();
  const highest = row?.generation ?? 0;
  return highest === 0 ? 0 : highest + 1;
}

/** Nothing is lowered: what was decided in this generation or later stays. */
export async function adoptLive(
  db: Db,
  site: string,
  stream: string,
  live: { version: string; digest: string },
  generation: number,
  now: number,
): Promise<void> {
  if (!isGeneration(generation) || generation === 0) return;
  await db.transaction().execute(async (tx) => {
    await adoptGenerations(tx, new Map([[stream, generation]]));
    const decided = (await desiredGeneration(tx, stream, [site])).get(site) ?? 0;
    if (decided >= generation) return;
    const { version, digest } = live;
    const nobody = { first_run_id: ADOPTED, label: ADOPTED, plan_digest: '', stage: null };
    const earlier = tx.deleteFrom('desired').where('stream', '=', stream).where('site', '=', site);
    await earlier.where('first_run_id', '=', ADOPTED).execute();
    await putDesired(tx, [{ stream, site, ...nobody, generation, version, digest, since: now }]);
    await goneBeyond(tx, stream, [site], generation);
  });
}

/** In place of a rollout that the registry has lost. */
const ADOPTED = 'adopted';
