/** Makes what every part of one agent works with: the store, the disk, the holdings, and what is known of the site. */
import { MistakeError } from '../policies/model/failure.js';
import { machineClock } from './clock.js';
import type { SiteContext } from './context.js';
import { Reserve } from './disk/reserve.js';
import { Storage } from './disk/storage.js';
import { troubleOf } from './disk/trouble.js';
import { directoryDriver } from './drivers/directory.js';
import { execDriver } from './drivers/exec.js';
import { openDepot } from './fetch/depot.js';
import { Holdings } from './files/holdings.js';
import type { AgentOptions } from './options.js';
import { tellingLog } from './outbox/log-lines.js';
import { Outbox } from './outbox/outbox.js';
import { Recorder } from './outbox/recorder.js';
import { Prefetched } from './prefetch/prefetched.js';
import { ScrubTurns } from './scrub/turns.js';
import { openDatabase } from './store/database.js';
import { Store } from './store/store.js';
import { readTrust } from './trust.js';
import { versionReader } from './versions.js';

/** `books`: where the database is, if not in the data directory. */
export function openContext(options: AgentOptions, books = options.dataDirectory): SiteContext {
  const { site, dataDirectory, log } = options;
  const clock = options.clock ?? machineClock();
  const storage = new Storage({ dataDirectory, log, now: () => clock.now(), forJournal: options.reserveForJournal });
  const db = openNoting(storage, books);
  const store = new Store(db, site, () => clock.now());
  const { outboxBytes: bound, sampleEvery } = options;
  const outbox = new Outbox(db, store, { site, now: () => clock.now(), bound, sampleEvery });
  const holdings = new Holdings(dataDirectory, store);
  const prefetched = new Prefetched(dataDirectory, store, holdings.blobs);
  storage.watch(store, () => prefetched.giveWay() || outbox.shed());
  claimFor(store, site, dataDirectory);
  return {
    site,
    dataDirectory,
    clock,
    log: tellingLog(log, outbox, () => clock.now()),
    store,
    holdings,
    storage,
    scrubs: new ScrubTurns(),
    prefetched,
    standAside: async () => undefined,
    outbox,
    recorder: new Recorder(),
    closing: new AbortController().signal,
    depot: openDepot(options.depot),
    drivers: { directory: directoryDriver, exec: execDriver, ...options.drivers },
    pinnedPems: options.controlKeysPem,
    trust: readTrust(store, options.controlKeysPem),
    tallies: new Map(),
    uplink: options.uplink ?? [],
    repairWindows: options.repairWindows ?? [],
    waits: new Map(),
    verified: new Set(),
    switched: new Set(),
    untold: new Map(),
    lastContact: store.number('lastContact'),
    untidy: false,
    observing: options.observe ?? false,
    versions: versionReader(options.reports ?? {}, dataDirectory, () => clock.elapsed()),
    step: options.onStep ?? (() => undefined),
  };
}

/** What the disk says here is remembered as well: the next start may find it quiet. */
function openNoting(storage: Storage, dataDirectory: string): ReturnType<typeof openDatabase> {
  try {
    return withRoom(dataDirectory, () => openDatabase(dataDirectory));
  } catch (error) {
    storage.note(error, 'opening the database');
    throw error;
  }
}

/** On a disk that is full neither the lock nor the database opens: the guard comes first, and needs the reserve for it. */
export function withRoom<T>(dataDirectory: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (troubleOf(error, dataDirectory) !== 'full' || !new Reserve(dataDirectory).giveUp()) throw error;
    return open();
  }
}

/** A data directory belongs to one site: its journal and its floors mean nothing anywhere else. */
function claimFor(store: Store, site: string, dataDirectory: string): void {
  const owner = store.fact('site');
  if (owner === site) return;
  if (owner !== undefined) {
    store.close();
    const message = `expected ${dataDirectory} to be the data directory of site ${site}, it is that of ${owner}`;
    throw new MistakeError('BAD_ARGUMENT', `${message}; give each site a data directory of its own`);
  }
  store.transact(() => {
    store.putFact('site', site);
    store.putFact('epoch', 1);
  });
}
