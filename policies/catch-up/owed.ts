/** Which sites of a stream differ from what they should run, and which of them may be commanded now. */
import type { Debt, Desired, Freeze } from '../model/debt.js';
import type { Site } from '../model/fleet.js';
import type { CentralHold } from '../model/hold.js';
import type { SiteReport } from '../model/report.js';
import { judgeHeld } from '../rollout/judge-held.js';
import { judgeDrift, type Drift } from './drift.js';
import { judgeHindrance, triesOf, type ReleaseFacts, type SiteFacts } from './hindered.js';
import type { Commanded, OwedSite } from './owed-site.js';
import type { CatchUpPace } from './pace.js';

export interface FleetFacts {
  stream: string;
  now: number;
  pace: CatchUpPace;
  /** Of the fleet as it is now; those that do not list the stream, and retired ones, are passed over. */
  sites: readonly Site[];
  desired: ReadonlyMap<string, Desired>;
  reports: ReadonlyMap<string, { report: SiteReport; receivedAt: number }>;
  /** Commands of the stream by site: of those sites at least that differ. */
  commanded: ReadonlyMap<string, readonly Commanded[]>;
  /** Of the stream. */
  debts: readonly Debt[];
  freezes: readonly Freeze[];
  holds: readonly CentralHold[];
  /** By digest. One that is missing has no plan. */
  releases: ReadonlyMap<string, ReleaseFacts>;
}

export interface JudgedFleet {
  /** In the order of the fleet. */
  owed: OwedSite[];
  /** Sites that have gone beyond what the registry knows: what they report is to be taken over. */
  ahead: { site: string; live: { version: string; digest: string }; generation: number }[];
}

const NO_PLAN: ReleaseFacts = { allowances: [], planned: false };

export function judgeFleet(facts: FleetFacts): JudgedFleet {
  const judged: JudgedFleet = { owed: [], ahead: [] };
  const owedReverts = new Map<string, Debt[]>();
  for (const debt of facts.debts) {
    if (debt.verb === 'revert') owedReverts.set(debt.site, [...(owedReverts.get(debt.site) ?? []), debt]);
  }
  const left = new Set(facts.debts.filter(({ verb }) => verb === 'converge').map(({ site }) => site));
  for (const site of facts.sites) {
    const desired = facts.desired.get(site.id);
    if (!desired || site.state === 'retired' || !site.streams.includes(facts.stream)) continue;
    const commanded = facts.commanded.get(site.id) ?? [];
    const known = facts.reports.get(site.id);
    const drift = driftOf(facts, site.id, desired, commanded);
    if (drift === 'same') continue;
    const reported = known?.report.streams[facts.stream];
    if (drift === 'ahead' && reported?.live) {
      const { version, digest } = reported.live;
      judged.ahead.push({ site: site.id, live: { version, digest }, generation: reported.generation });
      continue;
    }
    const held = judgeHeld(site.id, facts.stream, known, facts.holds, facts.now);
    const owes = owedReverts.get(site.id) ?? [];
    const its: SiteFacts = { site, drift, desired, commanded, owedReverts: owes, ...(held && { held }) };
    judged.owed.push(owedSite(known ? { ...its, known } : its, facts, left.has(site.id)));
  }
  return judged;
}

/** Sites whose reports differ from what they should run: those of which a closer look is needed. */
export function differing(facts: Pick<FleetFacts, 'stream' | 'sites' | 'desired' | 'reports'>): string[] {
  return facts.sites
    .filter((site) => {
      const desired = facts.desired.get(site.id);
      return desired !== undefined && driftOf(facts, site.id, desired, []) !== 'same';
    })
    .map(({ id }) => id);
}

function driftOf(
  { stream, reports }: Pick<FleetFacts, 'stream' | 'reports'>,
  site: string,
  desired: Desired,
  commanded: readonly Commanded[],
): Drift {
  const known = reports.get(site);
  const reported = known && (known.report.streams[stream] ?? null);
  return judgeDrift(reported, desired, Math.max(0, ...commanded.map(({ generation }) => generation)));
}

function owedSite(its: SiteFacts, facts: FleetFacts, hasDebt: boolean): OwedSite {
  const { site, desired, known } = its;
  const release = facts.releases.get(desired.release.digest) ?? NO_PLAN;
  const hindered = judgeHindrance(its, release, facts.freezes, facts.pace, facts.now);
  const { tries, lastTriedAt } = triesOf(its, release);
  return {
    site: site.id,
    of: desired.firstRunId,
    release: desired.release,
    kind: kindOf(its, facts.stream, hasDebt),
    tries,
    ...(known && { heardAt: known.receivedAt }),
    ...(lastTriedAt !== undefined && { lastTriedAt }),
    ...(hindered && { hindered }),
  };
}

function kindOf({ desired, known, commanded }: SiteFacts, stream: string, hasDebt: boolean): OwedSite['kind'] {
  const reached = commanded.some(
    ({ version, outcome }) => version === desired.release.version && outcome?.outcome === 'confirmed',
  );
  const live = known?.report.streams[stream]?.live;
  if (!live || (desired.stage === undefined && !reached)) return hasDebt ? 'absent' : 'new';
  return reached && !hasDebt ? 'drifted' : 'absent';
}
