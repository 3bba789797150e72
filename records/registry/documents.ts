/** Imported files, kept by digest; a name means the latest import. Blocks and allowances: what people lifted. */
import { BLOCK_ALONE, type Block, type DocumentKind, type ImportedDocument } from './registry.js';
import type { Db } from './tables.js';

export async function importDocument(
  db: Db,
  document: Omit<ImportedDocument, 'importedAt'>,
  now: number,
): Promise<{ changed: boolean; before?: string }> {
  const { kind, name, digest } = document;
  return db.transaction().execute(async (tx) => {
    const found = await tx
      .selectFrom('document_names')
      .select('digest')
      .where('kind', '=', kind)
      .where('name', '=', name)
      .executeTakeFirst();
    if (found?.digest === digest) return { changed: false, before: digest };
    await tx
      .insertInto('documents')
      .values({ kind, name, digest, body: JSON.stringify(document.body) })
      .onConflict((conflict) => conflict.columns(['kind', 'name', 'digest']).doNothing())
      .execute();
    await tx
      .insertInto('document_names')
      .values({ kind, name, digest, imported_at: now })
      .onConflict((conflict) => conflict.columns(['kind', 'name']).doUpdateSet({ digest, imported_at: now }))
      .execute();
    return found === undefined ? { changed: true } : { changed: true, before: found.digest };
  });
}

export async function latestDocument(db: Db, kind: DocumentKind, name: string): Promise<ImportedDocument | undefined> {
  const row = await selectLatest(db, kind).where('document_names.name', '=', name).executeTakeFirst();
  return row && documentOf(kind, row);
}

export async function documents(db: Db, kind: DocumentKind): Promise<ImportedDocument[]> {
  const rows = await selectLatest(db, kind).orderBy('document_names.name').execute();
  return rows.map((row) => documentOf(kind, row));
}

function selectLatest(db: Db, kind: DocumentKind) {
  return db
    .selectFrom('document_names')
    .innerJoin('documents', (join) =>
      join
        .onRef('documents.kind', '=', 'document_names.kind')
        .onRef('documents.name', '=', 'document_names.name')
        .onRef('documents.digest', '=', 'document_names.digest'),
    )
    .select(['document_names.name', 'document_names.digest', 'document_names.imported_at', 'documents.body'])
    .where('document_names.kind', '=', kind);
}

function documentOf(
  kind: DocumentKind,
  row: { name: string; digest: string; imported_at: number; body: string },
): ImportedDocument {
  const { name, digest, imported_at: importedAt } = row;
  return { kind, name, digest, body: JSON.parse(row.body) as unknown, importedAt };
}

/** The latest block counts: the retry of an old one does not come after the allowance that lifted it. */
export async function block(db: Db, { stream, digest, version, rollout, at }: Block): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('blocks')
      .values({ stream, digest, version, rollout, at })
      .onConflict((conflict) =>
        conflict
          .columns(['stream', 'digest'])
          .doUpdateSet({ version, rollout, at })
          .whereRef('blocks.at', '<', 'excluded.at'),
      )
      .execute();
  });
}

export async function blocks(db: Db, stream: string): Promise<Block[]> {
  return db
    .selectFrom('blocks')
    .select(['stream', 'digest', 'version', 'rollout', 'at'])
    .where('stream', '=', stream)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('allowances')
            .select('allowances.at')
            .whereRef('allowances.stream', '=', 'blocks.stream')
            .whereRef('allowances.digest', '=', 'blocks.digest')
            .where('allowances.site', 'in', [EVERYWHERE, BLOCK_ALONE])
            .whereRef('allowances.at', '>=', 'blocks.at'),
        ),
      ),
    )
    .orderBy('at')
    .execute();
}

/** The site of an allowance that lifts the block, and the quarantine at every site. */
const EVERYWHERE = '*';

export async function allow(
  db: Db,
  stream: string,
  digest: string,
  site: string | undefined,
  by: string,
  reason: string,
  now: number,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .insertInto('allowances')
      .values({ stream, digest, site: site ?? EVERYWHERE, at: now, by, reason })
      .onConflict((conflict) => conflict.columns(['stream', 'digest', 'site', 'at']).doNothing())
      .execute();
  });
}

export async function allowances(db: Db, stream: string, digest: string): Promise<{ site: string; at: number }[]> {
  return db
    .selectFrom('allowances')
    .select(({ fn }) => ['site', fn.max<number>('at').as('at')])
    .where('stream', '=', stream)
    .where('digest', '=', digest)
    .groupBy('site')
    .orderBy('site')
    .execute();
}
