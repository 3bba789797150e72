/**
 * The registry under test, on one of its databases. A suite here asks for it once and runs on both: with the unit tests
 * on SQLite, and again on a real PostgreSQL from `test/integration/registry-postgres.test.ts`, which imports the suites.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Libsql from 'libsql';
import { afterEach } from 'vitest';
import { openRegistry, type RegistryOptions } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';

export type DatabaseName = 'SQLite' | 'PostgreSQL';

/** A place for one registry, empty at first; it may be opened more than once, also by other processes. */
export interface Place {
  url: string;
  /** One statement past the registry, as a person would type it, on a connection of its own. */
  sql: (statement: string) => Promise<unknown[]>;
  /**
   * A backup as docs/operating/registry.md has it, made while the registry is open, and put back at another place: its
   * address. Undefined where the programs for it are not on this machine.
   */
  backup(): Promise<string | undefined>;
  remove(): Promise<void>;
}

export interface Database {
  name: DatabaseName;
  /** Quicker than a place: it cannot be opened twice. */
  scratchUrl?: string;
  newPlace(): Promise<Place>;
}

export const SQLITE: Database = {
  name: 'SQLite',
  scratchUrl: 'sqlite::memory:',
  async newPlace() {
    const directory = mkdtempSync(join(tmpdir(), 'foothold-registry-'));
    const file = join(directory, 'registry.db');
    const sql = async (statement: string): Promise<unknown[]> => {
      const database = new Libsql(file);
      try {
        return database.prepare(statement).all();
      } finally {
        database.close();
      }
    };
    return {
      url: `sqlite:${file}`,
      sql,
      async backup() {
        await sql(`vacuum into '${directory}/backup.db'`);
        return `sqlite:${directory}/backup.db`;
      },
      async remove() {
        rmSync(directory, { recursive: true, force: true });
      },
    };
  },
};

let current = SQLITE;

/** From now on suites that are imported run on this one. */
export function useDatabase(database: Database): void {
  current = database;
}

export interface UnderTest {
  readonly database: DatabaseName;
  /** A registry of its own, empty, for a test that opens it once. Closed after the test. */
  openEmpty(): Promise<Registry>;
  /** The registry at the place of this test, which may be opened again. Closed after the test. */
  open(options?: RegistryOptions, name?: string): Promise<Registry>;
  /** The place of this test; another one for another name. */
  place(name?: string): Promise<Place>;
  /** Another address, of a backup for instance. Closed after the test. */
  openAt(url: string): Promise<Registry>;
}

/** Call it once at the top of a suite: every test gets a place of its own, and what it opened is closed after it. */
export function registryUnderTest(): UnderTest {
  const database = current;
  const own = new Map<string, Promise<Place>>();
  let opened: Registry[] = [];
  const removals: (() => Promise<void>)[] = [];

  const newPlace = async (): Promise<Place> => {
    const place = await database.newPlace();
    removals.push(() => place.remove());
    return place;
  };
  const openAt = async (url: string, options?: RegistryOptions): Promise<Registry> => {
    const registry = await openRegistry(url, options);
    opened.push(registry);
    return registry;
  };
  afterEach(async () => {
    await Promise.all(opened.map((registry) => registry.close()));
    for (const remove of removals.splice(0)) await remove();
    opened = [];
    own.clear();
  });
  const place = (name = ''): Promise<Place> => {
    const known = own.get(name) ?? newPlace();
    own.set(name, known);
    return known;
  };
  return {
    database: database.name,
    openEmpty: async () => openAt(database.scratchUrl ?? (await newPlace()).url),
    open: async (options, name) => openAt((await place(name)).url, options),
    place,
    openAt,
  };
}
