/** One site that differs from what it should run. */
import type { Reason } from '../model/verdict.js';

export interface Block {
  rollout: string;
  at: number;
}

export interface OwedSite {
  site: string;
  /** First run id of the rollout whose release the site should run. */
  of: string;
  /** Why it is owed: `absent`, `new`, `drifted`. */
  kind: 'absent' | 'new' | 'drifted';
  /** When it was last heard of; absent: never. Only a site that was heard of since it was last tried is commanded. */
  heardAt?: number;
  lastTriedAt?: number;
  tries: number;
  /** Why it may not be commanded now (quarantine, freeze, hold, an owed revert, its redundancy mate …). */
  hindered?: Reason & { until?: number };
}
