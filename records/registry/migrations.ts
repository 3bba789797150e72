/** The schema, step by step. A step that was released is never changed: the next one mends it. */
import type { CreateTableBuilder } from 'kysely';
import { MistakeError } from '../../policies/model/failure.js';
import { fillFirstTables } from './fill.js';
import { identityTables } from './identity-tables.js';
import { fillReported, reportedTables } from './reported.js';
import type { Db, Tables, Tx } from './tables.js';

export interface Step {
  name: string;
  up(tx: Tx): Promise<void>;
  /** What the rows that were there need. Runs after the last step, so that it sees the tables as they are used. */
  fill?(tx: Tx): Promise<void>;
}

export const STEPS: Step[] = [
  { name: 'first tables', up: firstTables },
  { name: 'debts and desired state', up: debtTables, fill: fillFirstTables },
  { name: 'identities and control keys', up: identityTables },
  { name: 'namespaces of rollouts', up: (tx) => column(tx, 'rollouts', { namespace: 'text?', namespace_id: 'text?' }) },
  { name: 'what sites report of streams', up: reportedTables, fill: fillReported },
  { name: 'holds of sites', up: holdTables },
  { name: 'outboxes of sites', up: outboxTables },
];

/** Brings the schema up to date, in one transaction; a schema newer than this program is refused by name. */
export async function migrate(db: Db, place: string, now: number, steps: Step[] = STEPS): Promise<void> {
  if ((await isCurrent(db, steps)) || (await judgeSchema(db, place, steps)) === steps.length) return;
  await db.transaction().execute(async (tx) => {
    await tx.schema
      .createTable('foothold_schema')
      .ifNotExists()
      .addColumn('version', 'integer', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('applied_at', 'bigint', (column) => column.notNull())
      .execute();
    // Another process may have been faster: what is missing is judged again under the write lock.
    const version = await judgeSchema(tx, place, steps);
    for (const [index, step] of steps.entries()) {
      if (index < version) continue;
      await step.up(tx);
      const row = { version: index + 1, name: step.name, applied_at: now };
      await tx.insertInto('foothold_schema').values(row).execute();
    }
    if (version > 0) for (const step of steps.slice(version)) await step.fill?.(tx);
  });
}

/** One query by key, because every command begins with it: listing the tables takes longer than most answers. */
async function isCurrent(db: Db, steps: Step[]): Promise<boolean> {
  const query = db.selectFrom('foothold_schema').select(['version', 'name']).where('version', '>=', steps.length);
  // Whatever is wrong, a missing table or a broken database, is named by judging the schema.
  const rows = await query.execute().catch(() => []);
  return rows.length === 1 && rows[0]?.version === steps.length && rows[0].name === steps.at(-1)?.name;
}

/** The version of the schema there, 0 for an empty database. */
async function judgeSchema(db: Db, place: string, steps: Step[]): Promise<number> {
  const tables = await db.introspection.getTables();
  if (!tables.some((table) => table.name === 'foothold_schema')) {
    if (tables.length === 0) return 0;
    const message = `expected a registry at ${place}, got a database with other tables (${tables[0]?.name}): change \`registry\``;
    throw new MistakeError('REGISTRY_INVALID', message);
  }
  const applied = await db.selectFrom('foothold_schema').selectAll().orderBy('version').execute();
  const unknown = applied.find((row) => row.version > steps.length || steps[row.version - 1]?.name !== row.name);
  if (unknown === undefined) return applied.length;
  const known = `version ${steps.length} ("${steps.at(-1)?.name}")`;
  const message = `expected a registry of at most ${known} at ${place}, got version ${unknown.version} ("${unknown.name}"): use the newer program that wrote it`;
  throw new MistakeError('REGISTRY_NEWER', message);
}

type ColumnKind = 'text' | 'bigint' | 'text?' | 'bigint?';
/** Columns that a later step adds are left out. */
type Columns<T extends keyof Tables> = Partial<Record<keyof Tables[T] & string, ColumnKind>>;

async function firstTables(tx: Tx): Promise<void> {
  await documentTables(tx);
  await rolloutTables(tx);
  await siteTables(tx);
  await evidenceTables(tx);
}

async function documentTables(tx: Tx): Promise<void> {
  await table(tx, 'worker', ['id'], { id: 'bigint', owner: 'text', since: 'bigint' });
  const named = { kind: 'text', name: 'text', digest: 'text' } as const;
  await table(tx, 'documents', ['kind', 'name', 'digest'], { ...named, body: 'text' });
  await table(tx, 'document_names', ['kind', 'name'], { ...named, imported_at: 'bigint' });
  const allowed = { stream: 'text', digest: 'text', site: 'text', at: 'bigint', by: 'text', reason: 'text' } as const;
  await table(tx, 'allowances', ['stream', 'digest', 'site', 'at'], allowed);
  const blocked = { stream: 'text', digest: 'text', version: 'text', rollout: 'text', at: 'bigint' } as const;
  await table(tx, 'blocks', ['stream', 'digest'], blocked);
}

async function rolloutTables(tx: Tx): Promise<void> {
  await table(tx, 'plans', ['digest'], { digest: 'text', body: 'text', frozen_at: 'bigint' });
  await table(tx, 'streams', ['stream'], { stream: 'text', next_generation: 'bigint' });
  await table(tx, 'rollouts', ['first_run_id'], {
    first_run_id: 'text',
    workflow_id: 'text',
    label: 'text',
    stream: 'text',
    version: 'text',
    attempt: 'bigint',
    generation: 'bigint',
    plan_digest: 'text',
    started_at: 'bigint',
    updated_at: 'bigint',
    sealed: 'bigint',
    status: 'text?',
  });
  await index(tx, 'rollouts', ['label']);
  await index(tx, 'rollouts', ['workflow_id']);
  await index(tx, 'rollouts', ['stream', 'version']);
  await index(tx, 'rollouts', ['started_at']);
  const run = { first_run_id: 'text', continuation: 'bigint', run_id: 'text' } as const;
  await table(tx, 'runs', ['first_run_id', 'continuation'], run);
  await table(tx, 'findings', ['first_run_id'], { first_run_id: 'text', body: 'text' });
  const judged = {
    first_run_id: 'text',
    stage: 'text',
    wave: 'bigint',
    metric: 'text',
    scheduled_at: 'bigint',
  } as const;
  const sampleKey = ['first_run_id', 'stage', 'wave', 'metric', 'scheduled_at'] as const;
  await table(tx, 'samples', [...sampleKey], { ...judged, body: 'text' });
}

async function siteTables(tx: Tx): Promise<void> {
  await table(tx, 'commands', ['first_run_id', 'site', 'command_id'], {
    first_run_id: 'text',
    site: 'text',
    command_id: 'text',
    verb: 'text',
    try: 'bigint',
    stage: 'text',
    wave: 'bigint',
    switch_by: 'bigint?',
    scheduled_at: 'bigint?',
    state: 'text?',
    result: 'text?',
    later: 'text?',
    disposition: 'text?',
    recorded_at: 'bigint',
  });
  await index(tx, 'commands', ['command_id']);
  const place = { site: 'text', epoch: 'bigint', sequence: 'bigint' } as const;
  await table(tx, 'reports', ['site'], { ...place, at: 'bigint', received_at: 'bigint', body: 'text' });
  await table(tx, 'site_events', ['site', 'epoch', 'sequence'], {
    ...place,
    hash: 'text',
    at: 'bigint',
    command_id: 'text?',
    recorded_at: 'bigint',
    tells: 'bigint',
    told_by: 'text?',
    body: 'text',
  });
  await index(tx, 'site_events', ['command_id']);
  await table(tx, 'site_epochs', ['site', 'epoch'], { site: 'text', epoch: 'bigint', contiguous: 'bigint' });
  const anomaly = { ...place, kind: 'text', hash: 'text', detail: 'text', at: 'bigint' } as const;
  await table(tx, 'site_anomalies', ['site', 'epoch', 'sequence', 'kind', 'hash'], anomaly);
}

async function evidenceTables(tx: Tx): Promise<void> {
  const key = { first_run_id: 'text', sequence: 'bigint', run_id: 'text', activity_id: 'text', slot: 'text' } as const;
  await table(tx, 'evidence', ['first_run_id', 'sequence'], { ...key, kind: 'text', body: 'text' });
  await index(tx, 'evidence', ['first_run_id', 'run_id', 'activity_id', 'slot'], 'unique');
  const head = { first_run_id: 'text', sequence: 'bigint', hash: 'text', at: 'bigint' } as const;
  await table(tx, 'evidence_heads', ['first_run_id'], head);
}

async function debtTables(tx: Tx): Promise<void> {
  await column(tx, 'commands', { carrier: 'text?' });
  await column(tx, 'rollouts', { digest: 'text?', catch_up_of: 'text?', narrowed: 'bigint?' });
  await column(tx, 'rollouts', { handed_outcome: 'text?', handed_over: 'text?' });
  await column(tx, 'evidence', { at: 'bigint?', site: 'text?', who: 'text?' });
  await index(tx, 'commands', ['site']);
  await index(tx, 'rollouts', ['catch_up_of']);
  await index(tx, 'evidence', ['site', 'at']);
  await index(tx, 'evidence', ['at']);
  const owed = { stream: 'text', site: 'text', verb: 'text', first_run_id: 'text' } as const;
  await table(tx, 'debts', ['stream', 'site', 'verb', 'first_run_id'], {
    ...owed,
    stage: 'text',
    wave: 'bigint',
    generation: 'bigint',
    try: 'bigint',
    command_id: 'text?',
    carrier: 'text?',
    owner: 'text',
    reason: 'text',
    since: 'bigint',
    state: 'text?',
    until: 'bigint?',
  });
  await index(tx, 'debts', ['first_run_id', 'site']);
  await index(tx, 'debts', ['owner']);
  await index(tx, 'debts', ['site']);
  const place = { stream: 'text', site: 'text', generation: 'bigint' } as const;
  await table(tx, 'converged', ['stream', 'site'], place);
  const decided = {
    first_run_id: 'text',
    label: 'text',
    version: 'text',
    digest: 'text',
    plan_digest: 'text',
  } as const;
  const desired = { ...place, ...decided, stage: 'text?', since: 'bigint' } as const;
  await table(tx, 'desired', ['stream', 'site', 'first_run_id'], desired);
  const ofStream = { stream: 'text', generation: 'bigint', ...decided, since: 'bigint' } as const;
  await table(tx, 'stream_desired', ['stream'], ofStream);
  const standing = { first_run_id: 'text', site: 'text', stage: 'text', wave: 'bigint', outcome: 'text' } as const;
  await table(tx, 'standings', ['first_run_id', 'site'], { ...standing, rank: 'bigint', pending: 'bigint' });
  await index(tx, 'standings', ['first_run_id', 'rank', 'site']);
  await table(tx, 'freezes', ['number'], {
    number: 'bigint',
    only: 'text',
    until: 'bigint',
    by: 'text',
    reason: 'text',
    at: 'bigint',
    lifted_at: 'bigint?',
    lifted_by: 'text?',
    lifted_reason: 'text?',
  });
  await table(tx, 'counters', ['name'], { name: 'text', value: 'bigint' });
}

async function holdTables(tx: Tx): Promise<void> {
  await table(tx, 'site_holds', ['number'], {
    number: 'bigint',
    site: 'text',
    stream: 'text',
    until: 'bigint?',
    by: 'text',
    reason: 'text',
    at: 'bigint',
    lifted_at: 'bigint?',
    lifted_by: 'text?',
    lifted_reason: 'text?',
  });
  await index(tx, 'site_holds', ['site']);
}

async function outboxTables(tx: Tx): Promise<void> {
  const lane = { site: 'text', epoch: 'bigint', priority: 'text' } as const;
  const key = ['site', 'epoch', 'priority'] as const;
  const entry = { ...lane, sequence: 'bigint', hash: 'text', recorded_at: 'bigint', body: 'text' } as const;
  await table(tx, 'site_outbox', [...key, 'sequence'], entry);
  const span = { first: 'bigint', last: 'bigint', count: 'bigint', previous: 'text', hash: 'text' } as const;
  await table(tx, 'site_gaps', [...key, 'first'], { ...lane, ...span });
  await table(tx, 'site_lanes', [...key], { ...lane, contiguous: 'bigint', hash: 'text' });
}

/** Columns that rows of before cannot have: always without `not null`. */
async function column<T extends keyof Tables>(
  tx: Tx,
  name: T,
  columns: Partial<Record<keyof Tables[T] & string, 'text?' | 'bigint?'>>,
): Promise<void> {
  for (const [added, kind] of Object.entries<string>(columns as Record<string, string>))
    await tx.schema
      .alterTable(name)
      .addColumn(added, kind.startsWith('bigint') ? 'bigint' : 'text')
      .execute();
}

async function table<T extends keyof Tables>(
  tx: Tx,
  name: T,
  key: (keyof Tables[T] & string)[],
  columns: Columns<T>,
): Promise<void> {
  let builder: CreateTableBuilder<string, string> = tx.schema.createTable(name);
  for (const [column, kind] of Object.entries<string>(columns as Record<string, string>)) {
    const type = kind.startsWith('bigint') ? 'bigint' : 'text';
    builder = builder.addColumn(column, type, (built) => (kind.endsWith('?') ? built : built.notNull()));
  }
  await builder.addPrimaryKeyConstraint(`${name}_key`, key).execute();
}

async function index<T extends keyof Tables>(
  tx: Tx,
  name: T,
  columns: (keyof Tables[T] & string)[],
  unique?: 'unique',
): Promise<void> {
  const names: string[] = columns;
  const builder = tx.schema
    .createIndex(`${name}_by_${names.join('_')}`)
    .on(name)
    .columns(names);
  await (unique ? builder.unique() : builder).execute();
}
