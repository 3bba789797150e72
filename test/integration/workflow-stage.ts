/**
 * A stage for the central workflows: a real Temporal server, the real workflows, central activities that only
 * remember, and sites whose answers a test writes down. What stands here for registry and agent is tested elsewhere.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { Client, Connection, type WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type {
  ControlActivities,
  KnownCommands,
  LateNews,
  LockHolder,
  SiteActivities,
} from '../../activities/contract.js';
import { failing } from '../../activities/failures.js';
import { askToGiveWay } from '../../activities/control/supersede.js';
import { awaitClosed, describeLock } from '../../activities/control/temporal-facts.js';
import { workflowBundle } from '../infra/bundle.js';
import { recordHistories } from './record-histories.js';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import type { Result, SiteState } from '../../policies/model/command.js';
import { commandIdOf, tryOf } from '../../policies/model/command-id.js';
import type { EvidenceDraft } from '../../policies/model/evidence.js';
import type { PlanOutline } from '../../policies/model/outline.js';
import {
  TASK_QUEUE,
  type RolloutRequest,
  type RolloutStatus,
  type SiteOutcome,
  type UndoScope,
} from '../../policies/model/rollout.js';
import { outcomeOf } from '../../policies/rollout/outcomes.js';
import type { Reason, Sample } from '../../policies/model/verdict.js';

export interface SiteScript {
  /** What a converge ends with; `never` is observed until it is superseded, then answers `superseded`. */
  converge: 'confirmed' | 'reverted' | 'rejected' | 'never';
  afterMs?: number;
  /** Of `reverted`; default `check`. */
  cause?: Result['cause'];
  /** Reverts that are refused without being taken in, and why. */
  refuses?: { times: number; code: Reason['code'] };
}

export interface Seen {
  drafts: EvidenceDraft[];
  statuses: RolloutStatus[];
  settled: Result[];
  dispositions: SiteOutcome[];
  /** `<verb> <site>` in the order in which sites received commands. */
  commands: string[];
  blocks: string[];
  gateCalls: { stage: string; wave: number; confirmedSites: string[] }[];
  handedOver: { workflowId: string; outcome: string }[];
  refused: { workflowId: string; release: string; reason: Reason }[];
  /** Command ids in the order in which they were issued. */
  issued: string[];
}

export interface WorkflowStage {
  server: TemporalServer;
  client: Client;
  seen: Seen;
  /** Starts the worker of a site's queue; until then the site is dark. */
  bringUp(site: string, script: SiteScript): Promise<void>;
  bringDown(site: string): Promise<void>;
  /** What the gate answers for a stage: outcome of each sample taken. Default: pass. */
  gate: Map<string, Sample['outcome']>;
  faults: {
    recordProgress?: () => void;
    freezePlan?: () => void;
    issuePrefetches?: () => void;
    countPrefetched?: () => void;
    readOutline?: () => void;
    preflightBlocks?: boolean;
    rivalOf?: () => LockHolder | null;
  };
  /** Sites that may not be converged now, and why. */
  deferrals: Map<string, { reason: Reason; until?: number }>;
  /** Sites that report the release as quarantined. */
  quarantined: Set<string>;
  /** Sites whose answers the registry does not believe, and why. */
  disbelieved: Map<string, Reason>;
  /** Sites that the registry knows to be retired. */
  retired: Map<string, Reason>;
  /** The registry learns how a site has ended, by whatever way. */
  settle(site: string, outcome: SiteOutcome['outcome']): void;
  /** `continueAfterEvents` makes the rollout continue as new before its next wave once its history is as long. */
  start(
    outline: PlanOutline,
    workflowId?: string,
    continueAfterEvents?: number,
    request?: Partial<RolloutRequest>,
  ): Promise<WorkflowHandleWithFirstExecutionRunId>;
  close(): Promise<void>;
}

