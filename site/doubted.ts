/**
 * What an undo went back to is doubted until its required checks have all been healthy: what fails it may have failed the release
 * that was undone. Until then its failures are told, and undo nothing. On the books, for a restart proves nothing either.
 */
import { failedChecks, type CheckTally } from '../policies/site/decide-watch.js';
import { messageOf } from './advance.js';
import type { SiteContext } from './context.js';
import type { HeldRow } from './store/rows.js';

export function doubt(held: HeldRow): HeldRow {
  return { ...held, doubted: { told: [] } };
}

/** A disk that does not take it lets the release be doubted again after a restart: its failures count from now on all the same. */
export function endDoubt(context: SiteContext, held: HeldRow): HeldRow {
  write(context, held.id, (row) => {
    for (const check of row.doubted?.told ?? [])
      tell(context, held, { check, healthy: true, detail: 'all are healthy' });
    context.store.putHeld(sure(row));
  });
  return sure(held);
}

/** Each check once: how it goes on is told once nothing is doubted any more. */
export function tellDoubted(context: SiteContext, { id }: HeldRow, tallies: readonly CheckTally[]): void {
  const failed = failedChecks(tallies);
  if (failed.length === 0) return;
  write(context, id, (row) => {
    const told = row.doubted?.told ?? [];
    const news = failed.filter(({ name }) => !told.includes(name));
    if (news.length === 0) return;
    for (const { name: check, detail } of news) tell(context, row, { check, healthy: false, detail });
    context.store.putHeld({ ...row, doubted: { told: [...told, ...news.map(({ name }) => name)] } });
  });
}

function sure({ doubted: _, ...held }: HeldRow): HeldRow {
  return held;
}

function tell({ store }: SiteContext, { stream, version }: HeldRow, health: Record<string, unknown>): void {
  store.append({ kind: 'health', stream, detail: { need: 'required', wentBackTo: version, ...health } });
}

/** What cannot be written must not end the watch. */
function write(context: SiteContext, id: number, work: (row: HeldRow) => void): void {
  const { log, storage, store } = context;
  try {
    store.transact(() => {
      const row = store.held(id);
      if (row) work(row);
    });
  } catch (error) {
    storage.note(error, 'the health of what was gone back to');
    log.error({ error: messageOf(error) }, 'the health of what was gone back to could not be recorded');
  }
}
