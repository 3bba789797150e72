/** What the reconciler of a stream decides upon (design §4.7): gathered here, judged by policies/catch-up. */
import type { Client } from '@temporalio/client';
import { planCarriers } from '../../policies/catch-up/carriers.js';
import type { CatchUpFacts, CatchUpTarget, LostCarrier } from '../../policies/catch-up/facts.js';
import type { ReleaseFacts } from '../../policies/catch-up/hindered.js';
import { differing, judgeFleet, type FleetFacts } from '../../policies/catch-up/owed.js';
import type { Commanded, OwedSite } from '../../policies/catch-up/owed-site.js';
import { mayBeAsked } from '../../policies/catch-up/next.js';
import { CATCH_UP_PACE } from '../../policies/catch-up/pace.js';
import { CATCH_UP, type Debt, type Desired } from '../../policies/model/debt.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { ResolvedFleet, Site } from '../../policies/model/fleet.js';
import type { FrozenPlan } from '../../policies/model/plan.js';
import { judgeIdentities } from './addressees.js';
import type { ControlDeps } from './deps.js';
import { judgeFindings } from './catch-up-preflight.js';
import { readFleet } from './sources.js';
import { describeRunning } from './temporal-facts.js';

/** Sites that the workflow is told of by name: those that may be commanded, and of the others those whose time comes first. */
const READY_MOST = 500;
const WAITING_MOST = 50;

/** Takes over what sites report where the registry is behind them: a restored registry downgrades nobody. */
export async function catchUpFacts(deps: ControlDeps, stream: string): Promise<CatchUpFacts> {
  const [running] = await deps.registry.runningPlans(stream);
  const { fleet, owed, debts, plans, unread } = await judgeWith(deps, stream);
  const ready = owed.filter(({ hindered }) => hindered === undefined).sort((a, b) => heard(a) - heard(b));
  const timed = owed.filter(({ hindered }) => hindered?.until !== undefined).sort((a, b) => due(a) - due(b));
  const told = new Set([...ready.slice(0, READY_MOST), ...timed.slice(0, WAITING_MOST)]);
  for (const site of owed.filter(mayBeAsked).slice(0, READY_MOST)) told.add(site);
  return {
    stream,
    pace: { ...CATCH_UP_PACE, ...deps.catchUpPace },
    ...(running && {
      running: { label: running.label, workflowId: running.workflowId, isCatchUp: running.of !== undefined },
    }),
    lost: await lostCarriers(deps, debts, plans, fleet.sites),
    targets: targetsOf(stream, [...told], plans),
    owed: [...told],
    total: owed.length,
    hindered: { ...countCodes(owed), ...unread },
  };
}

/** A fleet file with a mistake in it holds what would be new at a site, never what has still to be undone. */
async function judgeWith(
  deps: ControlDeps,
  stream: string,
): Promise<Judged & { fleet: Pick<ResolvedFleet, 'sites'>; unread: Record<string, number> }> {
  try {
    const fleet = await readFleet(deps);
    return { fleet, unread: {}, ...(await judgeOwed(deps, fleet, stream)) };
  } catch (error) {
    if (!(error instanceof MistakeError)) throw error;
    const debts = await deps.registry.debts({ stream });
    return { fleet: { sites: [] }, unread: { [error.code]: 1 }, owed: [], debts, plans: new Map() };
  }
}

const heard = ({ heardAt }: OwedSite): number => heardAt ?? 0;
const due = ({ hindered }: OwedSite): number => hindered?.until ?? 0;

interface Judged {
  owed: OwedSite[];
  debts: Debt[];
  /** By first run id of the rollout that was promoted with them. */
  plans: Map<string, FrozenPlan>;
}

/** Every site of the stream that differs from what it should run, with what is in its way, if anything. */
export async function judgeOwed(deps: ControlDeps, fleet: ResolvedFleet, stream: string): Promise<Judged> {
  const { registry } = deps;
  const now = deps.now();
  const sites = fleet.sites.filter((site) => site.streams.includes(stream));
  const ids = sites.map(({ id }) => id);
  const [desired, reports] = [await registry.desired(stream, ids), await registry.reports(ids)];
  const apart = differing({ stream, sites, desired, reports });
  const [debts, commands] = [await registry.debts({ stream }), await registry.commandsOf(stream, { sites: apart })];
  const of = unique(apart.flatMap((site) => desired.get(site) ?? []));
  const plans = await plansOf(deps, of);
  const facts: FleetFacts = {
    stream,
    now,
    pace: { ...CATCH_UP_PACE, ...deps.catchUpPace },
    sites,
    desired,
    reports,
    commanded: bySite(commands),
    debts,
    freezes: await registry.freezes(now),
    holds: await registry.holds(now),
    releases: await releaseFacts(deps, stream, of, plans),
  };
  const { owed: differ, ahead } = judgeFleet(facts);
  const owed = await judgeIdentities(deps, differ);
  for (const { site, live, generation } of ahead) await registry.adoptLive(site, stream, live, generation, now);
  return { owed: await judgeFindings(deps, { fleet, facts, plans }, owed), debts, plans };
}

