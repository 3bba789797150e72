/**
 * The health of the disk below one agent. What was once broken is not trusted again by itself: an error of fsync is told
 * once, and the next fsync may call lost pages durable (fault H4). Only a person ends it, after everything was read back.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../context.js';
import type { Store } from '../store/store.js';
import type { StorageFault } from '../../policies/model/report.js';
import { Reserve } from './reserve.js';
import { troubleOf } from './trouble.js';

const MARK = 'storage-fault.json';

export interface StorageOptions {
  dataDirectory: string;
  log: Log;
  now: () => number;
  forJournal?: number | undefined;
}

export class Storage {
  readonly reserve: Reserve;
  /** In memory too: a broken disk may not take it. */
  private found: StorageFault | undefined;
  private errors = { count: 0, last: '' };
  private store: Store | undefined;
  private telling = false;
  private readonly mendedListeners = new Set<() => void>();

  constructor(private readonly options: StorageOptions) {
    this.reserve = new Reserve(options.dataDirectory, options.forJournal);
    this.found = this.readMark();
  }

  get fault(): StorageFault | undefined {
    return this.found;
  }

  /** Errors of a broken disk in this life of the process, also those while a fault stands already. */
  get broken(): Readonly<{ count: number; last: string }> {
    return this.errors;
  }

  /** From now on the database hears of errors and knows of faults. */
  watch(store: Store, shed: () => boolean): void {
    this.store = store;
    this.found ??= parseFault(store.fact('storageFault'));
    store.onTrouble({
      broken: (error) => void this.note(error, 'the database'),
      makeRoom: (error) => this.makeRoom(error, shed),
    });
  }

  /** Notes what an error says of the disk; undefined if it says nothing of it. */
  note(error: unknown, where: string): 'full' | 'broken' | undefined {
    const trouble = troubleOf(error, this.options.dataDirectory);
    if (trouble !== 'broken') return trouble;
    const detail = `${where}: ${error instanceof Error ? error.message : String(error)}`;
    this.errors = { count: this.errors.count + 1, last: detail };
    if (this.found !== undefined) return trouble;
    this.found = { code: 'STORAGE_FAULT', detail, at: this.options.now() };
    this.options.log.error({ detail }, 'the disk failed; nothing new is begun until a person says that it was mended');
    this.keep();
    return trouble;
  }

  /** Ended by a person, once everything was read back. */
  forget(store: Store): void {
    store.transact(() => store.putFact('storageFault', ''));
    rmSync(this.markPath, { force: true });
    this.found = undefined;
    for (const listener of this.mendedListeners) listener();
  }

  /** Hears that a person has ended a fault. Returns how to hear no more. */
  onMended(listener: () => void): () => void {
    this.mendedListeners.add(listener);
    return () => this.mendedListeners.delete(listener);
  }

  /** As durable as the disk still allows: in the database, and beside it. */
  keep(): void {
    const { found, store } = this;
    if (found === undefined || this.telling) return;
    this.telling = true;
    try {
      writeFileSync(this.markPath, `${JSON.stringify(found)}\n`, { mode: 0o600 });
    } catch (error) {
      this.options.log.warn({ error: String(error) }, 'the fault of the disk could not be written beside the database');
    }
    // Later: this may be called from within a transaction that is failing just now.
    setImmediate(() => {
      try {
        if (store && this.found && parseFault(store.fact('storageFault')) === undefined) {
          store.transact(() => {
            store.putFact('storageFault', JSON.stringify(found));
            store.append({ kind: 'storage-fault', detail: { ...found } });
          });
        }
      } catch (error) {
        this.options.log.warn({ error: String(error) }, 'the fault of the disk could not be journaled yet');
      } finally {
        this.telling = false;
      }
    });
  }

  private makeRoom(error: unknown, shed: () => boolean): boolean {
    if (troubleOf(error, this.options.dataDirectory) !== 'full') return false;
    try {
      return shed() || this.reserve.giveSlice();
    } catch {
      return false;
    }
  }

  private get markPath(): string {
    return join(this.options.dataDirectory, MARK);
  }

  private readMark(): StorageFault | undefined {
    try {
      return parseFault(readFileSync(this.markPath, 'utf8'));
    } catch {
      return undefined;
    }
  }
}

/** A mark that was cut short still says that there was a fault. */
function parseFault(text: string | undefined): StorageFault | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return JSON.parse(text) as StorageFault;
  } catch {
    return { code: 'STORAGE_FAULT', detail: 'the mark of a fault was cut short', at: 0 };
  }
}