/** `interceptors`: the name of a module beside this one, whose interceptors the workflows run behind. */
export async function openWorkflowStage(interceptors?: string): Promise<WorkflowStage> {
  Runtime.install({ shutdownSignals: [], logger: silent });
  const directory = await mkdtemp(join(tmpdir(), 'foothold-stage-'));
  const server = await startTemporal({ directory });
  const connection = await NativeConnection.connect({ address: server.address });
  const client = new Client({ connection: await Connection.connect({ address: server.address }) });
  const bundle = await workflowBundle(interceptors && fileURLToPath(new URL(interceptors, import.meta.url)));
  const outlines = new Map<string, PlanOutline>();
  const seen: Seen = {
    drafts: [],
    statuses: [],
    settled: [],
    dispositions: [],
    commands: [],
    blocks: [],
    gateCalls: [],
    handedOver: [],
    refused: [],
    issued: [],
  };
  const gate: WorkflowStage['gate'] = new Map();
  const faults: WorkflowStage['faults'] = {};
  const deferrals: WorkflowStage['deferrals'] = new Map();
  const quarantined = new Set<string>();
  const disbelieved = new Map<string, Reason>();
  const retired = new Map<string, Reason>();
  const commands = new Map<string, Commanded>();
  const control = await Worker.create({
    connection,
    taskQueue: TASK_QUEUE,
    workflowBundle: bundle,
    activities: rememberingActivities({
      client,
      outlines,
      seen,
      gate,
      faults,
      deferrals,
      quarantined,
      disbelieved,
      retired,
      commands,
    }),
    shutdownForceTime: '2s',
  });
  const running = control.run();
  const sites = new Map<string, { worker: Worker; running: Promise<void>; connection: NativeConnection }>();
  const latest = new Map<string, string>();

  async function bringUp(site: string, script: SiteScript): Promise<void> {
    const own = await NativeConnection.connect({ address: server.address });
    const worker = await Worker.create({
      connection: own,
      taskQueue: `site-${site}`,
      activities: scriptedSite(site, script, seen, latest),
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 1 },
      shutdownForceTime: '1s',
    });
    sites.set(site, { worker, running: worker.run(), connection: own });
  }
  async function bringDown(site: string): Promise<void> {
    const up = sites.get(site);
    if (!up) return;
    sites.delete(site);
    up.worker.shutdown();
    await up.running;
    await up.connection.close();
  }

  return {
    server,
    client,
    seen,
    bringUp,
    bringDown,
    gate,
    faults,
    deferrals,
    quarantined,
    disbelieved,
    retired,
    settle(site, outcome) {
      for (const one of commands.values()) if (one.site === site) one.outcome = { site, outcome, stage: '', wave: 0 };
    },
    async start(outline, workflowId = `rollout/${outline.label}`, continueAfterEvents, request) {
      const release = `${outline.release.stream}@${outline.release.version}`;
      outlines.set(release, outline);
      return client.workflow.start('rollout', {
        workflowId,
        taskQueue: TASK_QUEUE,
        args: [{ release, strategy: outline.strategy.name, ...request }, undefined, continueAfterEvents],
      });
    },
    async close() {
      await recordHistories(client);
      for (const site of [...sites.keys()]) await bringDown(site);
      control.shutdown();
      await running;
      await connection.close();
      await client.connection.close();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const silent = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} };

interface Remembered {
  client: Client;
  outlines: Map<string, PlanOutline>;
  seen: Seen;
  gate: WorkflowStage['gate'];
  faults: WorkflowStage['faults'];
  deferrals: WorkflowStage['deferrals'];
  quarantined: WorkflowStage['quarantined'];
  disbelieved: WorkflowStage['disbelieved'];
  retired: WorkflowStage['retired'];
  commands: Map<string, Commanded>;
}

/** What the registry would know of commands: by site, the latest of each rollout. */
interface Commanded {
  firstRunId: string;
  commandId: string;
  site: string;
  group: string | undefined;
  switchBy: number;
  outcome?: SiteOutcome;
}

