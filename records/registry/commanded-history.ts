/** What was commanded over all rollouts of a stream, and how its rollouts stand: what the reconciler and the sweeper ask. */
import type { Commanded } from '../../policies/catch-up/owed-site.js';
import { outcomeOf } from './command-facts.js';
import { factsOf } from './command-rows.js';
import type { Namespace, OpenConverge, Registry, UnsealedRollout } from './registry.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import { fromText } from './text.js';
import type { Db } from './tables.js';

const SITES_AT_ONCE = 500;

export async function commandsOf(
  db: Db,
  stream: string,
  filter: Parameters<Registry['commandsOf']>[1],
): Promise<Commanded[]> {
  if (filter.sites === undefined) return readCommands(db, stream, filter.version, undefined);
  const read: Commanded[] = [];
  for (let from = 0; from < filter.sites.length; from += SITES_AT_ONCE) {
    const some = filter.sites.slice(from, from + SITES_AT_ONCE);
    read.push(...(await readCommands(db, stream, filter.version, some)));
  }
  return read;
}

async function readCommands(
  db: Db,
  stream: string,
  version: string | undefined,
  sites: string[] | undefined,
): Promise<Commanded[]> {
  let query = db
    .selectFrom('commands')
    .innerJoin('rollouts', 'rollouts.first_run_id', 'commands.first_run_id')
    .selectAll('commands')
    .select(['rollouts.version', 'rollouts.generation'])
    .where('rollouts.stream', '=', stream)
    .where('commands.scheduled_at', 'is not', null)
    .orderBy('commands.scheduled_at');
  if (version !== undefined) query = query.where('rollouts.version', '=', version);
  if (sites !== undefined) query = query.where('commands.site', 'in', sites);
  return (await query.execute()).map((row) => {
    const facts = factsOf(row);
    const outcome = outcomeOf(facts);
    const { site, first_run_id: firstRunId, version: of, verb, generation } = row;
    const scheduledAt = row.scheduled_at ?? 0;
    return { site, firstRunId, version: of, verb, generation, scheduledAt, ...(outcome && { outcome }) };
  });
}

export async function openConverges(db: Db, now: number): Promise<OpenConverge[]> {
  const rows = await db
    .selectFrom('commands')
    .innerJoin('rollouts', 'rollouts.first_run_id', 'commands.first_run_id')
    .select(['commands.first_run_id', 'commands.site', 'commands.command_id', 'commands.switch_by', 'commands.carrier'])
    .select(['rollouts.stream', 'rollouts.plan_digest'])
    .where('rollouts.sealed', '=', 0)
    .where('commands.verb', '=', 'converge')
    .where('commands.scheduled_at', 'is not', null)
    .where('commands.carrier', 'is not', null)
    .where('commands.result', 'is', null)
    .where('commands.later', 'is', null)
    .where('commands.switch_by', '>', now)
    .orderBy('commands.site')
    .execute();
  return rows.map((row) => ({
    firstRunId: row.first_run_id,
    stream: row.stream,
    planDigest: row.plan_digest,
    site: row.site,
    commandId: row.command_id,
    switchBy: row.switch_by ?? 0,
    carrier: row.carrier ?? '',
  }));
}

export async function latestBatch(db: Db, of: string): Promise<RolloutStatus | undefined> {
  const row = await db
    .selectFrom('rollouts')
    .select('status')
    .where('catch_up_of', '=', of)
    .where('status', 'is not', null)
    .orderBy('started_at', 'desc')
    .orderBy('attempt', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row && fromText<RolloutStatus>(row.status ?? 'null');
}

export async function unsealedRollouts(db: Db): Promise<UnsealedRollout[]> {
  const rows = await db
    .selectFrom('rollouts')
    .selectAll()
    .where((eb) => eb.or([eb('sealed', '=', 0), eb.and([eb('attempt', '>', 0), eb('handed_outcome', 'is', null)])]))
    .orderBy('started_at')
    .execute();
  return rows.map((row) => ({
    firstRunId: row.first_run_id,
    workflowId: row.workflow_id,
    label: row.label,
    stream: row.stream,
    release: { version: row.version, digest: row.digest ?? '' },
    planDigest: row.plan_digest,
    generation: row.generation,
    startedAt: row.started_at,
    ...(row.namespace !== null &&
      row.namespace_id !== null && { namespace: { name: row.namespace, id: row.namespace_id } }),
    ...(row.status !== null && { status: fromText<RolloutStatus>(row.status) }),
    ...(row.catch_up_of !== null && { catchUpOf: row.catch_up_of }),
  }));
}

export async function placeRollout(db: Db, firstRunId: string, namespace: Namespace): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .updateTable('rollouts')
      .set({ namespace: namespace.name, namespace_id: namespace.id })
      .where('first_run_id', '=', firstRunId)
      .where('namespace_id', 'is', null)
      .execute();
  });
}
