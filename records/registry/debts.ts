/** Debts as they stand: read from the rows that `standing.ts` keeps. */
import type { Verb } from '../../policies/model/command.js';
import type { Debt } from '../../policies/model/debt.js';
import { stateOf } from './command-rows.js';
import type { Registry } from './registry.js';
import type { Db } from './tables.js';

export async function debts(db: Db, filter: Parameters<Registry['debts']>[0] = {}): Promise<Debt[]> {
  let query = withRollout(db)
    .orderBy('debts.verb', 'desc')
    .orderBy('debts.since')
    .orderBy('debts.stream')
    .orderBy('debts.site')
    .orderBy('debts.generation');
  if (filter.stream !== undefined) query = query.where('debts.stream', '=', filter.stream);
  if (filter.site !== undefined) query = query.where('debts.site', '=', filter.site);
  if (filter.sites !== undefined) query = query.where('debts.site', 'in', filter.sites);
  if (filter.owner !== undefined) query = query.where('debts.owner', '=', filter.owner);
  if (filter.verb !== undefined) query = query.where('debts.verb', '=', filter.verb);
  if (filter.firstRunId !== undefined) query = query.where('debts.first_run_id', '=', filter.firstRunId);
  if (filter.limit !== undefined) query = query.limit(filter.limit);
  return (await query.execute()).map(debtOf);
}

/** Reverts that retired sites owed, and of which it is not recorded yet that they were given up. */
export async function retiredReverts(db: Db): Promise<Debt[]> {
  const rows = await named(db.selectFrom('debts'))
    .innerJoin('identities', 'identities.site', 'debts.site')
    .where('identities.retired_at', 'is not', null)
    .where('debts.verb', '=', 'revert')
    .orderBy('debts.site')
    .orderBy('debts.generation')
    .execute();
  return rows.map(debtOf).filter(({ reason }) => reason.code !== 'SITE_RETIRED');
}

function withRollout(db: Db) {
  return named(standing(db));
}

function named(query: ReturnType<typeof standing>) {
  return query
    .innerJoin('rollouts', 'rollouts.first_run_id', 'debts.first_run_id')
    .selectAll('debts')
    .select(['rollouts.workflow_id', 'rollouts.label', 'rollouts.version', 'rollouts.digest', 'rollouts.plan_digest']);
}

/** Without those of retired sites, and without converges that a newer debt of the site hides, or that the site has confirmed or gone beyond. */
export function standing(db: Db) {
  return db.selectFrom('debts').where((eb) => {
    const retired = eb
      .selectFrom('identities')
      .select('identities.site')
      .whereRef('identities.site', '=', 'debts.site')
      .where('identities.retired_at', 'is not', null);
    const newer = eb
      .selectFrom('debts as newer')
      .select('newer.site')
      .whereRef('newer.stream', '=', 'debts.stream')
      .whereRef('newer.site', '=', 'debts.site')
      .where('newer.verb', '=', 'converge')
      .whereRef('newer.generation', '>', 'debts.generation');
    const reached = eb
      .selectFrom('converged')
      .select('converged.site')
      .whereRef('converged.stream', '=', 'debts.stream')
      .whereRef('converged.site', '=', 'debts.site')
      .whereRef('converged.generation', '>=', 'debts.generation');
    const stands = eb.and([eb.not(eb.exists(newer)), eb.not(eb.exists(reached))]);
    return eb.and([eb.not(eb.exists(retired)), eb.or([eb('debts.verb', '=', 'revert'), stands])]);
  });
}

export async function debtTotals(db: Db): Promise<{ stream: string; verb: Verb; owner: string; count: number }[]> {
  const rows = await standing(db)
    .select(['debts.stream', 'debts.verb', 'debts.owner'])
    .select(({ fn }) => fn.countAll<number | string>().as('count'))
    .groupBy(['debts.stream', 'debts.verb', 'debts.owner'])
    .orderBy('debts.stream')
    .orderBy('debts.verb', 'desc')
    .orderBy('debts.owner')
    .execute();
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}

/** Of one rollout, by verb. */
export async function countDebts(db: Db, firstRunId: string): Promise<Record<Verb, number>> {
  const rows = await standing(db)
    .select('debts.verb')
    .select(({ fn }) => fn.countAll<number | string>().as('count'))
    .where('debts.first_run_id', '=', firstRunId)
    .groupBy('debts.verb')
    .execute();
  const counts = { converge: 0, revert: 0 };
  for (const { verb, count } of rows) counts[verb] = Number(count);
  return counts;
}

type Row = Awaited<ReturnType<ReturnType<typeof withRollout>['execute']>>[number];

function debtOf(row: Row): Debt {
  return {
    site: row.site,
    stream: row.stream,
    verb: row.verb,
    firstRunId: row.first_run_id,
    workflowId: row.workflow_id,
    label: row.label,
    release: { version: row.version, digest: row.digest ?? '' },
    planDigest: row.plan_digest,
    stage: row.stage,
    wave: row.wave,
    generation: row.generation,
    try: row.try,
    owner: row.owner,
    reason: JSON.parse(row.reason) as Debt['reason'],
    since: row.since,
    ...(row.command_id !== null && { commandId: row.command_id }),
    ...(row.carrier !== null && { carrier: row.carrier }),
    ...(row.state !== null && { state: stateOf(row.state) }),
    ...(row.until !== null && { until: row.until }),
  };
}