function rememberingActivities(stage: Remembered): ControlActivities {
  const { client, outlines, seen, gate, faults, deferrals, commands } = stage;
  const runs = new Map<string, string>();
  const undos = new Map<string, UndoScope[]>();
  const reverting = new Map<string, Set<string>>();
  const plans = new Map<string, PlanOutline>();
  const wasReset = (run: { firstRunId: string; runId: string; continuation: number }) => {
    const key = `${run.firstRunId}/${run.continuation}`;
    runs.set(key, runs.get(key) ?? run.runId);
    return runs.get(key) !== run.runId;
  };
  const mateChanging = (site: string, group: string | undefined) =>
    [...commands.values()].find(
      (one) =>
        group !== undefined &&
        one.group === group &&
        one.site !== site &&
        (one.outcome === undefined || (one.outcome.outcome === 'owed' && one.outcome.state !== null)),
    );
  return {
    async freezePlan(request, run) {
      faults.freezePlan?.();
      const outline = outlines.get(request.release);
      if (!outline) throw ApplicationFailure.nonRetryable(`no release ${request.release}`, 'RELEASE_NOT_FOUND');
      wasReset(run);
      plans.set(run.firstRunId, outline);
      return outline;
    },
    async runPreflight() {
      const blocked = faults.preflightBlocks ?? false;
      return { blocked, counts: { pass: 1, warn: 0, block: blocked ? 1 : 0 }, first: [] };
    },
    async readOutline(frozen) {
      faults.readOutline?.();
      const outline = [...plans.values()].find(({ label }) => label === frozen.label);
      if (!outline) throw new Error(`no plan ${frozen.label}`);
      return outline;
    },
    async recordRefused(request, reason, run) {
      const plan = plans.get(run.firstRunId);
      if (plan) return { frozen: { planDigest: plan.planDigest, label: plan.label, generation: plan.generation } };
      seen.refused.push({ workflowId: run.workflowId, release: request.release, reason });
      return { frozen: null };
    },
    async recordProgress(drafts, status, run) {
      faults.recordProgress?.();
      seen.drafts.push(...drafts);
      seen.statuses.push(status);
      const begun = drafts.flatMap(({ kind, data }) => (kind === 'undo' ? [data as unknown as UndoScope] : []));
      undos.set(run.firstRunId, [...(undos.get(run.firstRunId) ?? []), ...begun]);
      const askedBy = run.runId;
      if (!wasReset(run)) return { wasReset: false, askedBy };
      runs.set(`${run.firstRunId}/${run.continuation}`, 'nobody');
      return { wasReset: true, askedBy };
    },
    async knownCommands(firstRunId): Promise<KnownCommands> {
      const mine = [...commands.values()].filter((one) => one.firstRunId === firstRunId);
      return {
        commanded: mine.map(({ site, switchBy, commandId }) => ({ site, switchBy, try: tryOf(commandId) })),
        outcomes: mine.flatMap(({ outcome }) => (outcome ? [outcome] : [])),
        undos: undos.get(firstRunId) ?? [],
        reverting: [...(reverting.get(firstRunId) ?? [])],
      };
    },
    async adoptRun(run) {
      const key = `${run.firstRunId}/${run.continuation}`;
      if (!['nobody', run.runId].includes(runs.get(key) ?? run.runId)) return false;
      runs.set(key, run.runId);
      return true;
    },
    async handOver(run, outcome) {
      seen.handedOver.push({ workflowId: run.workflowId, outcome });
      return { stream: 'edge-proxy', passed: { converge: 0, revert: 0 }, cancelled: 0 };
    },
    async quarantined(_release, sites) {
      return sites.filter((site) => stage.quarantined.has(site));
    },
    async supersede(request, holder, run) {
      const sites = (outline: PlanOutline | undefined) =>
        (outline?.stages ?? []).flatMap((one) => one.waves.flatMap((wave) => wave.sites.map((site) => site.id)));
      const after = new Set(sites(outlines.get(request.release)));
      const leftOut = sites(plans.get(holder.firstRunId)).filter((site) => !after.has(site));
      await failing(() => askToGiveWay(client, request, holder, run, holder.catchUp ? [] : leftOut));
    },
    async catchUpFacts() {
      throw ApplicationFailure.nonRetryable('this stage has no reconciler');
    },
    async sweep() {
      return { terminated: [], woken: [], elsewhere: [], failed: [] };
    },
    async recordBlock(block) {
      seen.blocks.push(block.digest);
    },
    async issueCommands(input, sites) {
      const now = Date.now();
      const { firstRunId, verb, release, stage: ofStage } = input;
      if (verb === 'revert') reverting.set(firstRunId, (reverting.get(firstRunId) ?? new Set()).add(ofStage));
      return sites.map((site) => {
        const deferral = (code: Reason['code'], detail: string) => ({ site: site.id, deferred: { code, detail } });
        if (verb === 'converge') {
          if (input.run && wasReset({ firstRunId, ...input.run })) return deferral('RUN_WAS_RESET', 'another run');
          const deferred = deferrals.get(site.id);
          if (deferred)
            return { site: site.id, deferred: deferred.reason, ...(deferred.until && { until: deferred.until }) };
          const mate = mateChanging(site.id, site.group);
          if (mate) return deferral('GROUP_CHANGING', `${mate.site} has not settled`);
        }
        const number = input.tries?.[site.id] ?? input.try;
        const commandId = commandIdOf({ firstRunId, site: site.id, stream: release.stream, verb, try: number });
        seen.issued.push(commandId);
        const envelope = { payloadType: 'application/vnd.foothold.command+json' as const, payload: '', signatures: [] };
        const patience = input.settleWithin === 'link' ? 60_000 : input.settleWithin;
        const settleBy = now + patience;
        if (verb === 'converge') {
          commands.set(commandId, { firstRunId, commandId, site: site.id, group: site.group, switchBy: settleBy });
        }
        return {
          site: site.id,
          queue: site.queue ?? `site-${site.id}`,
          commandId,
          page: { commands: [{ site: site.id, commandId, envelope }] },
          issuedAt: now,
          ...(verb === 'converge' ? { settleBy } : {}),
        };
      });
    },
    async issuePrefetches(input, sites) {
      faults.issuePrefetches?.();
      return sites.map(({ id, queue = `site-${id}` }) => {
        const payload = Buffer.from(JSON.stringify(input)).toString('base64');
        const payloadType = 'application/vnd.foothold.prefetch+json' as const;
        const prefetches = [{ site: id, envelope: { payloadType, payload, signatures: [] } }];
        return { site: id, queue, page: { commands: [], prefetches } };
      });
    },
    async countPrefetched() {
      faults.countPrefetched?.();
      return { sites: 9, whole: 7, underWay: 1 };
    },
    async recordSettled(shard, settled) {
      const disbelieved = settled.flatMap((one) => {
        const reason = one.kind === 'result' ? stage.disbelieved.get(one.result.site) : undefined;
        return one.kind === 'result' && reason ? [{ site: one.result.site, commandId: one.commandId, reason }] : [];
      });
      for (const one of settled) {
        if (one.kind !== 'result') continue;
        seen.settled.push(one.result);
        const known = commands.get(one.commandId);
        if (known) known.outcome = outcomeOf(one.result, shard.stage, shard.wave);
      }
      return { disbelieved };
    },
    async retiredAmong(sites) {
      return sites.flatMap((site) => {
        const reason = stage.retired.get(site);
        return reason ? [{ site, reason }] : [];
      });
    },
    async judgeWithdrawal() {
      throw ApplicationFailure.nonRetryable('nobody freezes or holds anything at this stage');
    },
    async withdrawHindered() {
      return { asked: 0 };
    },
    async recordDispositions(_shard, rows) {
      seen.dispositions.push(...rows.map((row) => row.outcome));
      for (const { commandId, outcome } of rows) {
        const known = commands.get(commandId);
        if (known) known.outcome ??= outcome;
      }
    },
    async sampleGate(input) {
      seen.gateCalls.push({ stage: input.stage, wave: input.wave, confirmedSites: input.confirmedSites });
      const outcome = gate.get(input.stage) ?? 'pass';
      const context = Context.current();
      const until = outcome === 'fail' ? input.from : input.until;
      while (Date.now() < until) {
        context.heartbeat();
        await context.sleep(Math.min(200, until - Date.now()));
      }
      const taken = { takenAt: Date.now(), values: [{ value: 0.5 }], covered: 1, confirmed: 1 };
      return {
        soakOver: Date.now() >= input.until,
        samples: input.metrics.map((metric) => ({ metric: metric.name, scheduledAt: input.from, outcome, ...taken })),
      };
    },
    describeLock: (stream) => describeLock(client, stream),
    rivalOf: async () => faults.rivalOf?.() ?? null,
    awaitClosed: (workflowId) => awaitClosed(client, workflowId),
    async recordOutbox() {
      return undefined;
    },
    async recordInbox(_report, events) {
      return events.length === 0 ? [] : [events[0]?.detail as unknown as LateNews];
    },
    async recordArrivals(deliveries) {
      return deliveries.map(({ events }) => ({
        fresh: events.slice(0, 1).map(({ detail }) => detail as unknown as LateNews),
      }));
    },
  };
}

