/** The frozen plan (design §2, §4.2). */
import type { Reason } from './verdict.js';
import type { LinkClass, Site } from './fleet.js';
import type { Metric, OnFailure, Share } from './strategy.js';
import type { ReleaseRef } from './release.js';

export interface PlanSite {
  id: string;
  varsDigest: string;
}

/** `hold`: written as wave `0`, has no sites, and waits until someone promotes. */
export interface PlanWave {
  sites: PlanSite[];
  hold?: true;
}

/** Durations in ms; `settleWithin: 'link'` takes the value of each site's link class. */
export interface PlanStage {
  name: string;
  waves: PlanWave[];
  gate: { name: string; metrics: Metric[] } | { name: 'none'; because: string };
  soak: number;
  concurrency: number;
  settleWithin: 'link' | number;
  budget: { failed: Share; owed: Share };
}

export interface Plan {
  version: 1;
  /** sha256 of the JCS form of all other fields. */
  digest: string;
  release: ReleaseRef;
  strategy: {
    name: string;
    digest: string;
    owner?: string;
    onFailure: OnFailure;
    onInconclusive: { within: number; then: OnFailure };
    /** Files travel this long before the first switch. */
    prefetch?: number;
  };
  stages: PlanStage[];
  excluded: { site: string; reason: string }[];
}

/** The plan with what is needed to carry it out: kept in the registry by the plan's digest. */
export interface FrozenPlan {
  plan: Plan;
  sites: Record<string, PlannedSite>;
}
export interface PlannedSite extends Pick<
  Site,
  'id' | 'queue' | 'vars' | 'risk' | 'region' | 'cluster' | 'assetType' | 'redundancyGroup'
> {
  link: LinkClass;
}

/** One preflight finding about the release or one site. */
export interface Finding extends Reason {
  site?: string;
  check: string;
  result: 'pass' | 'warn' | 'block';
}