function unique(desired: Desired[]): Desired[] {
  return [...new Map(desired.map((one) => [one.firstRunId, one])).values()];
}

function bySite(commands: Commanded[]): Map<string, Commanded[]> {
  const grouped = new Map<string, Commanded[]>();
  for (const command of commands) {
    const its = grouped.get(command.site);
    if (its) its.push(command);
    else grouped.set(command.site, [command]);
  }
  return grouped;
}

async function plansOf({ registry }: ControlDeps, of: Desired[]): Promise<Map<string, FrozenPlan>> {
  const plans = new Map<string, FrozenPlan>();
  for (const { firstRunId, planDigest } of of) {
    const plan = await registry.frozenPlan(planDigest);
    if (plan) plans.set(firstRunId, plan);
  }
  return plans;
}

async function releaseFacts(
  { registry }: ControlDeps,
  stream: string,
  of: Desired[],
  plans: Map<string, FrozenPlan>,
): Promise<Map<string, ReleaseFacts>> {
  const blocks = await registry.blocks(stream);
  const facts = new Map<string, ReleaseFacts>();
  for (const { firstRunId, release } of of) {
    const allowances = await registry.allowances(stream, release.digest);
    const blocked = blocks.find(({ digest }) => digest === release.digest);
    const stopped = await stoppedBatch(registry, firstRunId, allowances);
    facts.set(release.digest, {
      allowances,
      planned: plans.has(firstRunId) || (facts.get(release.digest)?.planned ?? false),
      ...(blocked && { blocked: { rollout: blocked.rollout, at: blocked.at } }),
      ...(stopped && { stopped }),
    });
  }
  return facts;
}

/** Codes with which a person, and nobody else, ends a batch; a rollout that takes over is no word against the release. */
const BY_PERSON = new Set(['ABORTED', 'REVERT_REQUESTED', 'TERMINATED']);

async function stoppedBatch(
  registry: ControlDeps['registry'],
  of: string,
  allowances: ReleaseFacts['allowances'],
): Promise<ReleaseFacts['stopped']> {
  const batch = await registry.latestBatch(of);
  if (batch?.state !== 'sealed' || !batch.reason || batch.outcome === 'promoted') return undefined;
  const isStopped = batch.outcome === 'reverted' || BY_PERSON.has(batch.reason.code);
  const allowed = allowances.some(({ site, at }) => site === '*' && at >= batch.updatedAt);
  return isStopped && !allowed ? { rollout: batch.label, reason: batch.reason } : undefined;
}

/** Of the reverts that nobody but the reconciler owns, those whose shard Temporal does not know to be running. */
async function lostCarriers(
  deps: ControlDeps,
  debts: Debt[],
  plans: Map<string, FrozenPlan>,
  sites: Site[],
): Promise<LostCarrier[]> {
  const reverts = debts.filter(({ verb, owner }) => verb === 'revert' && owner === CATCH_UP);
  if (reverts.length === 0) return [];
  const byDigest = new Map([...plans.values()].map((frozen) => [frozen.plan.digest, frozen]));
  for (const digest of new Set(reverts.map(({ planDigest }) => planDigest))) {
    const frozen = byDigest.get(digest) ?? (await deps.registry.frozenPlan(digest));
    if (frozen) byDigest.set(digest, frozen);
  }
  const lost: LostCarrier[] = [];
  for (const carrier of planCarriers(reverts, byDigest, sites)) {
    if (!(await isRunning(deps.client, carrier.workflowId))) lost.push(carrier);
  }
  return lost;
}

async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  return (await describeRunning(client, workflowId)) !== undefined;
}

function targetsOf(stream: string, told: OwedSite[], plans: Map<string, FrozenPlan>): CatchUpFacts['targets'] {
  const targets: Record<string, CatchUpTarget> = {};
  for (const { of, release } of told) {
    const plan = plans.get(of);
    if (plan) targets[of] = { release: `${stream}@${release.version}`, strategy: plan.plan.strategy.name };
  }
  return targets;
}

function countCodes(owed: OwedSite[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { hindered } of owed) if (hindered) counts[hindered.code] = (counts[hindered.code] ?? 0) + 1;
  return counts;
}
