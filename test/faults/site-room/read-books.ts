/** Reads what is committed in the site's database. Anew only if something was written since. */
import type { SiteEvent } from '../../../policies/model/report.js';
import type { CommandRow, ConversionRow, HeldRow, StreamRow } from '../../../site/store/rows.js';
import { books, readAll } from './database.js';
import type { Books } from './invariants.js';

interface Body {
  body: string;
}

export class BooksReader {
  private writes = -1;
  private known: Books | undefined;
  private sequence = 0;
  private connection: unknown;

  /** Another process: the connection and its counters are new. */
  reset(): void {
    this.writes = -1;
  }

  /** An older database was put back. */
  forget(): void {
    this.sequence = 0;
  }

  /** Undefined while the database is not ready. What has not changed is the same object as before. */
  read(): Books | undefined {
    try {
      if (this.connection !== books.db) this.writes = -1;
      this.connection = books.db;
      if (books.writes === this.writes && this.known) return { ...this.known, fresh: [] };
      const { writes } = books;
      this.known = this.readAnew();
      this.writes = writes;
      return this.known;
    } catch (error) {
      if (error instanceof Error && /no such table/.test(error.message)) return undefined;
      throw error;
    }
  }

  private readAnew(): Books {
    const fresh = bodies<SiteEvent>(
      `SELECT body FROM events WHERE sequence > ${this.sequence} ORDER BY epoch, sequence`,
    );
    this.sequence = fresh.at(-1)?.sequence ?? this.sequence;
    const facts = readAll<{ name: string; value: string }>('SELECT name, value FROM facts');
    const named = Object.fromEntries(facts.map(({ name, value }) => [name, value]));
    const keyset = named['keyset'];
    const version = keyset === undefined ? 0 : (JSON.parse(keyset) as { version: number }).version;
    return {
      streams: bodies<StreamRow>('SELECT body FROM streams ORDER BY stream'),
      held: readAll<Body & { id: number }>('SELECT id, body FROM releases ORDER BY confirmed DESC, id').map((row) => ({
        ...(JSON.parse(row.body) as HeldRow),
        id: Number(row.id),
      })),
      commands: bodies<CommandRow>('SELECT body FROM commands ORDER BY rowid'),
      quarantine: bodies<{ stream: string; digest: string }>('SELECT body FROM quarantine'),
      conversions: bodies<ConversionRow>('SELECT body FROM conversions').filter(({ converted }) => !converted).length,
      facts: { ...named, keysetVersion: String(version) },
      fresh,
    };
  }
}

function bodies<T>(sql: string): T[] {
  return readAll<Body>(sql).map((row) => JSON.parse(row.body) as T);
}
