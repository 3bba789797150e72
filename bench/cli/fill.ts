/**
 * A project whose registry has a past: ten thousand sites with reports and events, a rollout of all of them that ended,
 * one of all of them that waits, and many small ones that left debts. Written through the registry's own methods.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { planRollout } from '../../policies/cohort/plan.js';
import type { Result, Settled } from '../../policies/model/command.js';
import type { ResolvedFleet } from '../../policies/model/fleet.js';
import type { FrozenPlan } from '../../policies/model/plan.js';
import type { SiteReport } from '../../policies/model/report.js';
import type { RolloutStatus, SiteOutcome, StageStatus } from '../../policies/model/rollout.js';
import { linkSiteEvent } from '../../policies/signing/chain.js';
import { digestOf } from '../../policies/signing/jcs.js';
import { sealPlan } from '../../policies/signing/plan-digest.js';
import { loadFleet } from '../../records/files/fleet-file.js';
import { FLEET_NAME } from '../../records/files/newer-import.js';
import { loadStrategy } from '../../records/files/strategy-file.js';
import { openRegistry } from '../../records/registry/open.js';
import type { FrozenRollout, Registry } from '../../records/registry/registry.js';

export interface Filled {
  directory: string;
  registry: string;
  sites: number;
  rollouts: number;
  debts: number;
  evidence: number;
  /** What the bench asks about. */
  label: string;
  /** The rollout of all sites that ended: a `watch` of it draws its screen once and ends. */
  over: string;
  site: string;
}

export interface Size {
  sites: number;
  rollouts: number;
  /** Entries of each rollout. */
  evidence: number;
}

const MINUTE = 60_000;
/** Sites of each small rollout. */
const SMALL = 50;
const AT_ONCE = 500;
const BIG = 'edge-proxy';
const LITTLE = 'firewall-policy';
const apiVersion = 'foothold/v1';

/** Rollouts are an hour apart, the latest one begun just before `now`. */
export async function fillProject(directory: string, size: Size, now: number): Promise<Filled> {
  const path = await writeProject(directory, size.sites);
  const fleet: ResolvedFleet = await loadFleet(join(directory, 'fleet.yaml'));
  const { strategy, digest } = await loadStrategy(join(directory, 'strategies/even.yaml'));
  const registry = await openRegistry(`sqlite:${path}`);
  try {
    const { digest: fleetDigest, sites } = fleet;
    await registry.importDocument(
      { kind: 'fleet', name: FLEET_NAME, digest: fleetDigest, body: { digest: fleetDigest, sites } },
      now + MINUTE,
    );
    const planOf = (stream: string, version: string, only?: { id: string[] }): FrozenPlan => {
      const release = { stream, version, digest: digestOf([stream, version]) };
      const { plan, sites: planned } = planRollout({
        release,
        fleet,
        strategy,
        strategyDigest: digest,
        only,
        digestOf,
      });
      return { plan: sealPlan(plan), sites: planned };
    };
    const ids = fleet.sites.map(({ id }) => id);
    const at = (index: number) => now - (size.rollouts - index) * 60 * MINUTE;
    const over = await past({ registry, frozen: planOf(BIG, '2.3.0'), run: 'run-0000', at: at(0), size, ended: true });
    for (let i = 1; i < size.rollouts - 1; i += 1) {
      const first = ((i - 1) * SMALL) % ids.length;
      const only = { id: ids.slice(first, first + SMALL) };
      const frozen = planOf(LITTLE, `1.${i}.0`, only);
      await past({ registry, frozen, run: `run-${String(i).padStart(4, '0')}`, at: at(i), size, only, ended: true });
    }
    const frozen = planOf(BIG, '2.4.0');
    const { label } = await past({ registry, frozen, run: 'run-9999', at: at(size.rollouts - 1), size, ended: false });
    const debts = (await registry.debtTotals()).reduce((sum, { count }) => sum + count, 0);
    const site = ids[7] ?? '';
    return {
      ...{ directory, registry: path, label, over: over.label, site, debts },
      ...{ sites: size.sites, rollouts: size.rollouts, evidence: size.rollouts * size.evidence },
    };
  } finally {
    await registry.close();
  }
}

