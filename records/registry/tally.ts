/**
 * All that decides how the sites of the fleet stand, gathered by the database: one row for all sites that say the same, with
 * their ids in one text. Reading a row for each of ten thousand sites takes longer than everything else that is asked of it.
 */
import { sql } from 'kysely';
import { knownGeneration } from './generations.js';
import { standing } from './debts.js';
import { holds } from './holds.js';
import type { Tally } from './registry.js';
import type { Db } from './tables.js';

/** `known` is told of these streams. */
export async function tally(db: Db, streams: string[], now: number): Promise<Tally> {
  const known = new Map<string, number>();
  for (const stream of streams) known.set(stream, await knownGeneration(db, stream));
  return {
    versions: await reportedVersions(db),
    reported: await reportedStreams(db),
    holds: (await holds(db, now)).map(({ site, stream }) => ({ site, ...(stream !== undefined && { stream }) })),
    desired: await desiredOfSites(db),
    desiredOfStream: await desiredOfStreams(db),
    known,
    reverts: await owedReverts(db),
    speakers: await speakers(db),
  };
}

const SEPARATOR = '\n';

/** An id that holds the separator is no site of any fleet, and must not read as two that are. */
function sites(column: string) {
  const site = sql.ref(column);
  return sql<string>`string_agg(replace(${site}, ${SEPARATOR}, '?'), ${SEPARATOR})`.as('sites');
}

function split(text: string | null): string[] {
  return text === null ? [] : text.split(SEPARATOR);
}

async function reportedVersions(db: Db): Promise<Tally['versions']> {
  const rows = await db
    .selectFrom('reports')
    .select(['versions', sites('site')])
    .groupBy('versions')
    .execute();
  return rows.map((row) => ({
    versions: JSON.parse(row.versions ?? '{}') as Record<string, string>,
    sites: split(row.sites),
  }));
}

async function reportedStreams(db: Db): Promise<Tally['reported']> {
  const said = ['stream', 'state', 'digest', 'generation', 'noted'] as const;
  const rows = await db
    .selectFrom('reported')
    .select([...said, sites('site')])
    .groupBy([...said])
    .execute();
  return rows.map(({ stream, state, digest, generation, noted, sites }) => ({
    stream,
    noted: Number(noted) > 0,
    report: { state, generation: Number(generation), ...(digest !== null && { live: { digest } }) },
    sites: split(sites),
  }));
}

/** What the stream decided later is not told: it hides what a site has of its own. */
async function desiredOfSites(db: Db): Promise<Tally['desired']> {
  const said = ['stream', 'first_run_id', 'generation', 'digest'] as const;
  const rows = await db
    .selectFrom('desired')
    .select([...said, sites('site')])
    .groupBy([...said])
    .orderBy('generation')
    .orderBy('first_run_id')
    .execute();
  return rows.map(({ stream, generation, digest, sites }) => ({
    stream,
    decided: { generation: Number(generation), release: { digest } },
    sites: split(sites),
  }));
}

async function desiredOfStreams(db: Db): Promise<Tally['desiredOfStream']> {
  const rows = await db.selectFrom('stream_desired').select(['stream', 'generation', 'digest']).execute();
  return new Map(
    rows.map(({ stream, generation, digest }) => [stream, { generation: Number(generation), release: { digest } }]),
  );
}

async function owedReverts(db: Db): Promise<Tally['reverts']> {
  const rows = await standing(db)
    .innerJoin('rollouts', 'rollouts.first_run_id', 'debts.first_run_id')
    .select(['debts.stream', sites('debts.site')])
    .where('debts.verb', '=', 'revert')
    .groupBy('debts.stream')
    .execute();
  return rows.map(({ stream, sites }) => ({ stream, sites: split(sites) }));
}

/** One word a site: doubt before refusal before a token that was not used, and none of a site that is retired. */
async function speakers(db: Db): Promise<Tally['speakers']> {
  const clear = db.selectFrom('identities').select(sites('site')).where('retired_at', 'is', null);
  const doubt = await clear.where('doubt', 'is not', null).executeTakeFirst();
  const unused = clear.where('doubt', 'is', null).where('token_id', 'is not', null).where('instance', 'is', null);
  const waiting = await unused.executeTakeFirst();
  const refused = new Set(await refusedSites(db));
  return {
    doubt: split(doubt?.sites ?? null),
    refused: [...refused],
    waiting: split(waiting?.sites ?? null).filter((site) => !refused.has(site)),
  };
}

/** The code of the reason begins the hash of each of these anomalies (`anomalyOf` in `speakers.ts`). */
async function refusedSites(db: Db): Promise<string[]> {
  const latest = db
    .selectFrom('site_anomalies')
    .select(({ fn }) => ['site', fn.max<number>('at').as('at')])
    .where('kind', '=', 'identity')
    .where('hash', 'not like', 'JOURNAL_FORKED/%')
    .groupBy('site')
    .as('latest');
  const row = await db
    .selectFrom(latest)
    .leftJoin('identities', 'identities.site', 'latest.site')
    .select(sites('latest.site'))
    .where('identities.retired_at', 'is', null)
    .where('identities.doubt', 'is', null)
    // What was refused before the present agent was bound is over.
    .where((eb) => eb.or([eb('identities.bound_at', 'is', null), eb('latest.at', '>=', eb.ref('identities.bound_at'))]))
    .executeTakeFirst();
  return split(row?.sites ?? null);
}
