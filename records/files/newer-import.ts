/** A name means the latest import (design §4.2), unless a file that says the same name was changed after it. */
import { stat } from 'node:fs/promises';
import type { DocumentKind, ImportedDocument, Registry } from '../registry/registry.js';

/** Under this name the registry keeps the fleet. */
export const FLEET_NAME = 'fleet';

/**
 * The latest import of a name, or undefined if there is none or the file at `path` counts instead. A file that is not
 * there counts too: it was meant, and its loader says what is wrong with it, where an older import would surprise.
 */
export async function newerImport(
  registry: Pick<Registry, 'latestDocument'> | undefined,
  kind: DocumentKind,
  name: string,
  path: string | undefined,
): Promise<ImportedDocument | undefined> {
  const imported = await registry?.latestDocument(kind, name);
  if (imported === undefined || path === undefined) return imported;
  return imported.importedAt >= (await changedAt(path)) ? imported : undefined;
}

async function changedAt(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Infinity,
  );
}
