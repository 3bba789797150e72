/** What preflight judges: plain facts, gathered by the centre from the registry and by the site from its own store. */
import type { Vars } from '../model/names.js';
import type { Release, ReleaseRef } from '../model/release.js';
import type { SiteReport } from '../model/report.js';
import type { Held } from '../rollout/judge-held.js';
import type { TemplateText, VariableUse } from '../render/release.js';

/** The release as the depot gave it, and what the centre holds against it. */
export interface ReleaseFacts {
  ref: ReleaseRef;
  /** `release` of the manifest: the filled file, not parsed yet. */
  written: unknown;
  /** The texts of the files that `templates` name. */
  templates: readonly TemplateText[];
  /** Set while a central revert blocks (stream, digest). Time in epoch ms. */
  blocked?: { rollout: string; at: number } | undefined;
  /** Every stream that some site of the fleet lists; unknown at a site. */
  fleetStreams?: ReadonlySet<string> | undefined;
}

/** One site: `vars`, `streams` and `declaredVersions` from the fleet, the rest from what it said of itself. */
export interface SiteFacts {
  id: string;
  vars: Vars;
  streams: readonly string[];
  declaredVersions: Readonly<Record<string, string>>;
  /** As the plan has it; unknown at a site. */
  queue?: string;
  /** Absent: it never reported. */
  report?: SiteReport | undefined;
  /** A person has lifted the quarantine of this release here: see `isAllowed`. */
  allowed: boolean;
  /** A person keeps it from being given anything new; unknown at a site, which answers so itself. */
  held?: Held | undefined;
}

/** What a check sees of the release once it is known to be valid. */
export interface JudgedRelease {
  ref: ReleaseRef;
  release: Release;
  uses: readonly VariableUse[];
  blocked?: ReleaseFacts['blocked'];
  fleetStreams?: ReleaseFacts['fleetStreams'];
}

/**
 * What a site counts as reporting when all inputs are files: the versions that the fleet file declares, nothing live.
 * Times and counters are 0: such a report is never stored.
 */
export function declaredReport(site: { id: string; versions: Readonly<Record<string, string>> }): SiteReport {
  return {
    site: site.id,
    at: 0,
    epoch: 0,
    sequence: 0,
    agentVersion: 'declared',
    streams: {},
    versions: { ...site.versions },
    quarantined: [],
  };
}

/**
 * Whether an allowance (of `foothold allow`, `*` for all sites) lifts what the report holds against the release.
 * `quarantined.at` is the site's clock, an allowance's the centre's: a site whose clock runs ahead has to be allowed
 * once more; one that lags behind may try once more what a person allowed shortly before.
 */
export function isAllowed(
  report: SiteReport | undefined,
  release: Pick<ReleaseRef, 'stream' | 'digest'>,
  allowances: readonly { site: string; at: number }[],
): boolean {
  const held = quarantineOf(report, release);
  const mine = allowances.filter(({ site }) => site === '*' || site === report?.site);
  return held !== undefined && mine.some(({ at }) => at >= held.at);
}

/** The newest quarantine of the release that the site reports. */
export function quarantineOf(
  report: SiteReport | undefined,
  release: Pick<ReleaseRef, 'stream' | 'digest'>,
): SiteReport['quarantined'][number] | undefined {
  const held = (report?.quarantined ?? []).filter(
    (one) => one.stream === release.stream && one.digest === release.digest,
  );
  return held.sort((a, b) => b.at - a.at)[0];
}
