/** One site that differs from what it should run, and what is known of the attempts to bring it there. Times in epoch ms. */
import type { Verb } from '../model/command.js';
import type { SiteOutcome } from '../model/rollout.js';
import type { Reason } from '../model/verdict.js';

export interface OwedSite {
  site: string;
  /** First run id of the rollout whose release the site should run. */
  of: string;
  release: { version: string; digest: string };
  /** Never reached by its rollout; named by no plan, or with nothing live; or different from what it had confirmed. */
  kind: 'absent' | 'new' | 'drifted';
  /** When it was last heard of; absent: never. Only a site that was heard of since it was last tried is commanded. */
  heardAt?: number;
  lastTriedAt?: number;
  /** Since it became desired, or since a person allowed it. */
  tries: number;
  /** Why it may not be commanded now. Without `until` only a person or the site itself can end it. */
  hindered?: Reason & { until?: number };
}

/** A command that the registry knows was issued to a site, with what became of it. */
export interface Commanded {
  site: string;
  firstRunId: string;
  version: string;
  verb: Verb;
  /** Of the rollout: its reverts carry one more. */
  generation: number;
  scheduledAt: number;
  outcome?: SiteOutcome;
}