/** A site that answers as its script says; a revert supersedes a converge that is still observed. */
function scriptedSite(own: string, script: SiteScript, seen: Seen, latest: Map<string, string>): SiteActivities {
  return {
    async converge(page) {
      if (page.prefetches) {
        seen.commands.push(...page.prefetches.map(({ site }) => `prefetch ${site}`));
        return [];
      }
      const commandId = page.commands[0]?.commandId ?? '';
      // Several sites may share its queue.
      const site = page.commands[0]?.site ?? own;
      const verb = commandId.includes('/revert/') ? 'revert' : 'converge';
      seen.commands.push(`${verb} ${site}`);
      latest.set(site, verb);
      const context = Context.current();
      const beat = (state: SiteState) => context.heartbeat({ [commandId]: state });
      if (verb === 'revert' && script.refuses && script.refuses.times > 0) {
        script.refuses.times -= 1;
        const refused = settled(site, commandId, 'rejected');
        const reason = { code: script.refuses.code, detail: 'the script of the site says so' };
        return [{ ...refused, result: { ...refused.result, reason } }];
      }
      if (verb === 'revert') return [settled(site, commandId, 'reverted', 'command')];
      const endAt = script.converge === 'never' ? Infinity : Date.now() + (script.afterMs ?? 50);
      while (Date.now() < endAt && latest.get(site) === 'converge') {
        beat('watching');
        await context.sleep(50);
      }
      if (latest.get(site) === 'revert') return [settled(site, commandId, 'superseded')];
      if (script.converge === 'never') throw new Error('unreachable');
      return [
        settled(
          site,
          commandId,
          script.converge,
          script.converge === 'reverted' ? (script.cause ?? 'check') : undefined,
        ),
      ];
    },
  };
}

