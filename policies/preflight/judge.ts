/** Preflight (design §4.3): before the first site, every check against every site; at the site, those it can make. */
import type { Finding } from '../model/plan.js';
import type { Reason } from '../model/verdict.js';
import { RELEASE_CHECKS, SITE_CHECKS, type Objection, type SiteCheck } from './checks.js';
import { judgeSchema } from './checks/release.js';
import type { JudgedRelease, ReleaseFacts, SiteFacts } from './facts.js';

export interface PreflightVerdict {
  /** First those about the release, then site by site in the order given; each has at least one, a `pass` if all went well. */
  findings: Finding[];
  /** One blocking finding stops the rollout before the first site. */
  blocked: boolean;
}

/** What a site knows: not the fleet, and of the release only what came with the command. */
export type ReleaseAtSite = Pick<ReleaseFacts, 'ref' | 'written' | 'templates'>;
export type SiteAtSite = Pick<SiteFacts, 'id' | 'vars' | 'report' | 'allowed'>;

/** At the centre. A release that is not valid is the only finding: nothing else can be judged. */
export function judgePreflight(facts: ReleaseFacts, sites: readonly SiteFacts[]): PreflightVerdict {
  const schema = judgeSchema(facts);
  const findings =
    'objections' in schema
      ? schema.objections.map((objection) => ({ check: 'schema', ...objection }))
      : [...judgeRelease(schema.release), ...sites.flatMap((site) => judgeSite(schema.release, site))];
  return { findings, blocked: findings.some((finding) => finding.result === 'block') };
}

/** At the site, when the command arrives: why it answers `rejected`, in the words that the centre would use. */
export function judgeAtSite(facts: ReleaseAtSite, self: SiteAtSite): Reason | undefined {
  const schema = judgeSchema(facts);
  const site: SiteFacts = { ...self, streams: [], declaredVersions: {} };
  const objections =
    'objections' in schema
      ? schema.objections
      : SITE_CHECKS.filter((check) => check.atSite).flatMap((check) => check.judge(schema.release, site));
  const first = objections.find((objection) => objection.result === 'block');
  return first && { code: first.code, detail: first.detail };
}

function judgeRelease(release: JudgedRelease): Finding[] {
  const found = RELEASE_CHECKS.flatMap((check) => named(check.name, check.judge(release)));
  const names = ['schema', ...RELEASE_CHECKS.map((check) => check.name)];
  return found.length > 0 ? found : [passed(names)];
}

function judgeSite(release: JudgedRelease, site: SiteFacts): Finding[] {
  const checks = SITE_CHECKS.filter((check) => canJudge(check, site));
  const found = checks.flatMap((check) => named(check.name, check.judge(release, site)));
  const findings = found.length > 0 ? found : [passed(checks.map((check) => check.name))];
  return findings.map((finding) => ({ site: site.id, ...finding }));
}

function canJudge(check: SiteCheck, site: SiteFacts): boolean {
  return !check.needsReport || site.report !== undefined;
}

function named(check: string, objections: Objection[]): Finding[] {
  return objections.map((objection) => ({ check, ...objection }));
}

function passed(names: string[]): Finding {
  return { check: 'all', result: 'pass', code: 'PREFLIGHT_OK', detail: `nothing to object to: ${names.join(', ')}` };
}
