/** Which control workers work on the registry: one where the database is a file, several where it is a server. */
import { WorldError } from '../../policies/model/failure.js';
import type { Store } from './store.js';
import type { Db } from './tables.js';

/** The row of a worker that is alone. */
const ALONE = 1;

export class WorkerLock {
  #row: number | undefined;
  constructor(
    readonly db: Db,
    readonly store: Store,
  ) {}

  /** Safe to repeat. */
  async take(owner: string): Promise<void> {
    const { alone } = this.store;
    if (alone !== undefined && !alone.lock()) throw await this.#refusal();
    this.#row = await this.#record(owner, alone === undefined ? undefined : ALONE);
  }

  /** Never throws: who ends must be able to end with the database gone. */
  async leave(): Promise<void> {
    const [row, { alone }] = [this.#row, this.store];
    this.#row = undefined;
    if (alone === undefined && row !== undefined)
      await this.db
        .transaction()
        .execute((tx) => tx.deleteFrom('worker').where('id', '=', row).execute())
        .catch(() => undefined);
  }

  /** A worker that was killed leaves its row behind: the next of that name takes its place. */
  async #record(owner: string, id: number | undefined): Promise<number> {
    return this.db.transaction().execute(async (tx) => {
      await tx
        .deleteFrom('worker')
        .where((eb) => (id === undefined ? eb('owner', '=', owner) : eb('id', '=', id)))
        .execute();
      const latest = await tx
        .selectFrom('worker')
        .select(({ fn }) => fn.max<number | null>('id').as('id'))
        .executeTakeFirst();
      const row = id ?? (latest?.id ?? ALONE) + 1;
      await tx.insertInto('worker').values({ id: row, owner, since: Date.now() }).execute();
      return row;
    });
  }

  async #refusal(): Promise<WorldError> {
    const holder = await this.db.selectFrom('worker').selectAll().executeTakeFirst();
    const since = holder ? `${holder.owner}, since ${new Date(holder.since).toISOString()}` : 'an unnamed process';
    const message = `expected to be the only control worker of the registry ${this.store.place}, but ${since} holds it: stop that one first`;
    return new WorldError('REGISTRY_LOCKED', message);
  }
}
