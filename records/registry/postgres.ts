/**
 * Everything that is PostgreSQL's own: the pool, and transactions that let one writer in at a time. What its errors mean
 * is in `postgres-errors.ts`.
 *
 * A transaction begins by taking one advisory lock, the same for every writer of the database, so that it is what
 * `begin immediate` is on SQLite: what it reads first, nobody changes before it writes. The alternative, *serializable*
 * with retries, would let each transaction run several times, and almost all of them meet: in the generations of a
 * stream, in the head of a chain. Short transactions in a row are quicker than the same ones started over.
 */
import {
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
  type CompiledQuery,
  type DatabaseConnection,
  type DataTypeNode,
  type Driver,
  type Kysely,
  type QueryResult,
  type TableMetadata,
} from 'kysely';
import pg from 'pg';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { RegistryAddress } from './address.js';
import { checkBindable } from './bindable.js';
import { breaksConnection, Translator } from './postgres-errors.js';
import type { Store } from './store.js';
import { Turns } from './turns.js';

/** "foothold" as a number: one key for every registry of a database, whatever its schema. */
const WRITERS = '7381240860042554468';
const MOST_CLIENTS = 8;
const CONNECT_WITHIN_MS = 10_000;
/** What comes back from the network may be lost for good: nobody waits for it longer than the server may take and this. */
const ANSWER_MARGIN_MS = 1_000;

/** Of one statement, once it holds its locks. Also how long a transaction may lie idle before the server ends it. */
const statementWithin = (patience: number): number => 2 * patience;

/** `patience` is how long, in ms, to wait for other writers. Connects only when it is first asked. */
export async function openPostgres(address: RegistryAddress & { kind: 'postgres' }, patience: number): Promise<Store> {
  const translator = new Translator(address);
  const pool = openPool(address.url, patience);
  const driver = new OneWriterDriver(pool, patience, translator);
  return {
    place: address.place,
    dialect: {
      createDriver: () => driver,
      createQueryCompiler: () => new OrderedTextCompiler(),
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (db: Kysely<unknown>) => new OneSchemaIntrospector(db, address.place),
    },
  };
}

function openPool(url: string, patience: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: MOST_CLIENTS,
    connectionTimeoutMillis: Math.min(CONNECT_WITHIN_MS, patience),
    query_timeout: patience + statementWithin(patience) + ANSWER_MARGIN_MS,
    keepAlive: true,
    idleTimeoutMillis: 30_000,
    fallback_application_name: 'foothold',
    types: { getTypeParser: (oid: number) => PARSERS.get(oid) ?? asText },
  });
  // A client that loses its server says so as an event, idle or not: unheard, it would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

const asText = (text: string): string => text;

/** bigint (20), integer (23, 21), and numeric (1700), which is what adding bigints up gives. */
const PARSERS = new Map<number, (text: string) => unknown>([20, 21, 23, 1700].map((oid) => [oid, asNumber]));
PARSERS.set(16, (text) => Number(text === 't'));

function asNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) ? Number.isSafeInteger(value) : !/^-?\d+$/.test(text)) return value;
  throw new WorldError('REGISTRY_BROKEN', `expected a number below 2^53 in the registry, got ${text}`);
}

/** Text is compared by its bytes, as SQLite does: the order of sites must not depend on a language. */
class OrderedTextCompiler extends PostgresQueryCompiler {
  protected override visitDataType(node: DataTypeNode): void {
    super.visitDataType(node);
    if (node.dataType === 'text' && this.parentNode?.kind === 'ColumnDefinitionNode') this.append(' collate "C"');
  }
}

/**
 * Only the schema that new tables go to is the registry's: others of the database are none of its business. Columns are
 * left out: the schema is known by its version, never by looking.
 */
class OneSchemaIntrospector extends PostgresIntrospector {
  readonly #db: Kysely<unknown>;
  constructor(
    db: Kysely<unknown>,
    readonly place: string,
  ) {
    super(db);
    this.#db = db;
  }

  override async getTables(): Promise<TableMetadata[]> {
    const { rows } = await sql<{ schema: string | null; encoding: string; name: string | null; kind: string }>`
      select own.schema, current_setting('server_encoding') as encoding, relname as name, relkind as kind
      from (select current_schema() as schema) as own
      left join (pg_catalog.pg_class join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace)
        on nspname = own.schema and relkind in ('r', 'v', 'p')
      order by relname`.execute(this.#db);
    const { schema = null, encoding } = rows[0] ?? {};
    if (encoding !== 'UTF8') throw this.#unfit(`encoding UTF8, got ${encoding}: create the database with it`);
    if (schema === null) throw this.#unfit('a schema of its search_path to exist: create it');
    return rows.flatMap(({ name, kind }) =>
      name === null ? [] : [{ name, schema, isView: kind === 'v', isForeign: false, columns: [] }],
    );
  }

  #unfit(what: string): MistakeError {
    return new MistakeError('REGISTRY_INVALID', `expected the database of the registry ${this.place} to have ${what}`);
  }
}

