/** A registry of every earlier schema, with data in it, is brought up to date and still says what it said. */
import { Kysely } from 'kysely';
import { expect, it } from 'vitest';
import { judgeChain } from '../../../policies/signing/chain.js';
import { migrate, STEPS } from '../../../records/registry/migrations.js';
import { openStore } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import type { Db, Tables } from '../../../records/registry/tables.js';
import {
  commandId,
  DIGEST,
  frozenPlan,
  Journal,
  key,
  PLACE,
  report,
  result,
  settled,
  status,
  STREAM,
} from './facts.js';
import { registryUnderTest, type Place } from './on-each-database.js';

const underTest = registryUnderTest();
const RUN = 'run-1';
const SITES = ['osl-01', 'osl-02'];

/** Something of everything that the first schema could hold. */
async function fill(registry: Registry): Promise<void> {
  await registry.importDocument({ kind: 'fleet', name: 'fleet', digest: 'd1', body: { sites: SITES } }, 1_000);
  await registry.freeze(frozenPlan(), { firstRunId: RUN, workflowId: 'w-1' }, 1_000);
  await registry.putStatus(status(RUN, { workflowId: 'w-1' }));
  await registry.recordRun(RUN, 0, RUN);
  const rows = SITES.map((site) => ({ site, ...PLACE, verb: 'converge' as const, commandId: commandId(RUN, site) }));
  await registry.recordCommanded(RUN, rows, 1_100);
  const confirmed = result(commandId(RUN, 'osl-01'), 'confirmed');
  const journal = new Journal('osl-01');
  journal.ended(confirmed);
  await registry.recordSettled(key(RUN, '5'), PLACE, [settled(confirmed, journal.events)], 3_000);
  await registry.recordReport(report('osl-02', { versions: { os: '2', firmware: '1' } }), 3_000);
  await registry.block({ stream: STREAM, digest: DIGEST, version: '2.4.0', rollout: 'l-1', at: 3_000 });
}

/** What must be the same afterwards. */
async function said(registry: Registry) {
  const entries = await registry.evidence(RUN);
  expect(judgeChain(entries, await registry.evidenceHead(RUN))).toEqual({ ok: true });
  return {
    entries,
    rows: await registry.siteRows(RUN),
    commanded: await registry.commanded(RUN),
    reports: [...(await registry.reports())],
    events: await registry.siteEvents('osl-01', 9),
    acked: [...(await registry.ackedThrough(SITES))],
    status: await registry.findRollout(STREAM),
    plan: await registry.frozenPlan(frozenPlan().plan.digest),
    fleet: await registry.latestDocument('fleet', 'fleet'),
    blocks: await registry.blocks(STREAM),
    tally: await registry.tally([STREAM], 0),
  };
}

async function open(place: Place): Promise<Db> {
  return new Kysely<Tables>({ dialect: (await openStore(place.url, 5_000)).dialect });
}

/** Tables and their columns, as the database itself names them. */
async function columnsOf({ sql }: Place): Promise<Map<string, string[]>> {
  const listed =
    underTest.database === 'SQLite'
      ? `select m.name as "table", p.name as "column" from sqlite_master m join pragma_table_info(m.name) p where m.type = 'table'`
      : `select table_name as "table", column_name as "column" from information_schema.columns where table_schema = current_schema()`;
  const columns = new Map<string, string[]>();
  for (const row of (await sql(listed)) as { table: string; column: string }[])
    columns.set(row.table, [...(columns.get(row.table) ?? []), row.column]);
  return columns;
}

/** Writes into `old` what its tables have columns for. */
async function copy(from: Db, to: Db, columns: Map<string, string[]>): Promise<number> {
  let copied = 0;
  for (const [table, names] of columns) {
    if (table === 'foothold_schema') continue;
    const rows = await from
      .selectFrom(table as keyof Tables)
      .select(names as never[])
      .execute();
    for (const row of rows) {
      await to.transaction().execute((tx) =>
        tx
          .insertInto(table as keyof Tables)
          .values(row as never)
          .execute(),
      );
      copied += 1;
    }
  }
  return copied;
}

it.each(STEPS.slice(1).map((step, index) => [index + 1, step.name] as const))(
  '[A43] version %i with data in it goes on to "%s" and beyond, and says what it said',
  async (version) => {
    const place = await underTest.place();
    const [now, old] = [await open(place), await open(await underTest.place('old'))];
    const current = await underTest.open();
    await fill(current);
    const before = await said(current);

    const oldPlace = await underTest.place('old');
    await migrate(old, 'old', 1, STEPS.slice(0, version));
    expect(await copy(now, old, await columnsOf(oldPlace))).toBeGreaterThan(12);
    await now.destroy();
    await old.destroy();

    const migrated = await underTest.open({}, 'old');
    expect(await said(migrated)).toEqual(before);
    expect(await oldPlace.sql('select max(version) as version from foothold_schema')).toEqual([
      { version: STEPS.length },
    ]);
    const next = await migrated.freeze(frozenPlan(), { firstRunId: 'run-2', workflowId: 'w-2' }, 4_000);
    expect(next).toMatchObject({ attempt: 2, generation: 3 });
    // What is owed is known of commands of before, too.
    expect((await migrated.debts()).map(({ site, verb }) => [site, verb])).toEqual(
      (await current.debts()).map(({ site, verb }) => [site, verb]),
    );
    // So is how its sites stand, and what happened where and by whom.
    expect(await migrated.siteTotals('run-1')).toEqual(await current.siteTotals('run-1'));
    const everything = await current.history({ limit: 50 });
    expect(await migrated.history({ limit: 50 })).toEqual(everything);
    const sites = [...new Set(everything.flatMap(({ site }) => site ?? []))];
    expect(sites).not.toEqual([]);
    for (const site of sites)
      expect(await migrated.history({ site, limit: 50 })).toEqual(await current.history({ site, limit: 50 }));
  },
);

it('a step that fails leaves the schema as it was', async () => {
  const place = await underTest.place();
  const db = await open(place);
  await migrate(db, 'here', 1, STEPS.slice(0, 1));
  const broken = { name: 'broken', up: () => Promise.reject(new Error('in the middle')) };
  const adding = {
    name: 'adding',
    up: async (tx: Db) => tx.schema.createTable('added').addColumn('one', 'text').execute(),
  };
  await expect(migrate(db, 'here', 1, [...STEPS.slice(0, 1), adding, broken])).rejects.toThrow('in the middle');
  expect((await columnsOf(place)).has('added')).toBe(false);
  expect(await place.sql('select count(*) as steps from foothold_schema')).toEqual([{ steps: 1 }]);
  await db.destroy();
});
