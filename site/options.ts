/** What an agent is opened with. */
import type { Window } from '../policies/model/window.js';
import type { Clock } from './clock.js';
import type { Log, Step } from './context.js';
import type { SiteDriver } from './drivers/driver.js';

export interface AgentOptions {
  site: string;
  /** Made if it does not exist. One agent at a time. */
  dataDirectory: string;
  /** Pinned public keys, PEM. */
  controlKeysPem: string[];
  /** `http://…`, `file://…` or a directory. */
  depot: string;
  /** How each version is read. */
  reports?: Record<string, string[]>;
  /** Endpoints that echo, for releases with `uplink: required`. */
  uplink?: string[];
  /** When drift may be put back; none: at any time. */
  repairWindows?: Window[];
  log: Log;
  clock?: Clock;
  /** By component type; replaces or adds to `directory` and `exec`. */
  drivers?: Record<string, SiteDriver>;
  /** Hears of every instant at which a crash would matter: tests kill the process there. */
  onStep?: (step: Step) => void;
  /** How often, in ms, the depot is asked for newer control keys; an hour if absent. */
  keysetEveryMs?: number;
  /** It only looks: nothing of the site is changed, and every converge refused. */
  observe?: boolean;
  /** How often, in ms, what is live is compared with the confirmed release; ten minutes if absent. */
  driftEveryMs?: number;
  /** Of the disk reserve, what is kept for the journal beside the undo itself, in bytes. */
  reserveForJournal?: number;
  /** How often, in ms, the disk is looked at. */
  diskEveryMs?: number;
  /** How often, in ms, it is looked whether a mark is due; five seconds if absent. */
  marksEveryMs?: number;
  /** Bytes that samples and log lines may take until the centre has them. */
  outboxBytes?: number;
  /** How long samples of checks are gathered into one, ms; a minute if absent. */
  sampleEvery?: number;
  /** How often, in ms, all that is kept is read back; a day if absent. */
  scrubEveryMs?: number;
  /** After how many ms a prefetch that failed is tried again, at first; a minute if absent. */
  prefetchRetryMs?: number;
}
