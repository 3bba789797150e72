/** What every part of one agent works with. One object per agent: there is no global state, many run in one process. */
import type { Window } from '../policies/model/window.js';
import type { LinkState } from '../policies/model/link.js';
import type { CheckTally } from '../policies/site/decide-watch.js';
import type { Reason } from '../policies/model/verdict.js';
import type { Instant } from '../policies/site/decide-uplink.js';
import type { TrustedKeys } from '../policies/site/judge-keyset.js';
import type { Clock } from './clock.js';
import type { SiteDriver } from './drivers/driver.js';
import type { Storage } from './disk/storage.js';
import type { Depot } from './fetch/depot.js';
import type { Holdings } from './files/holdings.js';
import type { Outbox } from './outbox/outbox.js';
import type { Prefetched } from './prefetch/prefetched.js';
import type { Recorder } from './outbox/recorder.js';
import type { EndedUndo } from './revert.js';
import type { ScrubTurns } from './scrub/turns.js';
import type { Store } from './store/store.js';

/** As pino's: the object first. */
export interface Log {
  debug(detail: object, message: string): void;
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
  error(detail: object, message: string): void;
}

/** Instants at which a test kills the process: before and after everything that is durable or touches the site. */
export type Step =
  | 'accepted'
  | 'keys-adopted'
  | 'fetched'
  | 'staged'
  | 'adopt-journaled'
  | 'adopt-aside'
  | 'adopted'
  | 'undo-captured'
  | 'before-done'
  | 'switching'
  | 'activated'
  | 'all-activated'
  | 'watching'
  | 'confirming'
  | 'confirmed'
  | 'reverting'
  | 'reverted-one'
  | 'reverted-all'
  | 'reverted';

/** The last samples of a release's checks. */
export interface LastTallies {
  releaseId: number;
  tallies: CheckTally[];
  /** Epoch ms, of the check at the same index; undefined: not sampled yet. */
  sampledAt: (number | undefined)[];
}

export interface SiteContext {
  site: string;
  dataDirectory: string;
  clock: Clock;
  log: Log;
  store: Store;
  holdings: Holdings;
  storage: Storage;
  /** Whose turn it is to read all that is kept. */
  scrubs: ScrubTurns;
  prefetched: Prefetched;
  /** Ends once nothing is fetched ahead any more: the release that is about to be staged has the link, and what was fetched. */
  standAside: () => Promise<void>;
  outbox: Outbox;
  recorder: Recorder;
  /** Aborted once the agent stops: what waits for the disk must not keep it from stopping. */
  closing: AbortSignal;
  depot: Depot;
  drivers: Record<string, SiteDriver>;
  /** Control keys that agent.yaml pins, PEM. */
  pinnedPems: string[];
  /** Control keys that commands are verified by. */
  trust: TrustedKeys;
  /** By stream, of the release that was watched last: it may be live no more. */
  tallies: Map<string, LastTallies>;
  /** Endpoints that echo, as agent.yaml declares them. */
  uplink: string[];
  /** When drift may be put back, as agent.yaml declares it; none: at any time. */
  repairWindows: Window[];
  /** When the last echo that came back was begun. */
  lastEcho?: Instant;
  /** By stream: why what is staged is not switched to yet. */
  waits: Map<string, Reason>;
  /** `<directory> <tree>` of what was read back whole by this process: an undo need not read it again. */
  verified: Set<string>;
  /** Last proven contact with the centre, epoch ms; 0: never. Kept on disk now and then. */
  lastContact: number;
  /** As the link said last; undefined: there was none in this life of the process. */
  link?: LinkState;
  /** Releases that this very process has switched to, by their number on the books. */
  switched: Set<number>;
  /** By stream: an undo that was made, and that the disk has not let be told yet. */
  untold: Map<string, EndedUndo>;
  /** Something on disk may be needed no longer. */
  untidy: boolean;
  /** It only looks: nothing of the site is changed. */
  observing: boolean;
  /** How each version is read, and what was read last. */
  versions(): Promise<Record<string, string>>;
  step(step: Step): void;
}
