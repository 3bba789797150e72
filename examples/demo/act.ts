/** One act: a rollout from start to seal, and what is known of it afterwards. */
import type { MetricVerdict } from '../../policies/model/verdict.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { SiteRow } from '../../records/registry/registry.js';
import type { Count } from '../../infra/dev/load/timeline.js';
import { countShardEvents, type EventCount } from './events.js';
import { followRollout, type Followed } from './follow.js';
import { STREAM } from './places.js';
import { servedBy, type World } from './world.js';

export interface ActPlan {
  version: string;
  strategy: string;
}

export interface SiteFact {
  outcome: string;
  /** Version that is live there, by the site's last report. */
  release: string;
  reason?: string;
}

export interface ActRecord {
  release: string;
  status: RolloutStatus;
  /** By site id, in its order. */
  sites: Record<string, SiteFact>;
  /** Version that nginx itself answers with. */
  served: Record<string, string>;
  gate: { stage: string; metric: string; verdict: string; values: (number | null)[] }[];
  events: EventCount;
  /** Requests to all sites from the start to the undo (or the end), and during the undo. */
  traffic: { switching: Count; undoing?: Count };
  seconds: number;
}

/** Plays the act; `meanwhile` is what else happens in it, given the rollout's workflow id. */
export async function playAct<T>(
  world: World,
  plan: ActPlan,
  meanwhile: () => Promise<T>,
): Promise<{ record: ActRecord; meanwhile: T }> {
  const startedAt = Date.now();
  const started = await world.foothold.json('start', `${STREAM}@${plan.version}`, plan.strategy);
  const { workflowId } = started as { workflowId: string };
  const [followed, other] = await Promise.all([followRollout(world, workflowId), meanwhile()]);
  return { record: await recordOf(world, plan, startedAt, followed), meanwhile: other };
}

interface StatusDocument {
  rollout: RolloutStatus;
  sites: SiteRow[];
  gate: (MetricVerdict & { stage: string; wave: number; values: (number | null)[] })[];
}

async function recordOf(world: World, plan: ActPlan, startedAt: number, followed: Followed): Promise<ActRecord> {
  const { label } = followed.status;
  const { rollout, sites, gate } = (await world.foothold.json('status', label)) as StatusDocument;
  const { undoingSince, endedAt } = followed;
  return {
    release: `${STREAM}@${plan.version}`,
    status: rollout,
    sites: await siteFacts(world, sites),
    served: Object.fromEntries(
      await Promise.all(world.sites.map(async (site) => [site.id, await servedBy(site)] as const)),
    ),
    gate: gate.map(({ stage, metric, verdict, values }) => ({ stage, metric, verdict, values })),
    events: await countShardEvents(world.temporal, rollout.workflowId, rollout.firstRunId),
    traffic: {
      switching: await countAll(world, startedAt, undoingSince ?? endedAt),
      ...(undoingSince === undefined ? {} : { undoing: await countAll(world, undoingSince, endedAt) }),
    },
    seconds: (endedAt - startedAt) / 1_000,
  };
}

async function siteFacts(world: World, rows: SiteRow[]): Promise<Record<string, SiteFact>> {
  const reports = await world.registry.reports();
  const facts = world.sites.map(({ id }): [string, SiteFact] => {
    const row = rows.find(({ site }) => site === id);
    const release = reports.get(id)?.report.streams[STREAM]?.live?.version ?? 'unknown';
    const reason = row?.reason?.code;
    return [id, { outcome: row?.outcome ?? 'untouched', release, ...(reason === undefined ? {} : { reason }) }];
  });
  return Object.fromEntries(facts);
}

async function countAll(world: World, from: number, to: number): Promise<Count> {
  const counts = await Promise.all(world.sites.map(({ id }) => world.centre.load.count(id, from, to)));
  const sum: Count = { requests: 0, failed: 0, codes: {} };
  for (const { requests, failed, codes } of counts) {
    sum.requests += requests;
    sum.failed += failed;
    for (const [code, count] of Object.entries(codes)) sum.codes[code] = (sum.codes[code] ?? 0) + count;
  }
  return sum;
}