async function writeProject(directory: string, sites: number): Promise<string> {
  await mkdir(join(directory, 'strategies'), { recursive: true });
  const write = (name: string, content: unknown) => writeFile(join(directory, name), stringify(content));
  await write('foothold.yaml', {
    ...{ apiVersion, kind: 'Project' },
    depot: { write: 'depot/', read: 'http://127.0.0.1:1/' },
  });
  await write('fleet.yaml', {
    ...{ apiVersion, kind: 'Fleet', defaults: { risk: 'low', link: 'fibre', streams: [BIG, LITTLE] } },
    sites: Array.from({ length: sites }, (_, i) => ({
      ...{ id: `site-${String(i).padStart(5, '0')}`, region: `region-${i % 10}`, cluster: `cluster-${i % 100}` },
      ...{
        assetType: 'substation',
        versions: { firmware: '3.4.1' },
        vars: { listen: `10.0.0.1:${8_000 + (i % 1_000)}` },
      },
    })),
  });
  await write('strategies/even.yaml', {
    ...{ apiVersion, kind: 'Strategy', name: 'even', owner: 'bench' },
    defaults: { gate: 'none', because: 'the bench reads what was recorded', budget: { failed: '5%', owed: '20%' } },
    stages: [{ name: 'all', waves: ['10%', '50%', '100%'] }],
  });
  return join(directory, 'registry.db');
}

interface Past {
  registry: Registry;
  frozen: FrozenPlan;
  run: string;
  at: number;
  size: Size;
  only?: { id: string[] };
  /** Promoted and handed over; otherwise it waits at its gate. */
  ended: boolean;
}

async function past({ registry, frozen, run, at, size, only, ended }: Past): Promise<FrozenRollout> {
  const rollout = await registry.freeze(
    frozen,
    { firstRunId: run, workflowId: `rollout/${run}`, ...(only && { only }) },
    at,
  );
  const { stream } = frozen.plan.release;
  for (const { name: stage, waves } of frozen.plan.stages) {
    for (const [wave, { sites }] of waves.entries()) {
      for (let from = 0; from < sites.length; from += AT_ONCE) {
        const ids = sites.slice(from, from + AT_ONCE).map(({ id }) => id);
        await pageOf({ registry, run, stage, wave, stream, rollout, frozen, at: at + MINUTE, ids, page: from });
      }
    }
  }
  const drafts = Array.from({ length: size.evidence }, (_, i) => ({
    kind: i % 10 === 0 ? 'gate' : 'progress',
    data: { stage: 'all', wave: 0, note: `entry ${i} of a rollout that has been under way for some time` },
  }));
  await registry.appendEvidence({ firstRunId: run, runId: run, activityId: 'past' }, drafts, at + 2 * MINUTE);
  await registry.putStatus(statusOf(frozen, rollout, run, at, ended));
  if (ended) await registry.handOver(run, 'promoted', at + 3 * MINUTE);
  return rollout;
}

interface PageOfSites {
  registry: Registry;
  run: string;
  stage: string;
  wave: number;
  stream: string;
  rollout: FrozenRollout;
  frozen: FrozenPlan;
  at: number;
  ids: string[];
  page: number;
}

