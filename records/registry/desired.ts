/** What sites should run. Every rollout that has spoken of a site leaves a row; the highest generation counts. */
import type { Desired } from '../../policies/model/debt.js';
import type { RolloutRow, Db, DesiredRow, Tables, Tx } from './tables.js';

const SITES_AT_ONCE = 500;

export function desiredRowOf(rollout: RolloutRow, site: string, stage: string | null, now: number): DesiredRow {
  return { ...streamRowOf(rollout, now), site, stage };
}

export function streamRowOf(rollout: RolloutRow, now: number): Tables['stream_desired'] {
  const { stream, first_run_id, label, generation, version, digest, plan_digest } = rollout;
  return { stream, first_run_id, label, generation, version, digest: digest ?? '', plan_digest, since: now };
}

/** Of what a site has of its own and what the stream has, the later decision: a site that was away hears of it too. */
export async function desired(db: Db, stream: string, sites: string[]): Promise<Map<string, Desired>> {
  const ofStream = await streamRow(db, stream);
  const own = await ownRows(db, stream, sites);
  const found = new Map<string, Desired>();
  for (const site of sites) {
    const row = own.get(site);
    if (row !== undefined && row.generation >= (ofStream?.generation ?? 0)) found.set(site, desiredOf(row));
    else if (ofStream !== undefined) found.set(site, { site, ...ofStreamRow(ofStream) });
  }
  return found;
}

export async function streamDesired(db: Db, stream: string): Promise<Omit<Desired, 'site'> | undefined> {
  const row = await streamRow(db, stream);
  return row && ofStreamRow(row);
}

export async function desiredStreams(db: Db): Promise<string[]> {
  const ofStreams = await db.selectFrom('stream_desired').select('stream').execute();
  const ofSites = await db.selectFrom('desired').select('stream').distinct().execute();
  return [...new Set([...ofStreams, ...ofSites].map(({ stream }) => stream))].toSorted();
}

/** The generation of what each site should run; sites of which nothing was decided are absent. */
export async function desiredGeneration(db: Db, stream: string, sites: string[]): Promise<Map<string, number>> {
  return new Map([...(await desired(db, stream, sites))].map(([site, { generation }]) => [site, generation]));
}

async function streamRow(db: Db, stream: string): Promise<Tables['stream_desired'] | undefined> {
  return db.selectFrom('stream_desired').selectAll().where('stream', '=', stream).executeTakeFirst();
}

async function ownRows(db: Db, stream: string, sites: string[]): Promise<Map<string, DesiredRow>> {
  const own = new Map<string, DesiredRow>();
  for (let from = 0; from < sites.length; from += SITES_AT_ONCE) {
    const rows = await db
      .selectFrom('desired')
      .selectAll()
      .where('stream', '=', stream)
      .where('site', 'in', sites.slice(from, from + SITES_AT_ONCE))
      .orderBy('generation')
      .orderBy('first_run_id')
      .execute();
    for (const row of rows) own.set(row.site, row);
  }
  return own;
}

function desiredOf(row: DesiredRow): Desired {
  return { site: row.site, ...ofStreamRow(row), ...(row.stage !== null && { stage: row.stage }) };
}

function ofStreamRow(row: Tables['stream_desired']): Omit<Desired, 'site'> {
  return {
    stream: row.stream,
    release: { version: row.version, digest: row.digest },
    planDigest: row.plan_digest,
    firstRunId: row.first_run_id,
    label: row.label,
    generation: row.generation,
    since: row.since,
  };
}

/** For the whole stream, unless a later rollout has spoken already. */
export async function putStreamDesired(tx: Tx, row: Tables['stream_desired']): Promise<void> {
  await tx
    .insertInto('stream_desired')
    .values(row)
    .onConflict((conflict) =>
      conflict.column('stream').doUpdateSet(row).whereRef('stream_desired.generation', '<', 'excluded.generation'),
    )
    .execute();
}

export async function putDesired(tx: Tx, rows: DesiredRow[]): Promise<void> {
  for (let from = 0; from < rows.length; from += SITES_AT_ONCE)
    await tx
      .insertInto('desired')
      .values(rows.slice(from, from + SITES_AT_ONCE))
      .onConflict((conflict) => conflict.columns(['stream', 'site', 'first_run_id']).doNothing())
      .execute();
}
