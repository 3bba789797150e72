/** Who sites are: tokens, epochs, retirement (docs/decisions/0003). What agents report of it is judged in `speakers.ts`. */
import { FIRST_EPOCH, type IdentityChange, type SiteIdentity } from '../../policies/model/enrolment.js';
import type { ResolvedFleet } from '../../policies/model/fleet.js';
import { MistakeError } from '../../policies/model/failure.js';
import { debts } from './debts.js';
import type { IdentityRow } from './identity-tables.js';
import type { Db, Tx } from './tables.js';

const SITES_AT_ONCE = 500;

/** Of those that were ever enrolled, replaced, retired or doubted; without `sites`, all of them. */
export async function identities(db: Db, sites?: string[]): Promise<Map<string, SiteIdentity>> {
  const rows: IdentityRow[] = [];
  if (sites === undefined) rows.push(...(await db.selectFrom('identities').selectAll().orderBy('site').execute()));
  for (let from = 0; from < (sites?.length ?? 0); from += SITES_AT_ONCE) {
    const some = sites?.slice(from, from + SITES_AT_ONCE) ?? [];
    rows.push(...(await db.selectFrom('identities').selectAll().where('site', 'in', some).execute()));
  }
  return new Map(rows.map((row) => [row.site, identityOf(row)]));
}

export async function retiredSites(db: Db): Promise<Set<string>> {
  const rows = await db.selectFrom('identities').select('site').where('retired_at', 'is not', null).execute();
  return new Set(rows.map(({ site }) => site));
}

/** Ids of the sites of every fleet that was ever imported. Reads them all: for an import, not for every plan. */
export async function siteIdsEver(db: Db): Promise<Set<string>> {
  const rows = await db.selectFrom('documents').select('body').where('kind', '=', 'fleet').execute();
  return new Set(rows.flatMap(({ body }) => (JSON.parse(body) as ResolvedFleet).sites.map((site) => site.id)));
}

export interface TokenRequest {
  site: string;
  token: { id: string; expiresAt: number };
  by: string;
  reason: string;
  /** Decided as ever, and nothing written. */
  dryRun?: boolean;
}

/**
 * A token for the site's epoch; one that nobody has used yet is void from here on. Throws MistakeError SITE_RETIRED, or
 * ENROLMENT_USED while an enrolled agent speaks for the site.
 */
export async function enrol(
  db: Db,
  { site, token, by, reason, dryRun }: TokenRequest,
  now: number,
): Promise<SiteIdentity> {
  return db.transaction().execute(async (tx) => {
    const known = await identityIn(tx, site);
    refuseRetired(known);
    if (known.instance !== undefined) {
      const message = `site ${site} is enrolled: instance ${known.instance} speaks for it since ${new Date(known.boundAt ?? 0).toISOString()}`;
      throw new MistakeError('ENROLMENT_USED', message, ['for new hardware or a lost disk: foothold fleet replace']);
    }
    const { epoch } = known.token ? known : { epoch: await latestEpoch(tx, known) };
    const enrolled: SiteIdentity = { ...known, epoch, token };
    if (dryRun === true) return enrolled;
    await putIdentity(tx, enrolled);
    await noteChange(tx, { site, at: now, what: 'enrolled', by, reason, detail: { epoch, tokenId: token.id } });
    return enrolled;
  });
}

/**
 * The next epoch with a token for it. What the agent of before has reported is no longer what the site runs. Throws
 * MistakeError SITE_RETIRED.
 */
export async function replace(
  db: Db,
  { site, token, by, reason, dryRun }: TokenRequest,
  now: number,
): Promise<SiteIdentity> {
  return db.transaction().execute(async (tx) => {
    const known = await identityIn(tx, site);
    refuseRetired(known);
    const epoch = (await latestEpoch(tx, known)) + 1;
    const replaced: SiteIdentity = { site, epoch, token };
    if (dryRun === true) return replaced;
    await putIdentity(tx, replaced);
    await tx.deleteFrom('reports').where('site', '=', site).execute();
    await tx.deleteFrom('reported').where('site', '=', site).execute();
    await tx.deleteFrom('converged').where('site', '=', site).execute();
    const detail = { epoch, tokenId: token.id, before: known.epoch };
    await noteChange(tx, { site, at: now, what: 'replaced', by, reason, detail });
    return replaced;
  });
}