/** Of a small rollout every site owes; of a big one some do, some reverted, some have not answered yet. */
async function pageOf({
  registry,
  run,
  stage,
  wave,
  stream,
  rollout,
  frozen,
  at,
  ids,
  page,
}: PageOfSites): Promise<void> {
  const idOf = (site: string) => `${run}/${site}/${stream}/converge/1`;
  const switchBy = at + 30 * MINUTE;
  const commands = ids.map((site) => ({
    site,
    stage,
    wave,
    verb: 'converge' as const,
    commandId: idOf(site),
    switchBy,
  }));
  await registry.recordCommanded(run, commands, at);
  const key = (what: string) => ({ firstRunId: run, runId: run, activityId: `${what}-${wave}-${page}` });
  const small = stream === LITTLE;
  const open = (i: number) => run === 'run-9999' && i % 50 === 1;
  const owes = (i: number) => small || (run === 'run-9999' && i % 50 < 4 && !open(i));
  const owed = ids.filter((_, i) => owes(i));
  await registry.recordDispositions(
    key('owed'),
    owed.map((site) => ({ site, commandId: idOf(site), outcome: owedBy(site, stage, wave) })),
    at + MINUTE,
  );
  const settled = ids
    .filter((_, i) => !owes(i) && !open(i))
    .map((site, i) =>
      settledAt({
        site,
        commandId: idOf(site),
        stream,
        at,
        failed: run === 'run-9999' && i % 50 === 7,
        rollout,
        frozen,
      }),
    );
  await registry.recordSettled(key('settled'), { stage, wave }, settled, at + MINUTE);
}

function owedBy(site: string, stage: string, wave: number): SiteOutcome {
  const reason = { code: 'UNREACHED' as const, detail: 'not reached until settleBy' };
  return { site, outcome: 'owed', stage, wave, reason, state: null };
}

interface Ending {
  site: string;
  commandId: string;
  stream: string;
  at: number;
  failed: boolean;
  rollout: FrozenRollout;
  frozen: FrozenPlan;
}

function settledAt({ site, commandId, stream, at, failed, rollout, frozen }: Ending): Settled {
  const { version, digest } = frozen.plan.release;
  const result: Result = {
    ...{ commandId, site, stream, verb: 'converge', generation: rollout.generation, try: 1, at, changed: true },
    ...(failed
      ? { result: 'reverted', cause: 'check', reason: { code: 'CHECK_FAILED', detail: 'answers: 503 three times' } }
      : { result: 'confirmed', live: { version, digest } }),
  };
  // One event an epoch keeps the chains apart that the two big rollouts leave.
  const epoch = rollout.generation;
  const kind = failed ? ('reverted' as const) : ('confirmed' as const);
  const event = linkSiteEvent({ site, epoch, at, kind, stream, commandId, detail: {}, result });
  const check = { name: 'answers', need: 'required' as const, healthy: true, detail: '200 within 12 ms' };
  const report: SiteReport = {
    ...{ site, at, epoch, sequence: 1, agentVersion: '0.1.0', versions: { firmware: '3.4.1' }, quarantined: [] },
    streams: {
      [stream]: { state: 'idle', live: { version, digest }, generation: rollout.generation, try: 1, checks: [check] },
    },
  };
  return { kind: 'result', commandId, result, report, events: [event] };
}

function statusOf(frozen: FrozenPlan, rollout: FrozenRollout, run: string, at: number, ended: boolean): RolloutStatus {
  const { release, strategy, stages } = frozen.plan;
  return {
    ...{ label: rollout.label, workflowId: `rollout/${run}`, firstRunId: run, stream: release.stream },
    ...{ release: { version: release.version, digest: release.digest }, strategy: strategy.name },
    ...{ planDigest: frozen.plan.digest, generation: rollout.generation, owedReverts: [] },
    ...{ startedAt: at, updatedAt: at + 2 * MINUTE, stages: stages.map((stage) => stageOf(stage, ended)) },
    ...(ended
      ? { state: 'sealed', outcome: 'promoted' }
      : {
          state: 'waiting',
          wait: {
            ...{ reason: { code: 'GATE_NO_DATA', detail: '3 of 20 sites' }, owner: 'bench', since: at + MINUTE },
            ...{ until: at + 240 * MINUTE, then: 'stay' },
          },
        }),
  };
}

function stageOf({ name, waves }: FrozenPlan['plan']['stages'][number], ended: boolean): StageStatus {
  const sites = waves.reduce((sum, wave) => sum + wave.sites.length, 0);
  const owed = ended ? 0 : Math.floor(sites * 0.06);
  return {
    ...{ name, sites, wave: waves.length, waves: waves.length, confirmed: sites - owed, failed: 0, owed },
    state: ended ? 'promoted' : 'waiting',
  };
}
