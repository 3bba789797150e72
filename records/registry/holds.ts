/** Holds that people put on a site at the centre, and lift. */
import type { CentralHold } from '../../policies/model/hold.js';
import type { Db, SiteHoldRow, Tx } from './tables.js';

/** Takes the place of the hold of the same streams that is in force; the same one put twice is one. */
export async function putHold(db: Db, hold: Omit<CentralHold, 'id' | 'lifted'>): Promise<CentralHold> {
  const { site, stream = '', until = null, by, reason, at } = hold;
  return db.transaction().execute(async (tx) => {
    const same = await ofStream(tx, site, stream)
      .where('at', '=', at)
      .where('by', '=', by)
      .where('reason', '=', reason)
      .executeTakeFirst();
    if (same !== undefined && same.until === until) return holdOf(same);
    await lift(tx, site, stream, { at, by, reason: `another took its place: ${reason}` });
    const row: SiteHoldRow = {
      ...{ number: await nextNumber(tx), site, stream, until, by, reason, at },
      ...{ lifted_at: null, lifted_by: null, lifted_reason: null },
    };
    await tx.insertInto('site_holds').values(row).execute();
    return holdOf(row);
  });
}

async function nextNumber(tx: Tx): Promise<number> {
  const { value } = await tx
    .insertInto('counters')
    .values({ name: 'hold', value: 1 })
    .onConflict((conflict) => conflict.column('name').doUpdateSet((eb) => ({ value: eb('counters.value', '+', 1) })))
    .returning('value')
    .executeTakeFirstOrThrow();
  return value;
}

/** Those in force; lifting again at the same time by the same person gives the same answer. */
export async function liftHolds(
  db: Db,
  site: string,
  stream: string | undefined,
  lifted: { at: number; by: string; reason: string },
): Promise<CentralHold[]> {
  const { at, by, reason } = lifted;
  return db.transaction().execute(async (tx) => {
    await lift(tx, site, stream ?? '', lifted);
    const rows = await ofStream(tx, site, stream ?? '')
      .where('lifted_at', '=', at)
      .where('lifted_by', '=', by)
      .where('lifted_reason', '=', reason)
      .orderBy('number')
      .execute();
    return rows.map(holdOf);
  });
}

function ofStream(tx: Tx, site: string, stream: string) {
  return tx.selectFrom('site_holds').selectAll().where('site', '=', site).where('stream', '=', stream);
}

async function lift(
  tx: Tx,
  site: string,
  stream: string,
  { at, by, reason }: { at: number; by: string; reason: string },
): Promise<void> {
  await tx
    .updateTable('site_holds')
    .set({ lifted_at: at, lifted_by: by, lifted_reason: reason })
    .where('site', '=', site)
    .where('stream', '=', stream)
    .where('lifted_at', 'is', null)
    .where((eb) => eb.or([eb('until', 'is', null), eb('until', '>', at)]))
    .execute();
}

export async function holds(db: Db, now: number): Promise<CentralHold[]> {
  const rows = await db
    .selectFrom('site_holds')
    .selectAll()
    .where((eb) => eb.or([eb('until', 'is', null), eb('until', '>', now)]))
    .where((eb) => eb.or([eb('lifted_at', 'is', null), eb('lifted_at', '>', now)]))
    .orderBy('number')
    .execute();
  return rows.map(holdOf);
}

export function holdOf(row: SiteHoldRow): CentralHold {
  const { number, site, stream, until, by, reason, at } = row;
  const { lifted_at, lifted_by, lifted_reason } = row;
  return {
    ...{ id: `hold-${number}`, site, by, reason, at },
    ...(stream === '' ? {} : { stream }),
    ...(until === null ? {} : { until }),
    ...(lifted_at !== null && { lifted: { at: lifted_at, by: lifted_by ?? '', reason: lifted_reason ?? '' } }),
  };
}
