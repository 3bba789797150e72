/** The facts of a seed, from the registry, Temporal and the sites' own logs. */
import type { SeedFacts } from './facts.js';
import { listRuns, readShards } from './runs.js';
import type { Scene } from './scene.js';
import { VERSIONS } from './seed.js';

export async function gather(scene: Scene, debtsAtSeal: SeedFacts['debtsAtSeal']): Promise<SeedFacts> {
  const { plan, registry, lane } = scene;
  const runs = await listRuns(lane.client, plan.stream);
  const reports = await registry.reports([...scene.sites.keys()]);
  return {
    ...empty(scene),
    before: scene.project.digests[VERSIONS.before] ?? '',
    rollouts: await rolloutsOf(scene),
    shards: await readShards(lane.client, runs),
    runs,
    believed: Object.fromEntries([...reports].map(([site, { report }]) => [site, report.epoch])),
    debtsAtSeal,
    debtsAtEnd: await scene.debtsNow(),
  };
}

/** Of a seed that ended in the middle. */
export function empty({ plan, sites, answers, replacements, rotations }: Scene): SeedFacts {
  const { seed, stream } = plan;
  const nothing = { at: 0, debts: [] };
  return {
    ...{ seed, stream, before: '', rollouts: [], shards: [], runs: [], answers, replacements, rotations, believed: {} },
    sites: Object.fromEntries([...sites].map(([id, site]) => [id, [...site.books.log]])),
    ...{ debtsAtSeal: nothing, debtsAtEnd: nothing },
  };
}

async function rolloutsOf({ plan, registry }: Scene): Promise<SeedFacts['rollouts']> {
  const rollouts: SeedFacts['rollouts'] = [];
  for (const status of await registry.rollouts({ stream: plan.stream })) {
    const { firstRunId, workflowId, planDigest } = status;
    const frozen = await registry.frozenPlan(planDigest);
    if (!frozen) continue;
    rollouts.push({
      ...{ firstRunId, workflowId, status, plan: frozen.plan },
      evidence: await registry.evidence(firstRunId),
      head: await registry.evidenceHead(firstRunId),
      rows: await registry.siteRows(firstRunId),
      commanded: await registry.commanded(firstRunId),
      samples: await registry.samples(firstRunId),
    });
  }
  return rollouts;
}
