/** The schema's part about who sites are and which control keys they are to trust. */
import type { Tx } from './tables.js';

export interface IdentityTables {
  /** Sites that were enrolled, replaced, retired or doubted; every other one is in its first epoch. */
  identities: IdentityRow;
  identity_changes: {
    site: string;
    number: number;
    at: number;
    what: string;
    by: string;
    reason: string;
    detail: string;
  };
  control_keysets: { version: number; envelope: string; issued_at: number; by: string };
  /** One row while a rotation is under way. */
  control_rotation: { id: number; body: string };
}

export interface IdentityRow {
  site: string;
  epoch: number;
  token_id: string | null;
  token_expires: number | null;
  instance: string | null;
  bound_at: number | null;
  /** JSON. */
  doubt: string | null;
  retired_at: number | null;
  retired_by: string | null;
  retired_reason: string | null;
}

export async function identityTables(tx: Tx): Promise<void> {
  await tx.schema
    .createTable('identities')
    .addColumn('site', 'text', (column) => column.primaryKey())
    .addColumn('epoch', 'bigint', (column) => column.notNull())
    .addColumn('token_id', 'text')
    .addColumn('token_expires', 'bigint')
    .addColumn('instance', 'text')
    .addColumn('bound_at', 'bigint')
    .addColumn('doubt', 'text')
    .addColumn('retired_at', 'bigint')
    .addColumn('retired_by', 'text')
    .addColumn('retired_reason', 'text')
    .execute();
  await tx.schema
    .createTable('identity_changes')
    .addColumn('site', 'text', (column) => column.notNull())
    .addColumn('number', 'bigint', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('what', 'text', (column) => column.notNull())
    .addColumn('by', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('detail', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('identity_changes_key', ['site', 'number'])
    .execute();
  await tx.schema
    .createTable('control_keysets')
    .addColumn('version', 'bigint', (column) => column.primaryKey())
    .addColumn('envelope', 'text', (column) => column.notNull())
    .addColumn('issued_at', 'bigint', (column) => column.notNull())
    .addColumn('by', 'text', (column) => column.notNull())
    .execute();
  await tx.schema
    .createTable('control_rotation')
    .addColumn('id', 'bigint', (column) => column.primaryKey())
    .addColumn('body', 'text', (column) => column.notNull())
    .execute();
}
