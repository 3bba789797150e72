/**
 * What may be dropped of what the site says: kept in the site's database within a bound, sent after the journal, deleted
 * once acknowledged. Each drop is an event of the journal, so a gap is as durable and as ordered as a safety event.
 */
import type { ChainHead } from '../../policies/signing/chain.js';
import { NO_PREVIOUS } from '../../policies/signing/chain.js';
import { linkOutboxEntry } from '../../policies/signing/outbox-chain.js';
import { decideDrop, windowFor, type Stored } from '../../policies/site/plan-outbox.js';
import type {
  InboxEnd,
  OutboxEntry,
  OutboxGap,
  OutboxPage,
  SparePriority,
  TelemetryRecord,
} from '../../policies/model/telemetry.js';
import { SPARE } from '../../policies/model/telemetry.js';
import { troubleOf } from '../disk/trouble.js';
import type { Connection } from '../store/database.js';
import type { Store } from '../store/store.js';

export const OUTBOX_BYTES = 8 * 1024 * 1024;
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS outbox (
    epoch INTEGER NOT NULL, priority TEXT NOT NULL, sequence INTEGER NOT NULL, bytes INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (epoch, priority, sequence)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS outbox_heads (
    epoch INTEGER NOT NULL, priority TEXT NOT NULL, sequence INTEGER NOT NULL, hash TEXT NOT NULL, acked INTEGER NOT NULL,
    PRIMARY KEY (epoch, priority)
  ) WITHOUT ROWID;
`;

interface Head extends ChainHead {
  acked: number;
}

export interface OutboxOptions {
  site: string;
  now: () => number;
  /** Bytes of entries that are kept. */
  bound?: number | undefined;
  /** How long samples are gathered into one, ms, while little waits; a minute if absent. */
  sampleEvery?: number | undefined;
}

export class Outbox {
  private readonly bound: number;
  /** Records that the disk did not take: counted into the next gap. */
  private readonly lost: Record<SparePriority, number> = { performance: 0, routine: 0 };
  /** What the table has of an epoch. Absent: something was deleted or undone since it was counted. */
  private counted: { epoch: number; stored: Record<SparePriority, Stored> } | undefined;

  constructor(
    private readonly db: Connection,
    private readonly store: Store,
    private readonly options: OutboxOptions,
  ) {
    this.bound = options.bound ?? OUTBOX_BYTES;
    db.exec(SCHEMA);
    // Of any transaction: one of somebody else's may have held what was appended.
    store.onUndone(() => (this.counted = undefined));
  }

  /** Never throws: what may be lost must not stop what may not. */
  append(priority: SparePriority, records: readonly TelemetryRecord[]): void {
    if (records.length === 0) return;
    try {
      this.store.transactSpare(() => this.write(priority, records));
      this.lost[priority] = 0;
    } catch (error) {
      this.lost[priority] += records.length;
      if (troubleOf(error, '') === 'full') this.shed();
    }
  }

  private write(priority: SparePriority, records: readonly TelemetryRecord[]): void {
    const epoch = this.store.number('epoch');
    let head = this.overLost(epoch, priority, this.head(epoch, priority));
    for (const record of records) {
      const draft = { site: this.options.site, epoch, priority, at: this.options.now(), record };
      const entry = linkOutboxEntry(draft, head.sequence === 0 ? undefined : head);
      const body = JSON.stringify(entry);
      const bytes = Buffer.byteLength(body);
      this.db.prepare('INSERT INTO outbox VALUES (?, ?, ?, ?, ?)').run([epoch, priority, entry.sequence, bytes, body]);
      this.countIn(epoch, priority, bytes);
      head = { ...head, sequence: entry.sequence, hash: entry.hash };
    }
    this.putHead(epoch, priority, head);
    for (let drop = decideDrop(this.stored(), this.bound); drop; drop = decideDrop(this.stored(), this.bound)) {
      this.drop(drop.priority, drop.entries);
    }
  }

  /** What was never written has sequences too: the chain goes on over it, by the hash before it. */
  private overLost(epoch: number, priority: SparePriority, head: Head): Head {
    const count = this.lost[priority];
    if (count === 0) return head;
    const gap = {
      priority,
      from: head.sequence + 1,
      to: head.sequence + count,
      count,
      previous: head.hash,
      last: head.hash,
    };
    this.tell(gap);
    const after = { ...head, sequence: gap.to };
    this.putHead(epoch, priority, after);
    return after;
  }

  /** Makes room for what may not be lost; false if nothing is left to drop. */
  shed(): boolean {
    const stored = this.stored();
    const drop = decideDrop(stored, -1);
    if (drop === undefined) return false;
    try {
      this.store.transactSpare(() => this.drop(drop.priority, stored[drop.priority].entries));
      return true;
    } catch {
      return false;
    }
  }

  private drop(priority: SparePriority, entries: number): void {
    this.counted = undefined;
    const epoch = this.store.number('epoch');
    const rows = this.db
      .prepare('SELECT body FROM outbox WHERE epoch = ? AND priority = ? ORDER BY sequence LIMIT ?')
      .all([epoch, priority, entries]) as { body: string }[];
    const [first, last] = [rows[0], rows.at(-1)].map((row) => row && (JSON.parse(row.body) as OutboxEntry));
    if (!first || !last) return;
    // Deleted first: on a full disk the telling has only the room that this makes.
    const sql = 'DELETE FROM outbox WHERE epoch = ? AND priority = ? AND sequence <= ?';
    this.db.prepare(sql).run([epoch, priority, last.sequence]);
    // A gap between two entries that are dropped together is told already, and not twice.
    for (const { from, to } of spans(rows.map(({ body }) => JSON.parse(body) as OutboxEntry))) {
      const count = to.sequence - from.sequence + 1;
      this.tell({ priority, from: from.sequence, to: to.sequence, count, previous: from.previous, last: to.hash });
    }
  }

  private tell(gap: OutboxGap): void {
    this.store.append({ kind: 'outbox-gap', detail: { ...gap } });
  }

  /** Oldest first, after what was sent already. */
  waiting(priority: SparePriority, after: number, limit: number): OutboxEntry[] {
    const sql = 'SELECT body FROM outbox WHERE epoch = ? AND priority = ? AND sequence > ? ORDER BY sequence LIMIT ?';
    const select = () => this.db.prepare(sql).all([this.store.number('epoch'), priority, after, limit]);
    const rows = this.store.spare(select, []) as { body: string }[];
    return rows.map(({ body }) => JSON.parse(body) as OutboxEntry);
  }

  page(entries: OutboxEntry[]): OutboxPage {
    return {
      resource: { attributes: { 'service.name': 'foothold-agent', 'foothold.site': this.options.site } },
      entries,
    };
  }

  /** Deletes what the centre has recorded; what it never saw of this chain is not believed. */
  acknowledge(acks: InboxEnd): void {
    const epoch = this.store.number('epoch');
    if (acks.epoch !== epoch) return;
    for (const priority of SPARE) {
      const head = this.head(epoch, priority);
      const acked = acks[priority];
      if (acked === undefined || !Number.isSafeInteger(acked) || acked <= head.acked || acked > head.sequence) continue;
      this.store.transactSpare(() => {
        this.putHead(epoch, priority, { ...head, acked });
        const sql = 'DELETE FROM outbox WHERE epoch = ? AND priority = ? AND sequence <= ?';
        this.db.prepare(sql).run([epoch, priority, acked]);
        this.counted = undefined;
      });
    }
  }

  /** Of the current epoch. Counted in the table only after a deletion or a failure: it is asked at every sample. */
  stored(): Record<SparePriority, Stored> {
    const epoch = this.store.number('epoch');
    if (this.counted?.epoch !== epoch) this.counted = { epoch, stored: this.count(epoch) };
    return this.counted.stored;
  }

  private countIn(epoch: number, priority: SparePriority, added: number): void {
    if (this.counted?.epoch !== epoch) return;
    const { stored } = this.counted;
    const { entries, bytes } = stored[priority];
    this.counted = { epoch, stored: { ...stored, [priority]: { entries: entries + 1, bytes: bytes + added } } };
  }

  private count(epoch: number): Record<SparePriority, Stored> {
    const sql =
      'SELECT priority, count(*) AS entries, sum(bytes) AS bytes FROM outbox WHERE epoch = ? GROUP BY priority';
    const select = () => this.db.prepare(sql).all([epoch]);
    const rows = this.store.spare(select, []) as (Stored & { priority: SparePriority })[];
    const none = { entries: 0, bytes: 0 };
    const found = { performance: none, routine: none };
    for (const { priority, entries, bytes } of rows)
      found[priority] = { entries: Number(entries), bytes: Number(bytes) };
    return found;
  }

  /** How long samples are gathered before they are kept as one. */
  windowMs(): number {
    const { performance, routine } = this.stored();
    return windowFor((performance.bytes + routine.bytes) / this.bound, this.options.sampleEvery);
  }

  private head(epoch: number, priority: SparePriority): Head {
    const sql = 'SELECT sequence, hash, acked FROM outbox_heads WHERE epoch = ? AND priority = ?';
    const row = this.db.prepare(sql).get([epoch, priority]) as Head | undefined;
    return row ?? { sequence: 0, hash: NO_PREVIOUS, acked: 0 };
  }
  private putHead(epoch: number, priority: SparePriority, { sequence, hash, acked }: Head): void {
    const sql = 'INSERT OR REPLACE INTO outbox_heads VALUES (?, ?, ?, ?, ?)';
    this.db.prepare(sql).run([epoch, priority, sequence, hash, acked]);
  }
}

function spans(entries: OutboxEntry[]): { from: OutboxEntry; to: OutboxEntry }[] {
  const found: { from: OutboxEntry; to: OutboxEntry }[] = [];
  for (const entry of entries) {
    const last = found.at(-1);
    if (last && last.to.sequence + 1 === entry.sequence) last.to = entry;
    else found.push({ from: entry, to: entry });
  }
  return found;
}
