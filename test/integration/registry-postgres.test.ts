/** Every suite of the registry again, on a real PostgreSQL; and what only a server can get wrong. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { useDatabase } from '../records/registry/on-each-database.js';
import { PostgresDatabase } from '../records/registry/postgres-database.js';

const SUITES = resolve(import.meta.dirname, '../records/registry');
const directory = mkdtempSync(join(tmpdir(), 'foothold-postgres-'));
const database = new PostgresDatabase();

// Nothing here is about power cuts: each of some hundred tests makes tables anew.
beforeAll(() => database.start({ directory, durable: false, inEnglish: true }));
afterAll(async () => {
  await database.stop();
  rmSync(directory, { recursive: true, force: true });
});

useDatabase(database);
for (const suite of readdirSync(SUITES).filter((file) => file.endsWith('.test.ts'))) {
  describe(`on PostgreSQL: ${suite.replace('.test.ts', '')}`, async () => {
    await import(join(SUITES, suite));
  });
}