/** For good. Its debts stand no more: `cancelled` says how many. Repeating it changes nothing. */
export async function retire(
  db: Db,
  { site, by, reason }: { site: string; by: string; reason: string },
  now: number,
): Promise<{ changed: boolean; cancelled: number; identity: SiteIdentity }> {
  const owed = await debts(db, { site });
  return db.transaction().execute(async (tx) => {
    const known = await identityIn(tx, site);
    if (known.retired) return { changed: false, cancelled: 0, identity: known };
    const { doubt: _, ...kept } = known;
    const identity: SiteIdentity = { ...kept, retired: { at: now, by, reason } };
    await putIdentity(tx, identity);
    const cancelled = owed.map(({ stream, verb, label, release }) => ({
      stream,
      verb,
      label,
      version: release.version,
    }));
    await noteChange(tx, { site, at: now, what: 'retired', by, reason, detail: { cancelled } });
    return { changed: true, cancelled: owed.length, identity };
  });
}

/** Newest first. */
export async function identityChanges(db: Db, site: string, limit: number): Promise<IdentityChange[]> {
  const rows = await db
    .selectFrom('identity_changes')
    .selectAll()
    .where('site', '=', site)
    .orderBy('number', 'desc')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    ...row,
    what: row.what as IdentityChange['what'],
    detail: JSON.parse(row.detail) as IdentityChange['detail'],
  }));
}

export async function noteChange(tx: Tx, change: Omit<IdentityChange, 'number'>): Promise<void> {
  const { highest } = await tx
    .selectFrom('identity_changes')
    .select(({ fn }) => fn.max<number | string | null>('number').as('highest'))
    .where('site', '=', change.site)
    .executeTakeFirstOrThrow();
  const row = { ...change, number: Number(highest ?? 0) + 1, detail: JSON.stringify(change.detail) };
  await tx.insertInto('identity_changes').values(row).execute();
}

export async function putIdentity(tx: Tx, identity: SiteIdentity): Promise<void> {
  const row = rowOf(identity);
  await tx
    .insertInto('identities')
    .values(row)
    .onConflict((conflict) => conflict.column('site').doUpdateSet(row))
    .execute();
}

async function identityIn(tx: Tx, site: string): Promise<SiteIdentity> {
  return (await identities(tx, [site])).get(site) ?? { site, epoch: FIRST_EPOCH };
}

/** The highest epoch that anything here knows of: after a restore, journals may be ahead of identities. */
async function latestEpoch(tx: Tx, known: SiteIdentity): Promise<number> {
  const { highest } = await tx
    .selectFrom('site_epochs')
    .select(({ fn }) => fn.max<number | string | null>('epoch').as('highest'))
    .where('site', '=', known.site)
    .executeTakeFirstOrThrow();
  return Math.max(known.epoch, Number(highest ?? 0));
}

function refuseRetired({ site, retired }: SiteIdentity): void {
  if (!retired) return;
  const since = new Date(retired.at).toISOString();
  const message = `site ${site} was retired at ${since} by ${retired.by} (${retired.reason}); give the new site an id of its own`;
  throw new MistakeError('SITE_RETIRED', message);
}

function identityOf(row: IdentityRow): SiteIdentity {
  return {
    site: row.site,
    epoch: row.epoch,
    ...(row.token_id !== null && { token: { id: row.token_id, expiresAt: row.token_expires ?? 0 } }),
    ...(row.instance !== null && { instance: row.instance }),
    ...(row.bound_at !== null && { boundAt: row.bound_at }),
    ...(row.doubt !== null && { doubt: JSON.parse(row.doubt) as NonNullable<SiteIdentity['doubt']> }),
    ...(row.retired_at !== null && {
      retired: { at: row.retired_at, by: row.retired_by ?? '', reason: row.retired_reason ?? '' },
    }),
  };
}

function rowOf({ site, epoch, token, instance, boundAt, doubt, retired }: SiteIdentity): IdentityRow {
  return {
    site,
    epoch,
    token_id: token?.id ?? null,
    token_expires: token?.expiresAt ?? null,
    instance: instance ?? null,
    bound_at: boundAt ?? null,
    doubt: doubt ? JSON.stringify(doubt) : null,
    retired_at: retired?.at ?? null,
    retired_by: retired?.by ?? null,
    retired_reason: retired?.reason ?? null,
  };
}