function settled(site: string, commandId: string, result: Result['result'], cause?: Result['cause']) {
  const verb = commandId.includes('/revert/') ? ('revert' as const) : ('converge' as const);
  const whole: Result = {
    commandId,
    site,
    stream: 'edge-proxy',
    verb,
    generation: verb === 'converge' ? 1 : 2,
    try: tryOf(commandId),
    result,
    at: Date.now(),
    changed: result !== 'rejected',
    ...(cause === undefined ? {} : { cause }),
  };
  const report = {
    site,
    at: Date.now(),
    epoch: 1,
    sequence: 1,
    agentVersion: 'test',
    streams: {},
    versions: {},
    quarantined: [],
  };
  return { kind: 'result' as const, commandId, result: whole, report, events: [] };
}

/** A plan of stages: name → sites. Every stage is gated by one metric, unless it says otherwise. */
export function outlineOf(
  label: string,
  stages: Record<string, string[][]>,
  change: Partial<PlanOutline> = {},
): PlanOutline {
  const digest = `sha256:${'1'.repeat(64)}`;
  const [, version = '1.0.0'] = /^edge-proxy-(.*)-\d+$/.exec(label) ?? [];
  return {
    planDigest: `sha256:${'2'.repeat(64)}`,
    label,
    generation: 1,
    release: { stream: 'edge-proxy', version, digest },
    strategy: {
      name: 'quick',
      owner: 'duty',
      onFailure: 'revert-stage',
      onInconclusive: { within: 60_000, then: 'stay' },
    },
    links: { fibre: { name: 'fibre', settleWithin: 60_000, startWithin: 2_000, heartbeat: 3_000 } },
    stages: Object.entries(stages).map(([name, waves]) => ({
      name,
      soak: 500,
      concurrency: 10,
      settleWithin: 'link',
      budget: { failed: 0, owed: '50%' },
      gate: { name: 'health', metrics: [metric] },
      waves: waves.map((sites) => ({ sites: sites.map((id) => ({ id, link: 'fibre' })) })),
    })),
    ...change,
  };
}

const metric = {
  name: 'error-ratio',
  window: 100,
  query: 'up',
  pass: 'result < 1',
  series: 'one' as const,
  source: 'prometheus' as const,
  interval: 100,
  count: 1,
  coverage: '90%',
  failureLimit: 0,
  inconclusiveLimit: 0,
  consecutiveErrorLimit: 4,
};
