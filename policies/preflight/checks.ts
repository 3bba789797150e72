/**
 * The registry of preflight checks. A new one is a small file in `checks/` and a line here; if the site can make it too,
 * it says `atSite` and must need nothing that only the centre knows.
 */
import type { Finding } from '../model/plan.js';
import { held } from './checks/held.js';
import { blocked } from './checks/release.js';
import { lastKnownGood, quarantine, reported } from './checks/history.js';
import { queue } from './checks/queue.js';
import { variables } from './checks/variables.js';
import { conflicts, declared, requires } from './checks/versions.js';
import type { JudgedRelease, SiteFacts } from './facts.js';

/** What a check holds against a release or a site. */
export type Objection = Pick<Finding, 'code' | 'detail'> & { result: 'warn' | 'block' };

export interface ReleaseCheck {
  name: string;
  judge(release: JudgedRelease): Objection[];
}

export interface SiteCheck {
  name: string;
  /** Passed over for a site that never reported. */
  needsReport: boolean;
  /** Repeated by the site when the command arrives. */
  atSite: boolean;
  judge(release: JudgedRelease, site: SiteFacts): Objection[];
}

export const RELEASE_CHECKS: readonly ReleaseCheck[] = [blocked];

/** In the order in which the site answers: the first objection is its reason. */
export const SITE_CHECKS: readonly SiteCheck[] = [
  reported,
  queue,
  held,
  quarantine,
  variables,
  requires,
  conflicts,
  declared,
  lastKnownGood,
];
