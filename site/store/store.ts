/**
 * Typed access to the site's database. Every write happens inside `transact`: a state change and the event that tells of
 * it are committed together or not at all, and listeners hear of events only after the commit.
 */
import type { SiteEvent } from '../../policies/model/report.js';
import type { KeptDrift } from '../../policies/site/decide-drift.js';
import { linkSiteEvent } from '../../policies/signing/chain.js';
import type { StoredHold } from '../../policies/site/decide-hold.js';
import { closeDatabase, type Connection } from './database.js';
import type { CommandRow, ConversionRow, HeldRow, PrefetchRow, QuarantineRow, StreamRow } from './rows.js';
import type { TreeEntry } from '../files/tree.js';

export type EventDraft = Omit<SiteEvent, 'site' | 'epoch' | 'sequence' | 'at' | 'previous' | 'hash'>;
/** Single facts: trust counters, clocks, and what has been acknowledged. */
export type FactName =
  | 'site'
  | 'epoch'
  | 'tokenId'
  | 'token'
  | 'instance'
  | 'keyset'
  | 'timeFloor'
  | 'ackedThrough'
  | 'lastContact'
  | 'storageFault'
  | 'scrub';

/** Hears of errors of the disk below the database. */
export interface TroubleListener {
  broken(error: unknown): void;
  /** True if there is more room now: the transaction is begun anew. */
  makeRoom(error: unknown): boolean;
}

type Statement = ReturnType<typeof prepare>;
const prepare = (db: Connection, sql: string) => db.prepare<unknown[]>(sql);
/** Acknowledged events kept for `history`. */
const HISTORY_KEPT = 2_000;

export class Store {
  private readonly statements = new Map<string, Statement>();
  private readonly listeners = new Set<(event: SiteEvent) => void>();
  private fresh: SiteEvent[] | undefined;
  private readonly undoneListeners = new Set<() => void>();
  private trouble: TroubleListener = { broken: () => undefined, makeRoom: () => false };

  constructor(
    private readonly db: Connection,
    private readonly site: string,
    private readonly now: () => number,
  ) {}

  /** Runs `work` as one durable transaction; again from the start if the disk was full and room was made. Nested calls join the outer one. */
  transact<T>(work: () => T): T {
    if (this.fresh) return work();
    for (;;) {
      const attempt = this.attempt(work);
      if (attempt.ok) {
        for (const event of attempt.fresh) for (const listener of this.listeners) listener(event);
        return attempt.result;
      }
      if (!this.trouble.makeRoom(attempt.error)) throw attempt.error;
    }
  }

  /** As `transact`, for what may be lost: no room is made for it. */
  transactSpare<T>(work: () => T): T {
    if (this.fresh) return work();
    const attempt = this.attempt(work);
    if (!attempt.ok) throw attempt.error;
    for (const event of attempt.fresh) for (const listener of this.listeners) listener(event);
    return attempt.result;
  }

  private attempt<T>(work: () => T): { ok: true; result: T; fresh: SiteEvent[] } | { ok: false; error: unknown } {
    // Asking a closed connection for its transaction ends the process (libsql 0.5): a line that is logged after the end did.
    if (!this.db.open) return { ok: false, error: new Error('the books of the site are closed') };
    const fresh: SiteEvent[] = (this.fresh = []);
    try {
      this.run('BEGIN IMMEDIATE');
      const result = work();
      this.run('COMMIT');
      return { ok: true, result, fresh };
    } catch (error) {
      this.rollBack();
      for (const listener of this.undoneListeners) listener();
      this.trouble.broken(error);
      return { ok: false, error };
    } finally {
      this.fresh = undefined;
    }
  }

  /** A failed COMMIT may have ended the transaction already, and a broken disk may refuse this too: the first error counts. */
  private rollBack(): void {
    try {
      if (this.db.inTransaction) this.run('ROLLBACK');
    } catch (error) {
      this.trouble.broken(error);
    }
  }

  onTrouble(listener: TroubleListener): void {
    this.trouble = listener;
  }

  /** Hears of each transaction that failed, once nothing of it is in the books. */
  onUndone(listener: () => void): void {
    this.undoneListeners.add(listener);
  }

