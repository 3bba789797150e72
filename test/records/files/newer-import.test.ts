import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FLEET_NAME, newerImport } from '../../../records/files/newer-import.js';
import type { ImportedDocument, Registry } from '../../../records/registry/registry.js';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-newer-'));
  path = join(directory, 'fleet.yaml');
  writeFileSync(path, 'kind: Fleet');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const imported: ImportedDocument = { kind: 'fleet', name: FLEET_NAME, digest: 'd', body: {}, importedAt: 5_000_000 };
const registry: Pick<Registry, 'latestDocument'> = {
  latestDocument: async (kind, name) => (kind === 'fleet' && name === FLEET_NAME ? imported : undefined),
};

describe('which says what a name means, the file or the latest import', () => {
  it.each([
    ['the import, made after the file was changed', 4_999, imported],
    ['the import, made in the same instant', 5_000, imported],
    ['the file, changed after the import', 5_001, undefined],
  ])('%s', async (_which, changedAt, answer) => {
    utimesSync(path, changedAt, changedAt);
    expect(await newerImport(registry, 'fleet', FLEET_NAME, path)).toEqual(answer);
  });

  it('a file that is meant and is not there hides the import: its loader says what is wrong', async () => {
    expect(await newerImport(registry, 'fleet', FLEET_NAME, join(directory, 'none.yaml'))).toBeUndefined();
  });

  it('without a file only the import counts, without a registry only the file', async () => {
    expect(await newerImport(registry, 'fleet', FLEET_NAME, undefined)).toEqual(imported);
    expect(await newerImport(registry, 'strategy', 'careful', undefined)).toBeUndefined();
    expect(await newerImport(undefined, 'fleet', FLEET_NAME, path)).toBeUndefined();
  });
});