class OneWriterDriver implements Driver {
  /** Of this process: writers wait here for each other, so that they keep no reader from a client. */
  readonly #writers = new Turns(1);
  readonly #clients = new Turns(MOST_CLIENTS);
  constructor(
    readonly pool: pg.Pool,
    readonly patience: number,
    readonly translator: Translator,
  ) {}

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Visit> {
    return new Visit(this);
  }
  async beginTransaction(visit: DatabaseConnection): Promise<void> {
    await (visit as Visit).begin();
  }
  async commitTransaction(visit: DatabaseConnection): Promise<void> {
    await (visit as Visit).commit();
  }
  async rollbackTransaction(visit: DatabaseConnection): Promise<void> {
    await (visit as Visit).rollback();
  }
  async releaseConnection(visit: DatabaseConnection): Promise<void> {
    (visit as Visit).leave();
  }
  async destroy(): Promise<void> {
    await this.pool.end();
  }

  async becomeWriter(): Promise<void> {
    if (!(await this.#writers.take(this.patience))) throw this.translator.tooBusy(this.patience);
  }
  giveWriterUp(): void {
    this.#writers.give();
  }

  async client(): Promise<pg.PoolClient> {
    if (!(await this.#clients.take(this.patience))) throw this.translator.tooBusy(this.patience);
    try {
      return await this.pool.connect();
    } catch (error) {
      this.#clients.give();
      throw this.translator.meaning(error);
    }
  }
  giveClientBack(client: pg.PoolClient, broken: boolean): void {
    client.release(broken);
    this.#clients.give();
  }
}

/** What one transaction or one read does with a client of the pool, which it takes when it first needs one. */
class Visit implements DatabaseConnection {
  #client: pg.PoolClient | undefined;
  #broken = false;
  #writing = false;
  constructor(readonly driver: OneWriterDriver) {}

  async begin(): Promise<void> {
    await this.driver.becomeWriter();
    this.#writing = true;
    const { patience } = this.driver;
    try {
      // Read committed on purpose: each statement sees what was committed when it began, so that none sees what was
      // before the lock. A snapshot of the whole transaction would be taken while it still waits.
      await this.#ask(
        `begin isolation level read committed;
        set local statement_timeout = ${patience + statementWithin(patience)};
        set local idle_in_transaction_session_timeout = ${statementWithin(patience)};
        set local lock_timeout = ${patience};
        select pg_advisory_xact_lock(${WRITERS})`,
      );
    } catch (error) {
      await this.rollback();
      throw error;
    }
  }

  async commit(): Promise<void> {
    // The server answers the commit of a transaction in which something failed by rolling it back, without an error.
    const { command } = await this.#ask('commit');
    if (command !== 'COMMIT') throw new Error(`expected the transaction to be committed, got ${command}`);
  }

  /** Never throws, for it would hide why. Where the connection is gone, the server has rolled back. */
  async rollback(): Promise<void> {
    if (this.#client === undefined || this.#broken) return;
    await this.#ask('rollback').catch(() => (this.#broken = true));
  }

  leave(): void {
    if (this.#client !== undefined) this.driver.giveClientBack(this.#client, this.#broken);
    this.#client = undefined;
    if (this.#writing) this.driver.giveWriterUp();
    this.#writing = false;
  }

  async executeQuery<R>({ sql: text, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    checkBindable(parameters);
    const { rows, rowCount } = await this.#ask<R>(text, [...parameters]);
    return { rows, ...(rowCount !== null && { numAffectedRows: BigInt(rowCount) }) };
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('the registry does not stream');
  }

  async #ask<R>(text: string, values?: unknown[]): Promise<{ rows: R[]; rowCount: number | null; command: string }> {
    const client = (this.#client ??= await this.driver.client());
    try {
      return await client.query<R & pg.QueryResultRow>(values === undefined ? { text } : { text, values });
    } catch (error) {
      this.#broken ||= breaksConnection(error);
      throw this.driver.translator.meaning(error);
    }
  }
}