  onEvent(listener: (event: SiteEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): void {
    const wrong = closeDatabase(this.db);
    if (wrong !== undefined) this.trouble.broken(wrong);
  }

  /**
   * Moves what is committed from the log into the database: damage of the log takes everything after it without a word, and what
   * has gone this way is out of its reach (fault H5). False if it could not be; the log holds it all the same.
   */
  checkpoint(): boolean {
    try {
      const [done] = this.all<{ busy: number }>('PRAGMA wal_checkpoint(TRUNCATE)');
      return done?.busy === 0;
    } catch (error) {
      this.trouble.broken(error);
      return false;
    }
  }

  /** Reads the whole database back; throws with what SQLite found. */
  demandIntact(): void {
    const [found] = this.all<{ integrity_check: string }>('PRAGMA integrity_check');
    if (found?.integrity_check !== 'ok') throw new Error(`the database is damaged: ${found?.integrity_check}`);
  }

  // facts
  fact(name: FactName): string | undefined {
    return this.first<{ value: string }>('SELECT value FROM facts WHERE name = ?', name)?.value;
  }
  number(name: FactName): number {
    return Number(this.fact(name) ?? 0);
  }
  putFact(name: FactName, value: string | number): void {
    this.run('INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value', name, String(value));
  }
  /** Floors only rise. */
  raiseFact(name: FactName, value: number): void {
    if (value > this.number(name)) this.putFact(name, value);
  }

  // streams
  stream(name: string): StreamRow {
    return this.body<StreamRow>('SELECT body FROM streams WHERE stream = ?', name) ?? unknownStream(name);
  }
  streams(): StreamRow[] {
    return this.bodies<StreamRow>('SELECT body FROM streams ORDER BY stream');
  }
  putStream(row: StreamRow): void {
    const sql = 'INSERT INTO streams VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body';
    this.run(sql, row.stream, JSON.stringify(row));
  }

  // commands
  command(id: string): CommandRow | undefined {
    return this.body<CommandRow>('SELECT body FROM commands WHERE id = ?', id);
  }
  putCommand(row: CommandRow): void {
    const { id, stream, verb, digest, generation } = row.command;
    this.run(
      'INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body',
      ...[id, stream, verb, digest, generation, row.command.try, JSON.stringify(row)],
    );
  }
  /** The latest accepted converge to a release: the one that a revert of that release undoes. */
  latestConverge(stream: string, digest: string): CommandRow | undefined {
    const sql = `SELECT body FROM commands WHERE stream = ? AND digest = ? AND verb = 'converge'
      ORDER BY generation DESC, try DESC, rowid DESC LIMIT 1`;
    return this.body<CommandRow>(sql, stream, digest);
  }

  // journal
  /** Appends to the journal, which is the outbox too. Inside `transact` only. */
  append(draft: EventDraft): SiteEvent {
    if (!this.fresh) throw new TypeError('events are appended inside a transaction');
    const epoch = this.number('epoch');
    const head = this.lastEvent(epoch);
    const event = linkSiteEvent({ ...draft, site: this.site, epoch, at: this.now() }, head);
    this.run('INSERT INTO events VALUES (?, ?, ?)', epoch, event.sequence, JSON.stringify(event));
    this.fresh.push(event);
    return event;
  }
  lastEvent(epoch = this.number('epoch')): SiteEvent | undefined {
    return this.body<SiteEvent>('SELECT body FROM events WHERE epoch = ? ORDER BY sequence DESC LIMIT 1', epoch);
  }
  /** Of the current epoch; undefined if there is none, or it is kept no longer. */
  eventAt(sequence: number): SiteEvent | undefined {
    const sql = 'SELECT body FROM events WHERE epoch = ? AND sequence = ?';
    return this.body<SiteEvent>(sql, this.number('epoch'), sequence);
  }
  /** Oldest first, after `sequence`, at most `limit`. */
  eventsAfter(sequence: number, limit: number): SiteEvent[] {
    const sql = 'SELECT body FROM events WHERE epoch = ? AND sequence > ? ORDER BY sequence LIMIT ?';
    return this.bodies<SiteEvent>(sql, this.number('epoch'), sequence, limit);
  }
  /** Of the JSON of the events after `sequence` up to `through`. Asked after each commit: where it cannot be read they count as endless. */
  eventBytes(sequence: number, through: number): number {
    const sql = `SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) AS bytes FROM events
      WHERE epoch = ? AND sequence > ? AND sequence <= ?`;
    const read = () => this.first<{ bytes: number }>(sql, this.number('epoch'), sequence, through)?.bytes;
    return Number(this.spare(read, Infinity) ?? 0);
  }
  /** Takes note of what the centre has recorded; what it never saw of this journal is not believed. */
  acknowledge(through: { epoch: number; sequence: number }): void {
    const known = this.lastEvent()?.sequence ?? 0;
    const epoch = this.number('epoch');
    if (through.epoch !== epoch || through.sequence > known || through.sequence <= this.number('ackedThrough')) return;
    this.putFact('ackedThrough', through.sequence);
    this.run('DELETE FROM events WHERE epoch = ? AND sequence < ?', epoch, through.sequence - HISTORY_KEPT);
  }

  // releases
  held(id: number): HeldRow | undefined {
    const row = this.first<{ body: string }>('SELECT body FROM releases WHERE id = ?', id);
    return row && { ...(JSON.parse(row.body) as HeldRow), id };
  }
  /** Confirmed releases of a stream, the live one first. */
  confirmed(stream: string): HeldRow[] {
    const sql = 'SELECT id, body FROM releases WHERE stream = ? AND confirmed > 0 ORDER BY confirmed DESC';
    return this.heldRows(sql, stream);
  }
  allHeld(): HeldRow[] {
    return this.heldRows('SELECT id, body FROM releases ORDER BY id');
  }
  addHeld(row: Omit<HeldRow, 'id'>): HeldRow {
    const sql = 'INSERT INTO releases (stream, confirmed, body) VALUES (?, 0, ?) RETURNING id';
    const made = this.first<{ id: number }>(sql, row.stream, JSON.stringify(row));
    const held = { ...row, id: Number(made?.id) };
    if (held.confirmedAt !== undefined) this.putHeld(held);
    return held;
  }
  /** Confirmed releases are numbered in the order of their confirmation: neither ids nor clocks give it. */
  putHeld(row: HeldRow): void {
    this.run('UPDATE releases SET body = ? WHERE id = ?', JSON.stringify(row), row.id);
    if (row.confirmedAt === undefined) return;
    const next = '(SELECT max(confirmed) + 1 FROM releases)';
    this.run(`UPDATE releases SET confirmed = ${next} WHERE id = ? AND confirmed = 0`, row.id);
  }
  dropHeld(id: number): void {
    this.run('DELETE FROM releases WHERE id = ?', id);
  }

  // trees
  tree(digest: string): TreeEntry[] | undefined {
    return this.body<TreeEntry[]>('SELECT body FROM trees WHERE digest = ?', digest);
  }
  putTree(digest: string, entries: TreeEntry[]): void {
    this.run('INSERT INTO trees VALUES (?, ?) ON CONFLICT DO NOTHING', digest, JSON.stringify(entries));
  }
  /** Drops every tree that is not named, and returns the digests of all files of those kept. */
  keepTrees(digests: Set<string>): Set<string> {
    const files = new Set<string>();
    for (const { digest, body } of this.all<{ digest: string; body: string }>('SELECT digest, body FROM trees')) {
      if (!digests.has(digest)) this.run('DELETE FROM trees WHERE digest = ?', digest);
      else for (const entry of JSON.parse(body) as TreeEntry[]) if (entry.type === 'file') files.add(entry.digest);
    }
    return files;
  }

  // quarantine
  quarantined(stream: string, digest: string): QuarantineRow | undefined {
    return this.body<QuarantineRow>('SELECT body FROM quarantine WHERE stream = ? AND digest = ?', stream, digest);
  }
  quarantine(): QuarantineRow[] {
    return this.bodies<QuarantineRow>('SELECT body FROM quarantine ORDER BY stream, digest');
  }
  putQuarantine(row: QuarantineRow): void {
    const sql = 'INSERT INTO quarantine VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body';
    this.run(sql, row.stream, row.digest, JSON.stringify(row));
  }
  liftQuarantine(stream: string, digest: string): void {
    this.run('DELETE FROM quarantine WHERE stream = ? AND digest = ?', stream, digest);
  }

  // prefetches: the latest wish for files of each stream
  prefetch(stream: string): PrefetchRow | undefined {
    return this.spare(() => this.body<PrefetchRow>('SELECT body FROM prefetches WHERE stream = ?', stream), undefined);
  }
  prefetches(): PrefetchRow[] {
    return this.spare(() => this.bodies<PrefetchRow>('SELECT body FROM prefetches ORDER BY stream'), []);
  }
  putPrefetch(row: PrefetchRow): void {
    const sql = 'INSERT INTO prefetches VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body';
    this.run(sql, row.wish.stream, JSON.stringify(row));
  }
  dropPrefetch(stream: string): void {
    this.run('DELETE FROM prefetches WHERE stream = ?', stream);
  }

  // holds
  holds(): StoredHold[] {
    return this.bodies<StoredHold>('SELECT body FROM holds ORDER BY stream');
  }
  putHold(row: StoredHold): void {
    const sql = 'INSERT INTO holds VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body';
    this.run(sql, row.stream, JSON.stringify(row));
  }
  dropHold(stream: string): void {
    this.run('DELETE FROM holds WHERE stream = ?', stream);
  }

  // drift: what was found when a stream was last compared with its release
  drift(stream: string): KeptDrift | undefined {
    return this.spare(() => this.body<KeptDrift>('SELECT body FROM drifts WHERE stream = ?', stream), undefined);
  }
  driftStreams(): string[] {
    const rows = () => this.all<{ stream: string }>('SELECT stream FROM drifts ORDER BY stream');
    return this.spare(rows, []).map(({ stream }) => stream);
  }
  putDrift(stream: string, report: KeptDrift): void {
    const sql = 'INSERT INTO drifts VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body';
    this.run(sql, stream, JSON.stringify(report));
  }
  dropDrift(stream: string): void {
    this.run('DELETE FROM drifts WHERE stream = ?', stream);
  }

  // conversions of plain directories
  conversions(): ConversionRow[] {
    return this.bodies<ConversionRow>('SELECT body FROM conversions');
  }
  putConversion(row: ConversionRow): void {
    this.run('INSERT OR REPLACE INTO conversions VALUES (?, ?)', row.target, JSON.stringify(row));
  }
  dropConversion(target: string): void {
    this.run('DELETE FROM conversions WHERE target = ?', target);
  }

  private heldRows(sql: string, ...parameters: unknown[]): HeldRow[] {
    return this.all<{ id: number; body: string }>(sql, ...parameters).map((row) => ({
      ...(JSON.parse(row.body) as HeldRow),
      id: Number(row.id),
    }));
  }
  private body<T>(sql: string, ...parameters: unknown[]): T | undefined {
    const row = this.first<{ body: string }>(sql, ...parameters);
    return row && (JSON.parse(row.body) as T);
  }
  private bodies<T>(sql: string, ...parameters: unknown[]): T[] {
    return this.all<{ body: string }>(sql, ...parameters).map((row) => JSON.parse(row.body) as T);
  }
  private first<T>(sql: string, ...parameters: unknown[]): T | undefined {
    return this.read(() => this.statement(sql).get(...parameters)) as T | undefined;
  }
  private all<T>(sql: string, ...parameters: unknown[]): T[] {
    return this.read(() => this.statement(sql).all(...parameters)) as T[];
  }
  private read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.trouble.broken(error);
      throw error;
    }
  }
  /**
   * For what nothing is guarded by. Its page may have rotted: that is told as a fault of the disk, and must end neither a
   * command that is being taken in, nor the site's report, nor the process.
   */
  spare<T>(work: () => T, none: T): T {
    try {
      return this.read(work);
    } catch {
      return none;
    }
  }
  private run(sql: string, ...parameters: unknown[]): void {
    this.statement(sql).run(...parameters);
  }
  private statement(sql: string): Statement {
    const known = this.statements.get(sql) ?? prepare(this.db, sql);
    this.statements.set(sql, known);
    return known;
  }
}

function unknownStream(stream: string): StreamRow {
  return { stream, state: 'idle', generation: 0, try: 0 };
}
