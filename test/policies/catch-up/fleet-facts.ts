/** Fleets to judge, written short. */
import type { FleetFacts } from '../../../policies/catch-up/owed.js';
import { CATCH_UP_PACE } from '../../../policies/catch-up/pace.js';
import type { Commanded } from '../../../policies/catch-up/owed-site.js';
import type { Debt, Desired } from '../../../policies/model/debt.js';
import type { Site } from '../../../policies/model/fleet.js';
import type { SiteReport, StreamReport } from '../../../policies/model/report.js';

export const STREAM = 'edge-proxy';
export const FIBRE = { name: 'fibre', settleWithin: 1_800_000, startWithin: 2_000, heartbeat: 10_000 };

export function digestOf(version: string): string {
  return `sha256:${version.replaceAll(/\D/g, '').padEnd(64, '0')}`;
}

export function release(version: string) {
  return { version, digest: digestOf(version) };
}

export function siteOf(id: string, change: Partial<Site> = {}): Site {
  const rest = { risk: 'low' as const, streams: [STREAM], versions: {}, vars: {}, state: 'active' as const };
  return { id, link: FIBRE, queue: `site-${id}`, ...rest, ...change };
}

export function desiredOf(site: string, version: string, generation: number, change: Partial<Desired> = {}): Desired {
  const label = `${STREAM}-${version}-1`;
  const its = { firstRunId: `run-${version}`, label, planDigest: `plan-${version}`, stage: 'all' };
  return { site, stream: STREAM, release: release(version), generation, since: 1_000, ...its, ...change };
}

export function reported(
  live: string | undefined,
  generation: number,
  change: Partial<StreamReport> = {},
): StreamReport {
  const held = live === undefined ? {} : { live: release(live) };
  return { state: live === undefined ? 'idle' : 'confirmed', generation, try: 1, checks: [], ...held, ...change };
}

export function reportOf(site: string, stream: StreamReport | undefined, change: Partial<SiteReport> = {}): SiteReport {
  const rest = { at: 0, epoch: 1, sequence: 1, agentVersion: 'test', versions: {}, quarantined: [] };
  return { site, streams: stream ? { [STREAM]: stream } : {}, ...rest, ...change };
}

export function convergeOf(
  site: string,
  version: string,
  generation: number,
  change: Partial<Commanded> = {},
): Commanded {
  return { site, firstRunId: `run-${version}`, version, verb: 'converge', generation, scheduledAt: 500, ...change };
}

export function revertOwed(site: string, label: string): Debt {
  return {
    site,
    stream: STREAM,
    verb: 'revert',
    firstRunId: `run-${label}`,
    workflowId: `rollout/${label}`,
    label,
    release: release('0.9.0'),
    planDigest: 'plan',
    stage: 'all',
    wave: 0,
    generation: 2,
    try: 1,
    owner: 'catchUp',
    reason: { code: 'UNREACHED', detail: '' },
    since: 0,
  };
}

/** `sites`: what each reports, and when. */
export function fleetFacts(change: Partial<FleetFacts> = {}): FleetFacts {
  return {
    stream: STREAM,
    now: 1_000_000,
    pace: CATCH_UP_PACE,
    sites: [],
    desired: new Map(),
    reports: new Map(),
    commanded: new Map(),
    debts: [],
    freezes: [],
    holds: [],
    releases: new Map([[digestOf('2.0.0'), { allowances: [], planned: true }]]),
    ...change,
  };
}
