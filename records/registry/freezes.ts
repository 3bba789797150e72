/** Freezes that people put and lift. */
import type { Freeze } from '../../policies/model/debt.js';
import { SELECTOR_KEYS, type Selector } from '../../policies/model/strategy.js';
import type { Db, FreezeRow, Tx } from './tables.js';

/** The same freeze put twice is one. */
export async function putFreeze(db: Db, freeze: Omit<Freeze, 'id' | 'lifted'>): Promise<Freeze> {
  const { until, by, reason, at } = freeze;
  const put = { only: selectorText(freeze.only), until, by, reason, at };
  return db.transaction().execute(async (tx) => {
    const same = await tx
      .selectFrom('freezes')
      .selectAll()
      .where('only', '=', put.only)
      .where('at', '=', at)
      .where('until', '=', until)
      .where('by', '=', by)
      .where('reason', '=', reason)
      .executeTakeFirst();
    if (same !== undefined) return freezeOf(same);
    const row: FreezeRow = {
      number: await nextNumber(tx),
      ...put,
      lifted_at: null,
      lifted_by: null,
      lifted_reason: null,
    };
    await tx.insertInto('freezes').values(row).execute();
    return freezeOf(row);
  });
}

async function nextNumber(tx: Tx): Promise<number> {
  const { value } = await tx
    .insertInto('counters')
    .values({ name: 'freeze', value: 1 })
    .onConflict((conflict) => conflict.column('name').doUpdateSet((eb) => ({ value: eb('counters.value', '+', 1) })))
    .returning('value')
    .executeTakeFirstOrThrow();
  return value;
}

/** Those in force; lifting again at the same time by the same person gives the same answer. */
export async function liftFreezes(
  db: Db,
  only: Selector | undefined,
  lifted: { at: number; by: string; reason: string },
): Promise<Freeze[]> {
  const { at, by, reason } = lifted;
  const set = { lifted_at: at, lifted_by: by, lifted_reason: reason };
  return db.transaction().execute(async (tx) => {
    await tx
      .updateTable('freezes')
      .set(set)
      .where('only', '=', selectorText(only))
      .where('lifted_at', 'is', null)
      .where('until', '>', at)
      .execute();
    const rows = await tx
      .selectFrom('freezes')
      .selectAll()
      .where('only', '=', selectorText(only))
      .where('lifted_at', '=', at)
      .where('lifted_by', '=', by)
      .where('lifted_reason', '=', reason)
      .orderBy('number')
      .execute();
    return rows.map(freezeOf);
  });
}

export async function freezes(db: Db, now: number): Promise<Freeze[]> {
  const rows = await db
    .selectFrom('freezes')
    .selectAll()
    .where('until', '>', now)
    .where((eb) => eb.or([eb('lifted_at', 'is', null), eb('lifted_at', '>', now)]))
    .orderBy('number')
    .execute();
  return rows.map(freezeOf);
}

/** One text for one meaning: the order of keys and values says nothing, and one value is a list of one. */
function selectorText(only: Selector | undefined): string {
  if (only === undefined) return '';
  const parts = SELECTOR_KEYS.flatMap((key) => {
    const value = only[key];
    return value === undefined ? [] : [[key, [...new Set([value].flat())].toSorted()]];
  });
  return JSON.stringify(Object.fromEntries(parts));
}

export function freezeOf(row: FreezeRow): Freeze {
  const { number, only, until, by, reason, at } = row;
  const { lifted_at, lifted_by, lifted_reason } = row;
  return {
    id: `freeze-${number}`,
    ...(only !== '' && { only: JSON.parse(only) as Selector }),
    until,
    by,
    reason,
    at,
    ...(lifted_at !== null && { lifted: { at: lifted_at, by: lifted_by ?? '', reason: lifted_reason ?? '' } }),
  };
}
