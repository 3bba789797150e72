/** What the reconciler of a stream decides upon: plain data, gathered by an activity. Times in epoch ms. */
import type { Debt } from '../model/debt.js';
import type { Block, OwedSite } from './owed-site.js';

/** How fast returning sites are brought up to date: `burst` at once, then `perMinute`; each batch begins up to `jitter` ms later. */
export interface CatchUpPace {
  burst: number;
  perMinute: number;
  jitter: number;
  /** The first site that returns waits this long, in ms, for others to share its batch. */
  gather: number;
}

export interface CatchUpFacts {
  stream: string;
  now: number;
  pace: CatchUpPace;
  /** A rollout of the stream that has not been sealed: it owns the sites of its plan. */
  running?: { label: string; isCatchUp: boolean };
  /** Owed reverts whose carrier is gone: they are carried again, before anything else. */
  lostReverts: Debt[];
  /** Active sites whose report differs from what they should run, and whether each may be commanded now. */
  owed: OwedSite[];
  /** Set while the desired release is blocked: nothing converges until someone allows it. */
  blocked?: Block;
}
