/** Preflight at the centre (design §4.3): gathers the facts, asks the policy, keeps every finding. */
import { isAllowed, type SiteFacts } from '../../policies/preflight/facts.js';
import { judgePreflight } from '../../policies/preflight/judge.js';
import type { Finding, FrozenPlan } from '../../policies/model/plan.js';
import { judgeHeld } from '../../policies/rollout/judge-held.js';
import type { PreflightSummary, RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { readFleet } from './sources.js';

const FIRST = 10;

export async function runPreflight(deps: ControlDeps, planDigest: string, run: RunIdentity): Promise<PreflightSummary> {
  const frozen = await deps.registry.frozenPlan(planDigest);
  if (!frozen) throw new TypeError(`the registry does not hold plan ${planDigest}`);
  return judgeFrozen(deps, frozen, run);
}

/** Of a plan whether it is frozen yet or only resolved. */
export async function judgeFrozen(deps: ControlDeps, frozen: FrozenPlan, run: RunIdentity): Promise<PreflightSummary> {
  const { release } = frozen.plan;
  const published = await deps.depot.release(release.stream, release.version);
  const fleet = await readFleet(deps);
  const block = (await deps.registry.blocks(release.stream)).find((one) => one.digest === release.digest);
  const verdict = judgePreflight(
    {
      ref: release,
      written: published.manifest.release,
      templates: await deps.depot.templateTexts(published),
      blocked: block && { rollout: block.rollout, at: block.at },
      fleetStreams: new Set(fleet.sites.flatMap((site) => site.streams)),
    },
    await siteFacts(deps, frozen),
  );
  await deps.registry.putFindings(run.firstRunId, verdict.findings);
  return summaryOf(verdict.findings, verdict.blocked);
}

async function siteFacts(deps: ControlDeps, { plan, sites }: FrozenPlan): Promise<SiteFacts[]> {
  const fleet = new Map((await readFleet(deps)).sites.map((site) => [site.id, site]));
  const reports = await deps.registry.reports(Object.keys(sites));
  const allowances = await deps.registry.allowances(plan.release.stream, plan.release.digest);
  const now = deps.now();
  const holds = await deps.registry.holds(now);
  return Object.values(sites).map((site) => {
    const known = reports.get(site.id);
    const report = known?.report;
    return {
      id: site.id,
      vars: site.vars,
      queue: site.queue,
      streams: fleet.get(site.id)?.streams ?? [],
      declaredVersions: fleet.get(site.id)?.versions ?? {},
      report,
      allowed: isAllowed(report, plan.release, allowances),
      held: judgeHeld(site.id, plan.release.stream, known, holds, now),
    };
  });
}

function summaryOf(findings: Finding[], blocked: boolean): PreflightSummary {
  const count = (result: Finding['result']) => findings.filter((finding) => finding.result === result).length;
  const shown = findings.filter((finding) => finding.result === (blocked ? 'block' : 'warn'));
  return {
    blocked,
    counts: { pass: count('pass'), warn: count('warn'), block: count('block') },
    first: shown.slice(0, FIRST),
  };
}
